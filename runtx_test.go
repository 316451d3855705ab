package immudb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/DATA-DOG/go-sqlmock"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestRunTxCountsToTheSumWithManyWriters(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id, n) VALUES (1, 0)")
	const goroutines, each = 6, 10
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				err := immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error {
					var n int
					if err := tx.QueryRow("SELECT n FROM t WHERE id = 1").Scan(&n); err != nil {
						return err
					}
					_, err := tx.Exec("UPDATE t SET n = ? WHERE id = 1", n+1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := dbtest.Get[int](t, db, "SELECT n FROM t"); got != goroutines*each {
		t.Errorf("n = %d, want %d", got, goroutines*each)
	}
}

func TestRunTxLeavesNothingHoweverTheFunctionEnds(t *testing.T) {
	db := dbtest.Open(t)
	db.SetMaxOpenConns(1) // a leaked transaction would block the next call
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error {
			dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (1)")
			runtime.Goexit() // as t.FailNow does
			return nil
		})
	})
	wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	err := immudb.RunTx(ctx, db, nil, func(tx *sql.Tx) error {
		dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (2)")
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) && !errors.Is(err, sql.ErrTxDone) { // database/sql returns either
		t.Errorf("canceled: err = %v, want context.Canceled", err)
	}
	for name, end := range map[string]func(*sql.Tx) error{"Commit": (*sql.Tx).Commit, "Rollback": (*sql.Tx).Rollback} {
		if err := immudb.RunTx(t.Context(), db, nil, end); !errors.Is(err, sql.ErrTxDone) {
			t.Errorf("the function calls %s: err = %v, want sql.ErrTxDone", name, err)
		}
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 0 {
		t.Errorf("%d rows, want none", got)
	}
}

func TestRunTxRollsBackOnErrorAndPanic(t *testing.T) {
	db := dbtest.Open(t)
	db.SetMaxOpenConns(1) // a leaked transaction would block the next call
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	insert := func(tx *sql.Tx) { dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (1)") }

	own := errors.New("own")
	if err := immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error { insert(tx); return own }); err != own {
		t.Errorf("err = %v, want the function's own", err)
	}
	func() {
		defer func() {
			if p := recover(); p != "stop" {
				t.Errorf("panic %v, want the function's own", p)
			}
		}()
		_ = immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error { insert(tx); panic("stop") })
	}()
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 0 {
		t.Errorf("%d rows, want none", got)
	}
}

func TestRunTxEndsWithItsContext(t *testing.T) {
	db := dbtest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	runs := 0
	err := immudb.RunTx(ctx, db, nil, func(tx *sql.Tx) error {
		if runs++; runs == 3 {
			cancel()
		}
		return conflictOf(t)
	})
	if !errors.Is(err, immudb.ErrConflict) || runs != 3 {
		t.Errorf("ran %d times and ended with %v, want 3 and the last conflict", runs, err)
	}
}

// conflictOf gets a conflict from the server.
func conflictOf(t *testing.T) error {
	t.Helper()
	conflict.once.Do(func() {
		db := dbtest.Open(t)
		dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY id)")
		dbtest.Exec(t, db, "INSERT INTO t (id, n) VALUES (1, 0)")
		tx := dbtest.Begin(t, db, nil)
		dbtest.Get[int](t, tx, "SELECT n FROM t")
		dbtest.Exec(t, db, "UPDATE t SET n = 1 WHERE id = 1")
		dbtest.Exec(t, tx, "UPDATE t SET n = 2 WHERE id = 1")
		conflict.err = tx.Commit()
	})
	if !errors.Is(conflict.err, immudb.ErrConflict) {
		t.Fatalf("no conflict came about: %v", conflict.err)
	}
	return conflict.err
}

var conflict struct {
	once sync.Once
	err  error
}

func TestRunTxWorksWithTheDBOfAnyDriver(t *testing.T) {
	other := errors.New("40001: could not serialize")
	for _, row := range []struct {
		reason string
		expect func(mock sqlmock.Sqlmock)
		fn     func() error
		want   error
	}{
		{"success commits",
			func(m sqlmock.Sqlmock) { m.ExpectBegin(); m.ExpectCommit() },
			func() error { return nil }, nil},
		{"an error of another driver is not taken for a retryable one",
			func(m sqlmock.Sqlmock) { m.ExpectBegin(); m.ExpectRollback() },
			func() error { return other }, other},
		{"a conflict at commit runs the function again",
			func(m sqlmock.Sqlmock) {
				m.ExpectBegin()
				m.ExpectCommit().WillReturnError(conflictOf(t))
				m.ExpectBegin()
				m.ExpectCommit()
			},
			func() error { return nil }, nil},
		{"so does the conflict that a mock answers with",
			func(m sqlmock.Sqlmock) {
				m.ExpectBegin()
				m.ExpectCommit().WillReturnError(immudb.ErrConflict)
				m.ExpectBegin()
				m.ExpectCommit()
			},
			func() error { return nil }, nil},
		{"so does a server without room, wherever it says so",
			func(m sqlmock.Sqlmock) {
				m.ExpectBegin().WillReturnError(immudb.ErrOverloaded)
				m.ExpectBegin()
				m.ExpectCommit().WillReturnError(fmt.Errorf("wrapped: %w", immudb.ErrOverloaded))
				m.ExpectBegin()
				m.ExpectCommit()
			},
			func() error { return nil }, nil},
		{"so does a session that is lost, and the transaction with it",
			func(m sqlmock.Sqlmock) {
				m.ExpectBegin()
				m.ExpectCommit().WillReturnError(immudb.ErrSessionLost)
				m.ExpectBegin()
				m.ExpectCommit()
			},
			func() error { return nil }, nil},
		{"a transaction that a failed statement ended is not run again",
			func(m sqlmock.Sqlmock) { m.ExpectBegin(); m.ExpectCommit().WillReturnError(immudb.ErrTxAborted) },
			func() error { return nil }, immudb.ErrTxAborted},
		{"nor is one that did something else whose outcome is unknown, whatever went wrong beside it",
			func(m sqlmock.Sqlmock) { m.ExpectBegin(); m.ExpectRollback() },
			func() error { return errors.Join(conflictOf(t), immudb.ErrOutcomeUnknown) }, immudb.ErrOutcomeUnknown},
		{"a server that has no session to give is tried three times",
			func(m sqlmock.Sqlmock) {
				for range 3 {
					m.ExpectBegin().WillReturnError(immudb.ErrMaxSessions)
				}
			},
			func() error { return nil }, immudb.ErrMaxSessions},
		{"an unknown outcome is never run again",
			func(m sqlmock.Sqlmock) {
				m.ExpectBegin()
				m.ExpectCommit().WillReturnError(immudb.ErrOutcomeUnknown)
			},
			func() error { return nil }, immudb.ErrOutcomeUnknown},
		{"a begin that fails is reported",
			func(m sqlmock.Sqlmock) { m.ExpectBegin().WillReturnError(other) },
			func() error { return nil }, other},
	} {
		t.Run(row.reason, func(t *testing.T) {
			db, mock, err := sqlmock.New()
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			row.expect(mock)
			err = immudb.RunTx(t.Context(), db, nil, func(*sql.Tx) error { return row.fn() })
			if !errors.Is(err, row.want) {
				t.Errorf("err = %v, want %v", err, row.want)
			}
			if err := mock.ExpectationsWereMet(); err != nil {
				t.Error(err)
			}
		})
	}
}
