package contentiontest

import (
	"database/sql"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestConcurrentInsertsWithGeneratedKeysAreEachStoredOnce(t *testing.T) {
	const goroutines, each = 16, 200
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, who INTEGER, PRIMARY KEY id)")
	ids := make(chan int64, goroutines*each)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				res, err := db.Exec("INSERT INTO t (who) VALUES (?)", g*each+i)
				if err != nil {
					t.Error(err)
					return
				}
				id, err := res.LastInsertId()
				if err != nil {
					t.Error(err)
				}
				ids <- id
			}
		})
	}
	wg.Wait()
	close(ids)
	seen := map[int64]bool{}
	for id := range ids {
		seen[id] = true
	}
	if len(seen) != goroutines*each {
		t.Errorf("%d distinct ids were returned, want %d", len(seen), goroutines*each)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != goroutines*each {
		t.Errorf("%d rows, want %d", got, goroutines*each)
	}
	stored := map[int]bool{}
	for _, who := range dbtest.List[int](t, db, "SELECT who FROM t") {
		stored[who] = true
	}
	if len(stored) != goroutines*each {
		t.Errorf("%d distinct rows, want %d", len(stored), goroutines*each)
	}
}

// The server has at most 100 snapshots of a table, and needs a new one after each write. A
// statement without a snapshot waits for one.
func TestStatementsWaitForASnapshot(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, body VARCHAR, PRIMARY KEY id)")
	body := strings.Repeat("x", 200)
	for i := range 14 {
		dbtest.Exec(t, db, "INSERT INTO t (id, body) VALUES (?, ?)"+strings.Repeat(", (?, ?)", 999), pairs(1000*i, 1000, body)...)
	}
	var open []*sql.Rows
	for i := range 100 {
		dbtest.Exec(t, db, "INSERT INTO t (id, body) VALUES (?, '')", 20000+i)
		rows, err := db.Query("SELECT body FROM t") // more than the server sends before the client reads
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, rows)
	}
	time.AfterFunc(200*time.Millisecond, func() {
		for _, rows := range open {
			_ = rows.Close()
		}
	})
	dbtest.Exec(t, db, "INSERT INTO t (id, body) VALUES (30000, '')") // it needs a snapshot, too
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 14101 {
		t.Errorf("%d rows, want 14101", got)
	}
}

// pairs are the arguments of n rows, numbered from first.
func pairs(first, n int, body string) (args []any) {
	for i := range n {
		args = append(args, first+i, body)
	}
	return args
}

func TestWithoutRetriesConflictsAreReported(t *testing.T) {
	db := dbtest.Open(t, "max_retries=0")
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	var conflicts, landed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := 0; i < 10 || conflicts.Load() == 0 && i < 1000; i++ { // until two transactions conflict
				switch _, err := db.Exec("INSERT INTO t (v) VALUES (1)"); {
				case err == nil:
					landed.Add(1)
				case errors.Is(err, immudb.ErrConflict):
					conflicts.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := dbtest.Get[int64](t, db, "SELECT COUNT(*) FROM t"); got != landed.Load() || conflicts.Load() == 0 {
		t.Errorf("%d rows are stored, %d were acknowledged, %d conflicts", got, landed.Load(), conflicts.Load())
	}
}

func TestConcurrentWritesOfDistinctKeysAllSucceed(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	var wg sync.WaitGroup
	for g := range 40 { // more than the server's limit of 30
		wg.Go(func() {
			for i := range 5 {
				if _, err := db.Exec("INSERT INTO t (id) VALUES (?)", g*100+i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 200 {
		t.Errorf("%d rows, want 200", got)
	}
}

func TestConcurrentInsertsWithReturningAllSucceed(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if err := db.QueryRow("INSERT INTO t (v) VALUES (1) RETURNING id").Scan(new(int)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 80 {
		t.Errorf("%d rows, want 80", got)
	}
}
