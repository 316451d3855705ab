package traptest

import (
	"database/sql"
	"errors"
	"sync"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// telling are error texts of the server that decide about retries, transactions and
// sessions. In values of the user they must not decide anything.
var telling = []string{"tx read conflict", "no transaction found", "session not found", "no session found",
	"max concurrency limit exceeded", "already closed", "read-only transaction", "x' tx read conflict"}

func TestValueThatTheServerQuotesIsNoErrorOfItsOwn(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, u UUID, ts TIMESTAMP, PRIMARY KEY id)")
	for _, text := range telling {
		expect := func(what string, err error) {
			t.Helper()
			var e *immudb.Error
			if !errors.As(err, &e) || e.Retryable() || !errors.Is(err, immudb.ErrInvalidValue) {
				t.Errorf("%q, %s: %v, want an ErrInvalidValue that is not retryable", text, what, err)
			}
		}
		for _, column := range []string{"n", "u", "ts"} {
			_, err := db.Exec("INSERT INTO t (id, "+column+") VALUES (1, ?)", text)
			expect("INSERT into "+column, err)
		}
		expect("SELECT", db.QueryRow("SELECT id FROM t WHERE n = CAST(? AS INTEGER) OR id = CAST(? AS INTEGER)", text, text).Scan(new(int)))
		tx := dbtest.Begin(t, db, nil)
		dbtest.Exec(t, tx, "UPSERT INTO t (id, n) VALUES (7, 7)")
		expect("SELECT in a transaction", tx.QueryRow("SELECT id FROM t WHERE id = CAST(? AS INTEGER)", text).Scan(new(int)))
		dbtest.Exec(t, tx, "UPSERT INTO t (id, n) VALUES (8, 8)") // the transaction is as it was
		if err := tx.Commit(); err != nil {
			t.Errorf("%q: COMMIT after a query that was refused: %v", text, err)
		}
	}
}

func TestValueThatTheServerQuotesFailsNobodyElseInItsGroup(t *testing.T) {
	db := dbtest.Open(t, "group_commit=64")
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY id)")
	var wg sync.WaitGroup
	for caller := range 16 {
		wg.Go(func() {
			for i := range 10 {
				var n any = i
				if caller == 0 {
					n = telling[i%len(telling)]
				}
				_, err := db.Exec("INSERT INTO t (id, n) VALUES (?, ?)", 100*caller+i, n)
				if (err != nil) != (caller == 0) {
					t.Errorf("caller %d, insert %d: %v", caller, i, err)
				}
			}
		})
	}
	wg.Wait()
	if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); n != 150 {
		t.Errorf("%d rows, want 150", n)
	}
}

func TestTableThatAnotherProgramMadeAnewIsKnownFromTheAnswer(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	ours, others := dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, others, "CREATE TABLE t (id INTEGER, v VARCHAR[20], w VARCHAR[20], PRIMARY KEY id)")
	insert := func(query string) (sql.Result, error) {
		tx := dbtest.Begin(t, ours, nil)
		defer func() { _ = tx.Commit() }()
		return tx.Exec(query)
	}
	if _, err := insert("INSERT INTO t (id, v) VALUES (1, 'x')"); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, others, "DROP TABLE t")
	dbtest.Exec(t, others, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v VARCHAR[20], w VARCHAR[20], PRIMARY KEY id)")
	res, err := insert("INSERT INTO t (v) VALUES ('x')")
	if err != nil {
		t.Fatal(err)
	}
	if id, err := res.LastInsertId(); id != 1 || err != nil {
		t.Errorf("LastInsertId: %d, %v, want 1", id, err)
	}
	dbtest.Exec(t, others, "ALTER TABLE t DROP COLUMN w")
	if err := ours.QueryRow("INSERT INTO t (v) VALUES ('y') RETURNING id, w").Scan(new(int), new(any)); !errors.Is(err, immudb.ErrNoSuchColumn) {
		t.Errorf("RETURNING of a dropped column: %v, want ErrNoSuchColumn", err)
	}
}
