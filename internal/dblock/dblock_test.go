package dblock

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

// openDB opens a fresh database on the shared server, as one process would.
func openDB(t *testing.T) (db *sql.DB, dsn string) {
	t.Helper()
	dsn = testserver.Shared(t).NewDatabase(t)
	return openDSN(t, dsn), dsn
}

func openDSN(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(immudb.DriverName, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func acquire(t *testing.T, db *sql.DB, lease, wait time.Duration) *Lock {
	t.Helper()
	l, err := Acquire(t.Context(), db, Config{Table: "the_lock", Lease: lease, Wait: wait})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Forget)
	return l
}

func release(t *testing.T, l *Lock) {
	t.Helper()
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func exec(t *testing.T, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func TestLockIsHeldByOneAtATime(t *testing.T) {
	_, dsn := openDB(t)
	var inside, most, turns int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 4 {
		db := openDSN(t, dsn)
		wg.Go(func() {
			for range 3 {
				l, err := Acquire(t.Context(), db, Config{Table: "the_lock", Lease: 5 * time.Second, Wait: 20 * time.Second})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				inside++
				turns++
				most = max(most, inside)
				mu.Unlock()
				time.Sleep(5 * time.Millisecond)
				mu.Lock()
				inside--
				mu.Unlock()
				if err := l.Release(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if most != 1 || turns != 12 {
		t.Errorf("%d held the lock at once in %d turns, want 1 in 12", most, turns)
	}
}

func TestHeldLockIsRefusedNamingItsHolder(t *testing.T) {
	db, _ := openDB(t)
	l := acquire(t, db, 5*time.Second, 0)
	_, err := Acquire(t.Context(), db, Config{Table: "the_lock", Lease: 5 * time.Second})
	var held *HeldError
	if !errors.As(err, &held) || held.Holder != l.holder || time.Since(held.Since).Abs() > time.Minute {
		t.Errorf("err = %v, want a HeldError for %s", err, l.holder)
	}
	release(t, l)
	release(t, acquire(t, db, time.Second, 0))
}

func TestWaitEndsWithItsContext(t *testing.T) {
	db, _ := openDB(t)
	acquire(t, db, 5*time.Second, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Acquire(ctx, db, Config{Table: "the_lock", Lease: time.Second, Wait: time.Minute}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want the end of the context", err)
	}
}

func TestRenewedLockOutlivesItsLease(t *testing.T) {
	db, _ := openDB(t)
	l := acquire(t, db, 2*time.Second, 0)
	var held *HeldError
	if _, err := Acquire(t.Context(), db, Config{Table: "the_lock", Lease: time.Second, Wait: 4 * time.Second}); !errors.As(err, &held) {
		t.Errorf("err = %v, want a HeldError", err)
	}
	release(t, l)
}

func TestLockOfADeadOwnerIsTakenOverWhenItsLeaseRunsOut(t *testing.T) {
	db, _ := openDB(t)
	start := time.Now()
	acquire(t, db, 500*time.Millisecond, 0).Forget() // as if it had been killed
	l := acquire(t, db, time.Second, 10*time.Second)
	if waited := time.Since(start); waited < 400*time.Millisecond {
		t.Errorf("taken over after %v, before the lease of 500ms ran out", waited)
	}
	release(t, l)
}

func TestSlowOwnerCannotCommitAfterATakeover(t *testing.T) {
	for _, row := range []struct {
		name          string
		fence, resume func(t *testing.T, slow *Lock, tx *sql.Tx) error
	}{
		{"fenced before the takeover: the commit fails", fence, commit},
		{"fenced after the takeover: the fence fails", noFence, fence},
	} {
		t.Run(row.name, func(t *testing.T) {
			db, _ := openDB(t)
			slow := acquire(t, db, 200*time.Millisecond, 0)
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			if err := row.fence(t, slow, tx); err != nil {
				t.Fatal(err)
			}
			exec(t, tx, "CREATE TABLE late (id INTEGER, PRIMARY KEY id)")
			slow.Forget() // it does nothing for a while
			next := acquire(t, db, 5*time.Second, 10*time.Second)
			if err := row.resume(t, slow, tx); !errors.Is(err, ErrLost) && !errors.Is(err, immudb.ErrConflict) {
				t.Errorf("err = %v, want ErrLost or ErrConflict", err)
			}
			if err := (Work{DB: db, Lock: slow}).Run(t.Context(), func(*sql.Tx) error { t.Error("the step was run"); return nil }); !errors.Is(err, ErrLost) {
				t.Errorf("Run: %v, want ErrLost", err)
			}
			if err := slow.Renew(t.Context()); !errors.Is(err, ErrLost) {
				t.Errorf("Renew: %v, want ErrLost", err)
			}
			select {
			case <-slow.Lost():
			default:
				t.Error("Lost is not closed")
			}
			if err := slow.Release(t.Context()); !errors.Is(err, ErrLost) {
				t.Errorf("Release: %v, want ErrLost", err)
			}
			if err := next.Renew(t.Context()); err != nil {
				t.Errorf("the next owner: %v", err)
			}
			var n int
			if err := db.QueryRow("SELECT COUNT(*) FROM TABLES() WHERE name = 'late'").Scan(&n); err != nil || n != 0 {
				t.Errorf("the slow owner's table is there (%v)", err)
			}
			release(t, next)
		})
	}
}

func noFence(*testing.T, *Lock, *sql.Tx) error       { return nil }
func fence(t *testing.T, l *Lock, tx *sql.Tx) error  { return l.Fence(t.Context(), tx) }
func commit(_ *testing.T, _ *Lock, tx *sql.Tx) error { return tx.Commit() }

func TestEveryErrorUnderALostLockMatchesErrLost(t *testing.T) {
	db, _ := openDB(t)
	slow := acquire(t, db, 200*time.Millisecond, 0)
	slow.Forget()
	exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, PRIMARY KEY id)")
	var next *Lock
	err := Work{DB: db, Lock: slow, ChangesCatalog: true}.Run(t.Context(), func(tx *sql.Tx) error {
		next = acquire(t, db, 5*time.Second, 10*time.Second)
		exec(t, db, "CREATE TABLE late (id INTEGER, PRIMARY KEY id)")
		_, err := tx.Exec("CREATE TABLE late (id INTEGER, PRIMARY KEY id)")
		if err != nil {
			return err
		}
		return errors.New("whatever")
	})
	if !errors.Is(err, ErrLost) || !IsInterruption(err) {
		t.Errorf("err = %v, want ErrLost", err)
	}
	release(t, next)
}

func TestTakeoverComesAfterWorkCommittedBefore(t *testing.T) {
	db, _ := openDB(t)
	slow := acquire(t, db, 200*time.Millisecond, 0)
	slow.Forget()
	time.Sleep(300 * time.Millisecond) // the lease ran out, but nobody else came
	if err := (Work{DB: db, Lock: slow, ChangesCatalog: true}).Run(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec("CREATE TABLE late (id INTEGER, PRIMARY KEY id)")
		return err
	}); err != nil {
		t.Errorf("work of an owner whose lock was not taken over: %v", err)
	}
	release(t, slow)
}

func TestRenewalsDoNotDisturbFencedWork(t *testing.T) {
	db, _ := openDB(t)
	l := acquire(t, db, 90*time.Millisecond, 0)
	tries := 0
	err := Work{DB: db, Lock: l, ChangesCatalog: true}.Run(t.Context(), func(tx *sql.Tx) error {
		tries++
		exec(t, tx, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, PRIMARY KEY id)")
		time.Sleep(300 * time.Millisecond) // about ten renewals
		exec(t, tx, "INSERT INTO t (id) VALUES (1)")
		return nil
	})
	if err != nil || tries != 1 {
		t.Errorf("%d tries (%v), want 1", tries, err)
	}
	release(t, l)
}

func TestRunTriesAgainAfterAConflict(t *testing.T) {
	db, _ := openDB(t)
	exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY id); INSERT INTO t (id, n) VALUES (1, 0)")
	l := acquire(t, db, 5*time.Second, 0)
	tries := 0
	err := Work{DB: db, Lock: l, ChangesCatalog: true}.Run(t.Context(), func(tx *sql.Tx) error {
		tries++
		exec(t, tx, "UPDATE t SET n = n + 1 WHERE id = 1")
		if tries < 3 {
			exec(t, db, "UPDATE t SET n = n + 10 WHERE id = 1")
		}
		return nil
	})
	var n int
	if err := db.QueryRow("SELECT n FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err != nil || tries != 3 || n != 21 {
		t.Errorf("%d tries, n = %d (%v), want 3 and 21", tries, n, err)
	}
	release(t, l)
}

func TestRunGivesUpOnTheStepsOwnError(t *testing.T) {
	db, _ := openDB(t)
	wrong := errors.New("wrong")
	tries := 0
	if err := (Work{DB: db}).Run(t.Context(), func(*sql.Tx) error { tries++; return wrong }); err != wrong || tries != 1 {
		t.Errorf("%d tries, err = %v", tries, err)
	}
	if IsInterruption(wrong) {
		t.Error("the step's own error counts as an interruption")
	}
}

func TestLockSurvivesARestartOfTheServer(t *testing.T) {
	server := testserver.Start(t)
	db := openDSN(t, server.DSN())
	l := acquire(t, db, 20*time.Second, 0)
	restarted := false
	err := Work{DB: db, Lock: l, ChangesCatalog: true}.Run(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec("CREATE TABLE t (id INTEGER, PRIMARY KEY id)"); err != nil {
			return err
		}
		if !restarted {
			restarted = true
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := server.Restart(); err != nil {
				t.Fatal(err)
			}
		}
		_, err := tx.Exec("INSERT INTO t (id) VALUES (1)")
		return err
	})
	if err != nil {
		t.Errorf("the work: %v", err)
	}
	release(t, l)
}

func TestReplicaIsRefusedAtOnce(t *testing.T) {
	primary := testserver.Start(t, "-synced=false")
	l := acquire(t, openDSN(t, primary.DSN()), 30*time.Second, 0)
	replica := testserver.Start(t, "-synced=false", "-replica-of="+primary.DSN())
	dbtest.AwaitReplica(t, primary, replica)
	rdb := openDSN(t, replica.DSN())
	start := time.Now()
	_, err := Acquire(t.Context(), rdb, Config{Table: "the_lock", Lease: time.Second, Wait: 20 * time.Second})
	if !errors.Is(err, immudb.ErrReplica) || !strings.Contains(err.Error(), "primary") || time.Since(start) > 5*time.Second {
		t.Errorf("after %v: %v, want ErrReplica at once, naming the primary", time.Since(start), err)
	}
	release(t, l)
}

func TestReadOnlyUserIsRefused(t *testing.T) {
	db, dsn := openDB(t)
	exec(t, db, "CREATE USER reader WITH PASSWORD 'Re4der!pass' READ")
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.User, cfg.Password = "reader", "Re4der!pass"
	_, err = Acquire(t.Context(), openDSN(t, cfg.FormatDSN()), Config{Table: "the_lock", Lease: time.Second})
	if !errors.Is(err, immudb.ErrPermission) {
		t.Errorf("err = %v, want ErrPermission", err)
	}
}

func TestLeaseThatIsNotRenewedRunsOutUnderAClockSetBack(t *testing.T) {
	now := time.Now()
	dead := tenancy{owner: "x", renewed: now.Add(time.Hour), lease: 50 * time.Millisecond, now: now}
	var w watch
	if w.over(dead) {
		t.Error("the tenancy is over when it is first seen")
	}
	time.Sleep(60 * time.Millisecond)
	if !w.over(dead) {
		t.Error("the tenancy is not over, though it was not renewed for longer than the lease")
	}
	renewed := dead
	renewed.renewed = renewed.renewed.Add(time.Millisecond)
	if w.over(renewed) {
		t.Error("the tenancy is over, though it was renewed")
	}
}
