package outagetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// told holds the results that the callers got for their rows.
type told struct {
	mu                    sync.Mutex
	there, absent, unsure []int
}

func (o *told) note(id int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		o.there = append(o.there, id)
	case errors.Is(err, immudb.ErrOutcomeUnknown):
		o.unsure = append(o.unsure, id)
	default:
		o.absent = append(o.absent, id)
	}
}

// check compares the rows of table t with the results.
func (o *told) check(t *testing.T, db *sql.DB) {
	t.Helper()
	is := map[int]bool{}
	for _, id := range dbtest.List[int](t, db, "SELECT id FROM t") {
		if is[id] {
			t.Errorf("row %d is there twice", id)
		}
		is[id] = true
	}
	landed := 0
	for _, id := range o.there {
		if !is[id] {
			t.Errorf("row %d was acknowledged and is missing", id)
		}
	}
	for _, id := range o.absent {
		if is[id] {
			t.Errorf("row %d was reported as failed and is stored", id)
		}
	}
	for _, id := range o.unsure {
		if is[id] {
			landed++
		}
	}
	if want := len(o.there) + landed; len(is) != want {
		t.Errorf("%d rows, want %d", len(is), want)
	}
	t.Logf("%d there, %d absent, %d unknown of which %d there", len(o.there), len(o.absent), len(o.unsure), landed)
}

func TestKilledServerNeverLosesOrDoublesAWrite(t *testing.T) {
	insert := func(ctx context.Context, db *sql.DB, id int) error {
		_, err := db.ExecContext(ctx, "INSERT INTO t (id, v) VALUES (?, 1)", id)
		return err
	}
	for _, mode := range []struct {
		name   string
		option string
		write  func(ctx context.Context, db *sql.DB, id int) error
	}{
		{"autocommit", "group_commit=0", insert},
		{"group commit", "group_commit=64", insert},
		{"RunTx", "group_commit=0", func(ctx context.Context, db *sql.DB, id int) error {
			return immudb.RunTx(ctx, db, nil, func(tx *sql.Tx) error {
				if _, err := tx.ExecContext(ctx, "INSERT INTO t (id, v) VALUES (?, 0)", id); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, "UPDATE t SET v = 1 WHERE id = ?", id)
				return err
			})
		}},
		{"RETURNING", "group_commit=0", func(ctx context.Context, db *sql.DB, id int) error {
			return db.QueryRowContext(ctx, "INSERT INTO t (id, v) VALUES (?, 1) RETURNING id", id).Scan(new(int))
		}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			s := testserver.Start(t)
			db := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), mode.option, "connect_timeout=5"))
			dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
			var outcome told
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var wg sync.WaitGroup
			stop := make(chan struct{})
			for g := range 8 {
				wg.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
						}
						id := g*1_000_000 + i
						err := mode.write(ctx, db, id)
						outcome.note(id, err)
						if err != nil {
							time.Sleep(5 * time.Millisecond) // the server is down
						}
					}
				})
			}
			for range 3 {
				time.Sleep(500*time.Millisecond + rand.N(100*time.Millisecond))
				if err := s.Kill(); err != nil {
					t.Error(err)
				}
				if err := s.Restart(); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(500 * time.Millisecond)
			close(stop)
			wg.Wait()
			outcome.check(t, db)
			if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t WHERE v = 0"); got != 0 {
				t.Errorf("%d transactions are half committed", got)
			}
			if len(outcome.there) == 0 {
				t.Error("no write was acknowledged")
			}
		})
	}
}

func TestKilledServerNeverTruncatesResults(t *testing.T) {
	t.Parallel()
	s := testserver.Start(t)
	db := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), "connect_timeout=5"))
	dbtest.Fill(t, db, 3000, nil)
	count := func(query string, limit int) (n int, err error) {
		rows, err := db.Query(query, limit)
		if err != nil {
			return 0, err
		}
		defer rows.Close()
		for rows.Next() {
			n++
		}
		return n, rows.Err()
	}
	var whole, failed atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for g := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				query := fmt.Sprintf("SELECT id FROM t LIMIT ? -- %d, %d", g, i) // a new text each time
				for _, limit := range []int{1, 7, 2048, 3000, 1} {
					select {
					case <-stop:
						return
					default:
					}
					switch n, err := count(query, limit); {
					case err != nil:
						failed.Add(1)
						time.Sleep(5 * time.Millisecond) // the server is down
					case n != limit:
						t.Errorf("%d rows without an error, want %d", n, limit)
					default:
						whole.Add(1)
					}
				}
			}
		})
	}
	// Three kills, and more until one has interrupted an answer.
	for i := 0; i < 3 || (whole.Load() == 0 || failed.Load() == 0) && i < 30; i++ {
		time.Sleep(300*time.Millisecond + rand.N(100*time.Millisecond))
		if err := errors.Join(s.Kill(), s.Restart()); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("%d answers whole, %d failed", whole.Load(), failed.Load())
	if whole.Load() == 0 || failed.Load() == 0 {
		t.Error("the server was not killed while it answered")
	}
}
