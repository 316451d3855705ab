package wraptest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/immudb-go/immudb"
)

type named string

var ctx = context.Background()

// check is something that works on a sql.DB of the driver, and must behind a wrapper.
type check struct {
	name string
	f    func(db *sql.DB) error
}

func oneRow(v ...any) iter.Seq2[[]any, error] {
	return func(y func([]any, error) bool) { y(v, nil) }
}

var n int64 = time.Now().UnixNano() % 1e9

func next() int64 { n++; return n }

func eq(a, b any) error {
	if a != b {
		return fmt.Errorf("got %v, want %v", a, b)
	}
	return nil
}

var checks = []check{
	{"Ping", func(db *sql.DB) error { return db.PingContext(ctx) }},
	{"Exec", func(db *sql.DB) error {
		r, err := db.Exec("UPSERT INTO w (id, s) VALUES (?, ?)", next(), "x")
		if err != nil {
			return err
		}
		k, err := r.RowsAffected()
		if err != nil {
			return err
		}
		return eq(k, int64(1))
	}},
	{"args(uint,named,ptr,json,[16]byte,time)", func(db *sql.DB) error {
		s := "p"
		_, err := db.Exec("UPSERT INTO w (id, s, j, u, t, b) VALUES (?, ?, ?, ?, ?, ?)", uint64(next()), &s, json.RawMessage(`{"a":1}`), [16]byte{1}, time.Now(), []byte{0})
		if err != nil {
			return err
		}
		_, err = db.Exec("UPSERT INTO w (id, s) VALUES (?, ?)", next(), named("n"))
		return err
	}},
	{"uint overflow = ErrInvalidValue", func(db *sql.DB) error {
		_, err := db.Exec("UPSERT INTO w (id) VALUES (?)", uint64(1<<63+1))
		if !errors.Is(err, immudb.ErrInvalidValue) {
			return fmt.Errorf("%v", err)
		}
		return nil
	}},
	{"sql.Named", func(db *sql.DB) error {
		var s int
		return db.QueryRow("SELECT COUNT(*) FROM w WHERE id > @id", sql.Named("id", 3)).Scan(&s)
	}},
	{"prepared", func(db *sql.DB) error {
		st, err := db.Prepare("UPSERT INTO w (id, s) VALUES (?, ?)")
		if err != nil {
			return err
		}
		defer st.Close()
		x := "1"
		_, err = st.Exec(uint32(next()), &x)
		if err != nil {
			return err
		}
		st2, err := db.Prepare("SELECT COUNT(*) FROM w WHERE id > @id")
		if err != nil {
			return err
		}
		defer st2.Close()
		var k int
		return st2.QueryRow(sql.Named("id", 1)).Scan(&k)
	}},
	{"prepared wrong n args=ErrSyntax", func(db *sql.DB) error {
		_, err := db.Exec("UPSERT INTO w (id, s) VALUES (?, ?)", 1)
		if !errors.Is(err, immudb.ErrSyntax) {
			return fmt.Errorf("%v", err)
		}
		return nil
	}},
	{"ErrDuplicateKey", func(db *sql.DB) error {
		id := next()
		db.Exec("INSERT INTO w (id) VALUES (?)", id)
		_, err := db.Exec("INSERT INTO w (id) VALUES (?)", id)
		var e *immudb.Error
		if !errors.Is(err, immudb.ErrDuplicateKey) || !errors.As(err, &e) {
			return fmt.Errorf("%v", err)
		}
		return nil
	}},
	{"TRUNCATE RowsAffected err", func(db *sql.DB) error {
		db.Exec("CREATE TABLE IF NOT EXISTS wt (id INTEGER, PRIMARY KEY id)")
		r, err := db.Exec("TRUNCATE TABLE wt")
		if err != nil {
			return err
		}
		if _, err := r.RowsAffected(); err == nil {
			return errors.New("no error")
		}
		return nil
	}},
	{"LastInsertId", func(db *sql.DB) error {
		r, err := db.Exec("INSERT INTO wa (s) VALUES ('a')")
		if err != nil {
			return err
		}
		id, err := r.LastInsertId()
		if err == nil && id == 0 {
			err = errors.New("0")
		}
		return err
	}},
	{"BeginTx levels", func(db *sql.DB) error {
		tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSnapshot, ReadOnly: true})
		if err != nil {
			return err
		}
		_, err = tx.Exec("UPSERT INTO w (id) VALUES (1)")
		tx.Rollback()
		if !errors.Is(err, immudb.ErrReadOnly) {
			return fmt.Errorf("readonly: %v", err)
		}
		if tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelLinearizable}); err == nil {
			tx.Rollback()
			return errors.New("linearizable accepted")
		}
		return nil
	}},
	{"RunTx conflict", func(db *sql.DB) error {
		tries := 0
		id := next()
		if _, err := db.Exec("UPSERT INTO w (id,n) VALUES (?,1)", id); err != nil {
			return err
		}
		err := immudb.RunTx(ctx, db, nil, func(tx *sql.Tx) error {
			tries++
			var k int64
			if err := tx.QueryRow("SELECT n FROM w WHERE id = ?", id).Scan(&k); err != nil {
				return err
			}
			if tries == 1 {
				if _, err := db.Exec("UPSERT INTO w (id,n) VALUES (?,5)", id); err != nil {
					return err
				}
			}
			_, err := tx.Exec("UPSERT INTO w (id,n) VALUES (?,?)", id, k+1)
			return err
		})
		if err != nil {
			return err
		}
		return eq(tries, 2)
	}},
	{"CommitInfo", func(db *sql.DB) error {
		var ci immudb.CommitInfo
		_, err := db.ExecContext(immudb.WithCommitInfo(ctx, &ci), "UPSERT INTO w (id) VALUES (7)")
		if err != nil {
			return err
		}
		if ci.TxID == 0 {
			return errors.New("no TxID for Exec")
		}
		return nil
	}},
	{"CommitInfo of tx", func(db *sql.DB) error {
		var ci immudb.CommitInfo
		tx, err := db.BeginTx(immudb.WithCommitInfo(ctx, &ci), nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		tx.Exec("UPSERT INTO w (id) VALUES (7)")
		if err := tx.Commit(); err != nil {
			return err
		}
		if ci.TxID == 0 {
			return errors.New("no TxID")
		}
		return nil
	}},
	{"ResetSession USE", func(db *sql.DB) error {
		db.Exec("CREATE DATABASE IF NOT EXISTS other")
		db.SetMaxOpenConns(1)
		defer db.SetMaxOpenConns(0)
		c, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.ExecContext(ctx, "USE DATABASE other"); err != nil {
			return err
		}
		c.Close()
		var k int
		return db.QueryRow("SELECT COUNT(*) FROM w").Scan(&k) // fails in "other"
	}},
	{"IsValid", func(db *sql.DB) error {
		db.SetMaxOpenConns(1)
		defer db.SetMaxOpenConns(0)
		// an open tx whose conn is given back by a canceled ctx
		c2, cancel := context.WithCancel(ctx)
		defer cancel()
		tx, err := db.BeginTx(c2, nil)
		if err != nil {
			return err
		}
		tx.Exec("UPSERT INTO w (id) VALUES (7)")
		cancel() // database/sql rolls back, and then gives the one conn to the query
		var k int
		return db.QueryRow("SELECT COUNT(*) FROM w").Scan(&k)
	}},
	{"NextResultSet", func(db *sql.DB) error {
		rows, err := db.Query("SELECT id FROM w; SELECT s, id FROM w")
		if err != nil {
			return err
		}
		defer rows.Close()
		if !rows.NextResultSet() {
			return errors.New("none")
		}
		c, _ := rows.Columns()
		return eq(len(c), 2)
	}},
	{"ColumnTypes", func(db *sql.DB) error {
		rows, err := db.Query("SELECT id, s, t FROM w")
		if err != nil {
			return err
		}
		defer rows.Close()
		ct, err := rows.ColumnTypes()
		if err != nil {
			return err
		}
		if ct[0].DatabaseTypeName() != "INTEGER" || ct[2].ScanType() == nil || ct[2].ScanType().String() == "interface {}" {
			return fmt.Errorf("%v %v", ct[0].DatabaseTypeName(), ct[2].ScanType())
		}
		return nil
	}},
	{"Raw", func(db *sql.DB) error {
		c, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		uuid := ""
		if err := immudb.Raw(ctx, c, func(own *immudb.Conn) error {
			uuid = own.SessionTokens().ServerUUID
			return nil
		}); err != nil {
			return err
		}
		if uuid == "" {
			return errors.New("the conn has no session")
		}
		return nil
	}},
	{"CopyFrom", func(db *sql.DB) error {
		_, err := immudb.CopyFrom(ctx, db, "w", []string{"id", "s"}, oneRow(next(), "c"), nil)
		return err
	}},
	{"VerifiedRow", func(db *sql.DB) error {
		db.Exec("UPSERT INTO w (id) VALUES (7)")
		_, err := immudb.VerifiedRow(ctx, db, "w", 7)
		return err
	}},
	{"VerifyRows", func(db *sql.DB) error {
		_, err := immudb.VerifyRows(ctx, db, "w", "WHERE id = ?", 7)
		return err
	}},
	{"Audit", func(db *sql.DB) error {
		_, err := immudb.Audit(ctx, db, immudb.AuditOptions{})
		return err
	}},
	{"RETURNING query", func(db *sql.DB) error {
		var id int64
		return db.QueryRow("INSERT INTO wa (s) VALUES ('a') RETURNING id").Scan(&id)
	}},
	{"ctx deadline error", func(db *sql.DB) error {
		c2, cancel := context.WithCancel(ctx)
		cancel()
		_, err := db.ExecContext(c2, "UPSERT INTO w (id) VALUES (7)")
		if !errors.Is(err, context.Canceled) {
			return fmt.Errorf("%v", err)
		}
		return nil
	}},
	{"Driver()", func(db *sql.DB) error {
		if _, ok := db.Driver().(*immudb.Driver); !ok {
			return fmt.Errorf("%T", db.Driver())
		}
		return nil
	}},
}
