package scripttest

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

var conflict = fakeserver.Fault{Fail: &fakeserver.Failure{Message: "tx read conflict"}}

func retryCommits(cfg *immudb.Config) { cfg.RetryCommits = true }

// What happens to the second transaction decides: the same answers are committed, once; everything else commits nothing,
// and the caller learns that the transaction can be run again, unless the outcome of the second commit is unknown.
func TestConflictingCommitIsRunAgainOnlyWithTheSameAnswers(t *testing.T) {
	first := fakeserver.Rule{Method: "Commit", Nth: 1, Do: conflict}
	for _, row := range []struct {
		name      string
		rules     []fakeserver.Rule
		change    []Change
		is        error // nil: committed
		replayed  bool  // a second transaction began on the server
		committed bool
	}{
		{name: "the same answers", change: []Change{retryCommits}, replayed: true, committed: true},
		{name: "two conflicts", change: []Change{retryCommits}, replayed: true, committed: true,
			rules: []fakeserver.Rule{{Method: "Commit", Nth: 2, Do: conflict}}},
		{name: "without retry_commits", is: immudb.ErrConflict},
		{name: "max_retries=0", change: []Change{retryCommits, func(cfg *immudb.Config) { cfg.MaxRetries = 0 }}, is: immudb.ErrConflict},
		{name: "another answer to the query", change: []Change{retryCommits}, is: immudb.ErrConflict, replayed: true,
			rules: []fakeserver.Rule{{Method: "TxSQLQuery", SQL: "SELECT id FROM t", Nth: 2, Do: fakeserver.Fault{Messages: [][]byte{fakeserver.Result(fakeserver.ID, fakeserver.Numbers(7, 1)...)}}}}},
		{name: "another key", change: []Change{retryCommits}, is: immudb.ErrConflict, replayed: true,
			rules: []fakeserver.Rule{{Method: "TxSQLQuery", SQL: "VALUES (1)", Nth: 2, Do: fakeserver.Fault{Messages: [][]byte{fakeserver.Result(fakeserver.ID, fakeserver.Numbers(7, 1)...)}}}}},
		{name: "a refused statement", change: []Change{retryCommits}, is: immudb.ErrConflict, replayed: true,
			rules: []fakeserver.Rule{{Method: "TxSQLQuery", SQL: "VALUES (1)", Nth: 2, Do: fakeserver.Fault{Fail: &fakeserver.Failure{Message: "key already exists"}}}}},
		{name: "the connection is lost", change: []Change{retryCommits}, is: immudb.ErrUnreachable, replayed: true,
			rules: []fakeserver.Rule{{Method: "TxSQLQuery", SQL: "VALUES (1)", Nth: 2, Do: fakeserver.Fault{CutAfter: true}}}},
		{name: "the answer of the second commit is lost", change: []Change{retryCommits}, is: immudb.ErrOutcomeUnknown, replayed: true, committed: true,
			rules: []fakeserver.Rule{{Method: "Commit", Nth: 2, Do: fakeserver.Fault{CutAfter: true}}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			Faulty(t, fakeserver.Script{Rules: append(row.rules, first)}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				tx := dbtest.Begin(t, db, nil)
				dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (1)")
				dbtest.Exec(t, tx, "SELECT id FROM t")
				err := tx.Commit()
				if !errors.Is(err, row.is) {
					t.Errorf("Commit: %v, want %v", err, row.is)
				}
				var e *immudb.Error
				if err != nil && errors.As(err, &e) && e.Retryable() == errors.Is(err, immudb.ErrOutcomeUnknown) {
					t.Errorf("retryable: %v, for %v", e.Retryable(), err)
				}
				if n := count(fake, "NewTx"); (n > 1) != row.replayed {
					t.Errorf("%d transactions were begun, replayed: %v", n, row.replayed)
				}
				var want []string
				if row.committed {
					want = []string{"INSERT INTO t (v) VALUES (1) RETURNING \"id\""}
				}
				ExpectCommitted(t, fake, want...)
			}, row.change...)
		})
	}
}

// A commit whose outcome is unknown may have been done, so it is not run again.
func TestCommitOfUnknownOutcomeIsNotRunAgain(t *testing.T) {
	script := fakeserver.Script{Rules: []fakeserver.Rule{{Method: "Commit", Nth: 1, Do: fakeserver.Fault{CutAfter: true}}}}
	Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		tx := dbtest.Begin(t, db, nil)
		dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (1)")
		if err := tx.Commit(); !errors.Is(err, immudb.ErrOutcomeUnknown) {
			t.Errorf("Commit: %v, want ErrOutcomeUnknown", err)
		}
		if n := count(fake, "NewTx"); n != 1 {
			t.Errorf("%d transactions were begun", n)
		}
		ExpectCommitted(t, fake, "INSERT INTO t (v) VALUES (1) RETURNING \"id\"")
	}, retryCommits)
}

// What was undone by ROLLBACK TO is not run again either.
func TestConflictingCommitRunsAgainWithoutWhatASavepointUndid(t *testing.T) {
	script := fakeserver.Script{Rules: []fakeserver.Rule{{Method: "Commit", Nth: 1, Do: conflict}}}
	Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		tx := toSavepoint(t, db)
		dbtest.Exec(t, tx, "ROLLBACK TO a")
		dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (4)")
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		ExpectCommitted(t, fake, "INSERT INTO t (v) VALUES (1) RETURNING \"id\"", "INSERT INTO t (v) VALUES (4) RETURNING \"id\"")
	}, retryCommits)
}

// The wait between two commits is bounded, as the commit is.
func TestCommitThatAlwaysConflictsEnds(t *testing.T) {
	script := fakeserver.Script{Rules: []fakeserver.Rule{{Method: "Commit", Do: conflict}}}
	Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		tx := dbtest.Begin(t, db, nil)
		dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (1)")
		ExpectWithin(t, 30*time.Second, "Commit", func() {
			if err := tx.Commit(); !errors.Is(err, immudb.ErrConflict) {
				t.Errorf("Commit: %v, want ErrConflict", err)
			}
		})
		if n := count(fake, "Commit"); n != 17 {
			t.Errorf("%d commits, want the first and max_retries (16)", n)
		}
	}, retryCommits)
}

func count(fake *fakeserver.Server, method string) int {
	n := 0
	for _, c := range fake.Calls() {
		if c.Method == method {
			n++
		}
	}
	return n
}
