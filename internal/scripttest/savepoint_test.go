package scripttest

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// toSavepoint begins a transaction, writes and reads in it, makes the savepoint a, and writes rows that are to be undone.
func toSavepoint(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx := dbtest.Begin(t, db, nil)
	for _, text := range []string{"INSERT INTO t (v) VALUES (1)", "SELECT id FROM t", "SAVEPOINT a", "INSERT INTO t (v) VALUES (2)", "UPDATE t SET v = 3"} {
		dbtest.Exec(t, tx, text)
	}
	return tx
}

func TestServerNeverSeesASavepoint(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		tx := toSavepoint(t, db)
		dbtest.Exec(t, tx, "ROLLBACK TO SAVEPOINT a")
		dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (4); RELEASE a")
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		ExpectCommitted(t, fake, "INSERT INTO t (v) VALUES (1) RETURNING \"id\"", "INSERT INTO t (v) VALUES (4) RETURNING \"id\"")
		for _, line := range fake.Log() {
			if strings.Contains(line, "SAVEPOINT") || strings.Contains(line, "RELEASE") {
				t.Errorf("the server saw %s", line)
			}
		}
	})
}

// The calls of ROLLBACK TO: the old transaction ends; a second one runs the kept statements again; a third, which is
// rolled back, checks that the undone statements would still return the same results.
func TestRollbackToSavepointReplaysTheKeptStatements(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		tx := toSavepoint(t, db)
		dbtest.Exec(t, tx, "ROLLBACK TO SAVEPOINT a")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the driver ends transactions in the background
		calls := map[string][]string{}
		for _, c := range fake.Calls() {
			if c.Method == "TxSQLQuery" && !strings.Contains(c.SQL, "COLUMNS(") {
				calls[c.Tx] = append(calls[c.Tx], c.SQL)
			}
		}
		kept := []string{"INSERT INTO t (v) VALUES (1) RETURNING \"id\"", "SELECT id FROM t"}
		all := append(slices.Clone(kept), "INSERT INTO t (v) VALUES (2) RETURNING \"id\"", "UPDATE t SET v = 3 RETURNING NULL")
		for id, want := range map[string][]string{"t1": all, "t2": kept, "t3": all} {
			if !slices.Equal(calls[id], want) {
				t.Errorf("transaction %s: %q, want %q", id, calls[id], want)
			}
		}
		if left := fake.Transactions(); len(left) > 0 {
			t.Errorf("transactions %q are open on the server", left)
		}
	})
}

// Each call of ROLLBACK TO is tested with each fault. It commits nothing, the error says that the transaction can be
// run again, and the next ROLLBACK TO succeeds, except after a conflict, which ends the transaction.
func TestFaultDuringRollbackToSavepointCommitsNothing(t *testing.T) {
	calls := []struct {
		method, sql string
		nth         int
	}{
		{"NewTx", "", 2}, {"TxSQLQuery", "COLUMNS(", 2}, {"TxSQLQuery", "VALUES (1)", 2}, {"TxSQLQuery", "SELECT id FROM t", 2},
		{"NewTx", "", 3}, {"TxSQLQuery", "VALUES (1)", 3}, {"TxSQLQuery", "SELECT id FROM t", 3}, {"TxSQLQuery", "VALUES (2)", 2}, {"TxSQLQuery", "UPDATE", 2},
	}
	for _, row := range []struct {
		name     string
		fault    fakeserver.Fault
		is       error
		conflict bool
		queries  bool // only queries can have this fault
		healed   bool // the driver retries BEGIN
	}{
		{name: "the connection is lost before", fault: fakeserver.Fault{CutBefore: true}},
		{name: "the answer is lost", fault: fakeserver.Fault{CutAfter: true}},
		{name: "the session is lost", fault: fakeserver.Fault{Fail: &fakeserver.Failure{Message: "no session found", SQLState: "22023"}}, is: immudb.ErrSessionLost, healed: true},
		{name: "the transaction is lost", fault: fakeserver.Fault{Fail: &fakeserver.Failure{Message: "no transaction found"}}, is: immudb.ErrTxAborted, queries: true},
		{name: "the caller gives up", fault: fakeserver.Fault{AnswerDelay: time.Hour}, is: context.DeadlineExceeded},
		{name: "another answer", fault: fakeserver.Fault{Messages: [][]byte{fakeserver.Result(fakeserver.ID, fakeserver.Numbers(7, 1)...)}}, is: immudb.ErrConflict, conflict: true, queries: true},
		{name: "no rows", fault: fakeserver.Fault{Messages: [][]byte{fakeserver.Result(fakeserver.ID)}}, is: immudb.ErrConflict, conflict: true, queries: true},
		{name: "a duplicate key", fault: fakeserver.Fault{Fail: &fakeserver.Failure{Message: "key already exists"}}, is: immudb.ErrConflict, conflict: true, queries: true},
		{name: "a conflict", fault: fakeserver.Fault{Fail: &fakeserver.Failure{Message: "tx read conflict"}}, is: immudb.ErrConflict, conflict: true, queries: true},
	} {
		for _, at := range calls {
			if row.queries && at.method == "NewTx" {
				continue
			}
			script := fakeserver.Script{Rules: []fakeserver.Rule{{Method: at.method, SQL: at.sql, Nth: at.nth, Do: row.fault}}}
			t.Run(row.name+", "+at.method+" "+at.sql, func(t *testing.T) {
				Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					tx := toSavepoint(t, db)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					_, err := tx.ExecContext(ctx, "ROLLBACK TO a")
					if len(fake.Committed()) > 0 {
						t.Fatalf("committed %q", fake.Committed())
					}
					var e *immudb.Error
					switch {
					case err == nil && row.healed && at.method == "NewTx":
					case err == nil, row.is != nil && !errors.Is(err, row.is):
						t.Fatalf("err = %v, want %v", err, row.is)
					case row.is != context.DeadlineExceeded && (!errors.As(err, &e) || !e.Retryable()), errors.Is(err, immudb.ErrOutcomeUnknown):
						t.Errorf("err = %v, want one that is retryable", err)
					}
					if err != nil {
						if _, err := tx.Exec("INSERT INTO t (v) VALUES (5)"); !errors.Is(err, immudb.ErrTxAborted) {
							t.Errorf("a statement after the failure: %v, want ErrTxAborted", err)
						}
						_, err = tx.Exec("ROLLBACK TO a")
						if row.conflict {
							if !errors.Is(err, immudb.ErrTxAborted) || tx.Commit() == nil || len(fake.Committed()) > 0 {
								t.Errorf("after a conflict: %v, committed %q", err, fake.Committed())
							}
							return
						}
						if err != nil {
							t.Fatalf("ROLLBACK TO again: %v", err)
						}
					}
					if _, err := tx.Exec("INSERT INTO t (v) VALUES (4)"); errors.Is(err, immudb.ErrSessionLost) {
						// The driver noticed the loss of the session when it began the third transaction.
						dbtest.Exec(t, tx, "ROLLBACK TO a; INSERT INTO t (v) VALUES (4)")
					} else if err != nil {
						t.Fatal(err)
					}
					if err := tx.Commit(); err != nil {
						t.Fatal(err)
					}
					ExpectCommitted(t, fake, "INSERT INTO t (v) VALUES (1) RETURNING \"id\"", "INSERT INTO t (v) VALUES (4) RETURNING \"id\"")
				})
			})
		}
	}
}

