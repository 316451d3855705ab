// Package valuetest writes the extreme values of each type in every possible way, and reads
// them back.
package valuetest

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// way writes a value into a column of the row with that id.
type way struct {
	name     string
	literals bool // it writes literals
	write    func(ctx context.Context, db *sql.DB, id int, column string, arg any) error
}

func exec(ctx context.Context, db dbtest.Execer, query string, args ...any) error {
	_, err := db.ExecContext(ctx, query, args...)
	return err
}

// prepared runs a prepared statement.
func prepared(ctx context.Context, db interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}, query string, args ...any) error {
	st, err := db.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx, args...)
	return errors.Join(err, st.Close())
}

func inTx(f func(ctx context.Context, tx *sql.Tx, id int, column string, arg any) error) func(context.Context, *sql.DB, int, string, any) error {
	return func(ctx context.Context, db *sql.DB, id int, column string, arg any) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := f(ctx, tx, id, column, arg); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	}
}

func insert(column string) string { return "INSERT INTO vals (id, " + column + ") VALUES (?, ?)" }

func copied(opts *immudb.CopyOptions) func(context.Context, *sql.DB, int, string, any) error {
	return func(ctx context.Context, db *sql.DB, id int, column string, arg any) error {
		_, err := immudb.CopyFrom(ctx, db, "vals", []string{"id", column}, dbtest.Rows([]any{id, arg}), opts)
		return err
	}
}

var ways = []way{
	{"Exec", false, func(ctx context.Context, db *sql.DB, id int, column string, arg any) error {
		return exec(ctx, db, insert(column), id, arg)
	}},
	{"Exec with $n", false, func(ctx context.Context, db *sql.DB, id int, column string, arg any) error {
		return exec(ctx, db, "INSERT INTO vals ("+column+", id) VALUES ($2, $1)", id, arg)
	}},
	{"Exec with names", false, func(ctx context.Context, db *sql.DB, id int, column string, arg any) error {
		return exec(ctx, db, "INSERT INTO vals ("+column+", id) VALUES (@v, @id)", sql.Named("id", id), sql.Named("v", arg))
	}},
	{"UPSERT", false, func(ctx context.Context, db *sql.DB, id int, column string, arg any) error {
		return exec(ctx, db, "UPSERT INTO vals (id, "+column+") VALUES (?, ?)", id, arg)
	}},
	{"UPDATE", false, func(ctx context.Context, db *sql.DB, id int, column string, arg any) error {
		return errors.Join(exec(ctx, db, "INSERT INTO vals (id) VALUES (?)", id), exec(ctx, db, "UPDATE vals SET "+column+" = ? WHERE id = ?", arg, id))
	}},
	{"ON CONFLICT", false, func(ctx context.Context, db *sql.DB, id int, column string, arg any) error {
		return errors.Join(exec(ctx, db, "INSERT INTO vals (id) VALUES (?)", id), exec(ctx, db, "INSERT INTO vals (id) VALUES (?) ON CONFLICT DO UPDATE SET "+column+" = ?", id, arg))
	}},
	{"several statements", false, func(ctx context.Context, db *sql.DB, id int, column string, arg any) error {
		return exec(ctx, db, "DELETE FROM vals WHERE id = ?; "+insert(column), -id-1, id, arg)
	}},
	{"prepared", false, func(ctx context.Context, db *sql.DB, id int, column string, arg any) error {
		return prepared(ctx, db, insert(column), id, arg)
	}},
	{"a transaction", false, inTx(func(ctx context.Context, tx *sql.Tx, id int, column string, arg any) error {
		return exec(ctx, tx, insert(column), id, arg)
	})},
	{"prepared in a transaction", false, inTx(func(ctx context.Context, tx *sql.Tx, id int, column string, arg any) error {
		return prepared(ctx, tx, insert(column), id, arg)
	})},
	{"RETURNING", false, func(ctx context.Context, db *sql.DB, id int, column string, arg any) error {
		return db.QueryRowContext(ctx, insert(column)+" RETURNING id", id, arg).Scan(new(int))
	}},
	{"literals", true, func(ctx context.Context, db *sql.DB, id int, column string, arg any) error {
		return exec(ctx, db, "INSERT INTO vals (id, "+column+") SELECT ?, ? FROM one WHERE EXISTS (SELECT 1 FROM one AS o WHERE o.id = ?)", id, arg, 1)
	}},
	{"CopyFrom", false, copied(nil)},
	{"CopyFrom with Upsert", false, copied(&immudb.CopyOptions{Upsert: true})},
	{"CopyFrom, all or nothing", false, copied(&immudb.CopyOptions{AllOrNothing: true})},
}

func open(t *testing.T, options ...string) *sql.DB {
	db := dbtest.Open(t, options...)
	for _, query := range dbtest.ValuesTable {
		dbtest.Exec(t, db, query)
	}
	return db
}

