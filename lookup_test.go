package immudb_test

import (
	"context"
	"database/sql"
	"errors"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// ageCatalog makes the descriptions of tables older than is believed, and young enough
// for a statement to begin with.
func ageCatalog(t *testing.T, db *sql.DB) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = immudb.Raw(t.Context(), conn, func(c *immudb.Conn) error {
		c.AgeCatalog(20 * time.Second)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lateLookups holds each query outside a transaction back until a statement of one is sent.
type lateLookups struct {
	mu    sync.Mutex
	sent  chan struct{} // nil: nothing is held back
	looks int
}

func (l *lateLookups) intercept(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	l.mu.Lock()
	sent := l.sent
	switch {
	case sent == nil:
	case path.Base(method) == "SQLQuery":
		l.looks++
		l.mu.Unlock()
		select {
		case <-sent:
		case <-ctx.Done():
		}
		return streamer(ctx, desc, cc, method, opts...)
	case path.Base(method) == "TxSQLQuery":
		select {
		case <-sent:
		default:
			close(sent)
		}
	}
	l.mu.Unlock()
	return streamer(ctx, desc, cc, method, opts...)
}

func TestStatementDoesNotWaitForALookupOfItsTable(t *testing.T) {
	cfg, err := immudb.ParseDSN(dbtest.FreshDSN(t))
	if err != nil {
		t.Fatal(err)
	}
	late := &lateLookups{}
	cfg.DialOptions = []grpc.DialOption{grpc.WithStreamInterceptor(late.intercept)}
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, n INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE INDEX ON t (n)")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	transact := func() {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		for _, text := range []string{"INSERT INTO t (n) VALUES (1), (2)", "SELECT id FROM t WHERE n = 2"} {
			rows, err := tx.QueryContext(ctx, text)
			if err == nil {
				_, err = dbtest.Drain[int64](rows)
			}
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	transact()
	ageCatalog(t, db)
	late.mu.Lock()
	late.sent = make(chan struct{})
	late.mu.Unlock()
	transact()
	if late.looks != 2 {
		t.Errorf("%d lookups, want 2: the description and the number of rows", late.looks)
	}
	late.looks = 0
	transact()
	if late.looks != 0 {
		t.Errorf("%d lookups in the next transaction", late.looks)
	}
}

func TestTransactionThatReliedOnAChangedTableIsWorthARetry(t *testing.T) {
	for _, row := range []struct {
		name, change string
		run          func(tx *sql.Tx) error
	}{
		{"an index that own writes are not found by", "CREATE INDEX ON t (n)", func(tx *sql.Tx) error {
			if _, err := tx.Exec("UPDATE t SET n = 5 WHERE id = 1"); err != nil {
				return err
			}
			rows, err := tx.Query("SELECT id FROM t WHERE n = 5")
			if err != nil {
				return err
			}
			if ids, err := dbtest.Drain[int64](rows); err != nil || !slices.Equal(ids, []int64{1}) {
				t.Errorf("ids %v (%v), want 1", ids, err)
			}
			return nil
		}},
		{"a column", "ALTER TABLE t ADD COLUMN more INTEGER", func(tx *sql.Tx) error {
			_, err := tx.Exec("INSERT INTO t (n) VALUES (7)")
			return err
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dsn := dbtest.FreshDSN(t)
			db, other := dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dsn)
			dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, n INTEGER, v INTEGER, PRIMARY KEY id)")
			dbtest.Exec(t, db, "CREATE INDEX ON t (v)")
			dbtest.Exec(t, db, "INSERT INTO t (n) VALUES (1)")
			if err := immudb.RunTx(t.Context(), db, nil, row.run); err != nil {
				t.Fatal(err)
			}
			dbtest.Exec(t, other, row.change)
			ageCatalog(t, db)
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			if err := row.run(tx); !errors.Is(err, immudb.ErrConflict) {
				t.Fatalf("error %v, want ErrConflict", err)
			}
			if err := tx.Commit(); !errors.Is(err, immudb.ErrTxAborted) {
				t.Errorf("commit: %v, want ErrTxAborted", err)
			}
			if err := immudb.RunTx(t.Context(), db, nil, row.run); err != nil {
				t.Errorf("retry: %v", err)
			}
		})
	}
}