// A statement whose answer was lost, or whose caller cancelled it, may have run. It has committed nothing, so ROLLBACK TO
// can undo it.
func TestLostAnswerAfterASavepointCanBeUndone(t *testing.T) {
	for _, fault := range []fakeserver.Fault{{CutAfter: true}, {CutBefore: true}, {AnswerDelay: time.Hour}, {Fail: &fakeserver.Failure{Message: "no session found", SQLState: "22023"}}} {
		script := fakeserver.Script{Rules: []fakeserver.Rule{{Method: "TxSQLQuery", SQL: "VALUES (2)", Nth: 1, Do: fault}}}
		Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			tx := dbtest.Begin(t, db, nil)
			dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (1)")
			dbtest.Exec(t, tx, "SAVEPOINT a")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := tx.ExecContext(ctx, "INSERT INTO t (v) VALUES (2)"); err == nil || errors.Is(err, immudb.ErrOutcomeUnknown) {
				t.Fatalf("err = %v, want one that says that nothing is committed", err)
			}
			dbtest.Exec(t, tx, "ROLLBACK TO a")
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			ExpectCommitted(t, fake, "INSERT INTO t (v) VALUES (1) RETURNING \"id\"")
		})
	}
}

// If the answer to a commit is lost the outcome is unknown, and nothing of the transaction is sent again.
func TestLostCommitAfterRollbackToSavepointIsUnknown(t *testing.T) {
	Faulty(t, Rule("Commit", 1, fakeserver.Fault{CutAfter: true}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		tx := toSavepoint(t, db)
		dbtest.Exec(t, tx, "ROLLBACK TO a")
		if err := tx.Commit(); !errors.Is(err, immudb.ErrOutcomeUnknown) {
			t.Errorf("err = %v, want ErrOutcomeUnknown", err)
		}
		if _, err := tx.Exec("ROLLBACK TO a"); !errors.Is(err, sql.ErrTxDone) {
			t.Errorf("ROLLBACK TO after the commit: %v", err)
		}
		ExpectCommitted(t, fake, "INSERT INTO t (v) VALUES (1) RETURNING \"id\"")
	})
}

// If a query failed or was interrupted before the savepoint, the replay must give the same rows up to that place.
func TestQueryThatFailedIsRepeatedAsFarAsItCame(t *testing.T) {
	broken := fakeserver.Fault{Messages: twoMessages[:1], Status: &fakeserver.Failure{Message: "division by zero"}}
	for _, row := range []struct {
		name     string
		again    fakeserver.Fault
		conflict bool
	}{
		{"in the same way", broken, false},
		{"further", fakeserver.Fault{Messages: twoMessages}, false}, // the program has seen only the first rows
		{"not so far", fakeserver.Fault{Fail: &fakeserver.Failure{Message: "division by zero"}}, true},
		{"with other rows", fakeserver.Fault{Messages: [][]byte{twoMessages[1]}, Status: broken.Status}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			script := fakeserver.Script{Rules: []fakeserver.Rule{{Method: "TxSQLQuery", SQL: "SELECT", Nth: 1, Do: broken}, {Method: "TxSQLQuery", SQL: "SELECT", Do: row.again}}}
			Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				tx := dbtest.Begin(t, db, nil)
				if _, err := tx.Exec("SELECT id FROM t"); !errors.Is(err, immudb.ErrInvalidValue) {
					t.Fatal(err)
				}
				dbtest.Exec(t, tx, "SAVEPOINT a")
				dbtest.Exec(t, tx, "DELETE FROM t")
				if _, err := tx.Exec("ROLLBACK TO a"); errors.Is(err, immudb.ErrConflict) != row.conflict || (err != nil) != row.conflict {
					t.Errorf("err = %v, conflict wanted: %v", err, row.conflict)
				}
				_ = tx.Rollback()
			})
		})
	}
}