func TestValuesComeBackHoweverTheyAreWritten(t *testing.T) {
	db := open(t)
	values := dbtest.Values()
	id := 0
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			for i := range values {
				v := &values[i]
				id++
				err := way.write(t.Context(), db, id, v.Column, v.Arg)
				if way.literals && v.NoLiteral && errors.Is(err, immudb.ErrInvalidValue) {
					continue
				}
				if err != nil {
					t.Errorf("column %s: %.80q (%T): %v", v.Column, v.Arg, v.Arg, err)
					continue
				}
				dbtest.CheckValue(t, db, way.name, id, v)
				dbtest.CheckValue(t, dbtest.Begin(t, db, &sql.TxOptions{ReadOnly: true}), way.name+", read in a transaction", id, v)
			}
		})
	}
}

func TestValuesComeBackFromGroups(t *testing.T) {
	db := open(t, "group_commit=32")
	values := dbtest.Values()
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := w; i < len(values); i += 8 {
				if err := exec(t.Context(), db, insert(values[i].Column), i, values[i].Arg); err != nil {
					t.Errorf("%.80q: %v", values[i].Arg, err)
				}
			}
		})
	}
	writers.Wait()
	for i := range values {
		dbtest.CheckValue(t, db, "group_commit", i, &values[i])
	}
}

func TestValuesComeBackFromOneCopyOfAll(t *testing.T) {
	db := open(t)
	values := dbtest.Values()
	columns := []string{"id", "i", "f", "s", "x", "b", "ts", "u", "j"}
	rows := make([][]any, len(values))
	for i := range values {
		rows[i] = make([]any, len(columns))
		rows[i][0] = i
		for k, column := range columns {
			if column == values[i].Column {
				rows[i][k] = values[i].Arg
			}
		}
	}
	if n, err := immudb.CopyFrom(t.Context(), db, "vals", columns, dbtest.Rows(rows...), nil); n != int64(len(rows)) || err != nil {
		t.Fatalf("%d rows, %v", n, err)
	}
	for i := range values {
		dbtest.CheckValue(t, db, "CopyFrom of all", i, &values[i])
	}
}

func TestValuesThatNoColumnHoldsAreRefusedHoweverTheyAreWritten(t *testing.T) {
	db := open(t)
	grouped := dbtest.OpenDSN(t, dsnOf(t))
	for _, query := range dbtest.ValuesTable {
		dbtest.Exec(t, grouped, query)
	}
	for _, db := range []*sql.DB{db, grouped} {
		dbtest.Exec(t, db, "INSERT INTO vals (id) VALUES (0)")
	}
	for _, v := range []struct {
		column string
		arg    any
	}{
		{"f", math.NaN()}, {"f", float32(math.NaN())}, {"i", uint64(math.MaxInt64) + 1}, {"s", "\xff"}, {"s", strings.Repeat("é", 40) + "\xc3"}, {"j", []byte("\"\xff\"")}, {"u", make([]byte, 15)}, {"s", struct{}{}},
	} {
		check := func(name string, err error) {
			t.Helper()
			if !errors.Is(err, immudb.ErrInvalidValue) && !errors.Is(err, immudb.ErrUnsupported) {
				t.Errorf("%s: %.40q: err = %v, want ErrInvalidValue or ErrUnsupported", name, v.arg, err)
			}
		}
		for _, way := range ways {
			if way.name == "UPDATE" || way.name == "ON CONFLICT" {
				continue // these create the row first
			}
			check(way.name, way.write(t.Context(), db, 1, v.column, v.arg))
		}
		check("UPDATE", exec(t.Context(), db, "UPDATE vals SET "+v.column+" = ?", v.arg))
		check("group_commit", exec(t.Context(), grouped, insert(v.column), 1, v.arg))
	}
	for _, db := range []*sql.DB{db, grouped} {
		if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM vals WHERE i IS NULL AND f IS NULL AND s IS NULL AND j IS NULL AND u IS NULL"); n != 1 {
			t.Errorf("%d rows hold nothing, want the one", n)
		}
	}
}

func dsnOf(t *testing.T) string { return dbtest.FreshDSN(t, "group_commit=32") }

func TestProvenValuesAreThoseThatWereWritten(t *testing.T) {
	db := open(t, "verify=trust-first-use")
	values := dbtest.Values()
	verifier := immudb.NewVerifier(db)
	for i := range values {
		v := &values[i]
		dbtest.Exec(t, db, insert(v.Column), i, v.Arg)
		row, err := verifier.Row(t.Context(), "vals", i)
		if err != nil {
			t.Fatalf("%.80q: %v", v.Arg, err)
		}
		if got, _ := row.Value(v.Column); !v.Same(got) {
			t.Errorf("column %s: wrote %.80q, proven %.80q (%T)", v.Column, v.Arg, got, got)
		}
	}
}
