package contentiontest

import (
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// With retry_commits the server computes an UPDATE again, and its answer, one row, stays the same: no commit fails. That is
// so beside proofs of commits and writes, in RunTx, whose function then runs
// once, and after ROLLBACK TO.
func TestIncrementsWithRetryCommitsDoNotConflict(t *testing.T) {
	for name, options := range map[string][]string{
		"alone":          nil,
		"verify=commits": {"verify=trust-first-use,commits"},
		"verify=writes":  {"verify=trust-first-use,writes"},
	} {
		t.Run(name, func(t *testing.T) {
			db := dbtest.Open(t, append(options, "retry_commits=1", "max_retries=1000")...)
			dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY id)")
			dbtest.Exec(t, db, "INSERT INTO t (id, n) VALUES (1, 0)")
			const writers, each = 4, 6
			var runs atomic.Int64
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					for range each {
						err := immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error {
							runs.Add(1)
							for _, text := range []string{"UPDATE t SET n = n + 1 WHERE id = 1", "SAVEPOINT a", "UPDATE t SET n = 0 WHERE id = 1", "ROLLBACK TO a"} {
								if _, err := tx.Exec(text); err != nil {
									return err
								}
							}
							return nil
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			if runs.Load() != writers*each {
				t.Errorf("%d runs of the function for %d commits", runs.Load(), writers*each)
			}
			if n := dbtest.Get[int](t, db, "SELECT n FROM t WHERE id = 1"); n != writers*each {
				t.Errorf("n is %d after %d increments", n, writers*each)
			}
		})
	}
}

// A program that writes what it has computed from a row that it read must not overwrite a change of another: then the
// answer differs, and the commit fails.
func TestValuesReadBeforeAConflictAreNotWrittenWithRetryCommits(t *testing.T) {
	db := dbtest.Open(t, "retry_commits=1")
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id, n) VALUES (1, 0)")
	const writers, each = 6, 10
	var done, conflicts atomic.Int64
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				tx, err := db.BeginTx(t.Context(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				n := dbtest.Get[int](t, tx, "SELECT n FROM t WHERE id = 1")
				if _, err := tx.Exec("UPDATE t SET n = ? WHERE id = 1", n+1); err != nil {
					t.Error(err)
				}
				switch err := tx.Commit(); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, immudb.ErrConflict):
					conflicts.Add(1)
				default:
					t.Errorf("Commit: %v", err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d committed, %d conflicts", done.Load(), conflicts.Load())
	if n := dbtest.Get[int64](t, db, "SELECT n FROM t WHERE id = 1"); n != done.Load() {
		t.Errorf("n is %d after %d commits", n, done.Load())
	}
}

// A key that the program was told is the key of its row, or the commit fails.
func TestToldKeysStayTrueWithRetryCommits(t *testing.T) {
	db := dbtest.Open(t, "retry_commits=1")
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	const writers, each = 6, 10
	var mu sync.Mutex
	told := map[int64]int{}
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				v := w*each + i
				tx, err := db.BeginTx(t.Context(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				id, err := dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (?)", v).LastInsertId()
				if err != nil {
					t.Error(err)
				}
				switch err := tx.Commit(); {
				case err == nil:
					mu.Lock()
					told[id] = v
					mu.Unlock()
				case !errors.Is(err, immudb.ErrConflict):
					t.Errorf("Commit: %v", err)
				}
			}
		})
	}
	all.Wait()
	for id, v := range told {
		if got := dbtest.Get[int](t, db, "SELECT v FROM t WHERE id = ?", id); got != v {
			t.Errorf("row %d holds %d, its writer wrote %d", id, got, v)
		}
	}
	if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); n != len(told) {
		t.Errorf("%d rows after %d commits", n, len(told))
	}
}
