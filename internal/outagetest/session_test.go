package outagetest

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// warm opens n connections at once and returns them to the pool.
func warm(t testing.TB, db *sql.DB, n int) {
	t.Helper()
	db.SetMaxIdleConns(n)
	var conns []*sql.Conn
	for range n {
		conn, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServerRestartFailsNoCall(t *testing.T) {
	s := testserver.Start(t)
	db := dbtest.OpenDSN(t, s.DSN())
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	warm(t, db, 8)
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (?)", i)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 10 {
		t.Errorf("%d rows, want 10", got)
	}
}

func TestSessionsDroppedByTheServerFailNoCall(t *testing.T) {
	s := testserver.Start(t)
	db := dbtest.OpenDSN(t, s.DSN())
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	warm(t, db, 5)
	if err := s.DropSessions(); err != nil {
		t.Fatal(err)
	}
	stmt, err := db.Prepare("INSERT INTO t (id) VALUES (?)")
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	for i := range 6 {
		if _, err := stmt.Exec(i); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func TestTransactionOfALostSessionFailsWithARetryableErrSessionLost(t *testing.T) {
	s := testserver.Start(t)
	db := dbtest.OpenDSN(t, s.DSN())
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	tx := dbtest.Begin(t, db, nil)
	dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (1)")
	if err := s.DropSessions(); err != nil {
		t.Fatal(err)
	}
	_, err := tx.Exec("INSERT INTO t (id) VALUES (2)")
	var e *immudb.Error
	if !errors.Is(err, immudb.ErrSessionLost) || !errors.As(err, &e) || !e.Retryable() {
		t.Errorf("err = %v, want a retryable ErrSessionLost", err)
	}
	if err := tx.Commit(); !errors.Is(err, immudb.ErrTxAborted) || !errors.Is(err, immudb.ErrSessionLost) {
		t.Errorf("Commit: %v, want ErrTxAborted that wraps ErrSessionLost", err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 0 {
		t.Errorf("%d rows, want none", got)
	}
}

func TestCallToAKilledServerFailsWithinSeconds(t *testing.T) {
	s := testserver.Start(t)
	db := dbtest.OpenDSN(t, s.DSN())
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := db.Exec("INSERT INTO t (id) VALUES (1)"); err == nil {
		t.Error("a write to a killed server succeeded")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the call failed only after %v", took)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (2)")
}

func TestPoolLargerThanTheServersLimitOfSessions(t *testing.T) {
	s := testserver.Start(t, "-max-sessions=3")
	db := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), "connect_timeout=20"))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	var wg sync.WaitGroup
	for range 12 { // a pool without a limit
		wg.Go(func() {
			for range 3 {
				if err := db.QueryRow("SELECT COUNT(*) FROM t").Scan(new(int)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestFullServerIsErrMaxSessionsWithinTheContext(t *testing.T) {
	s := testserver.Start(t, "-max-sessions=1")
	dbtest.Get[int](t, dbtest.OpenDSN(t, s.DSN()), "SELECT 1") // another program uses the only session
	db := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), "connect_timeout=30"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // the refusal has to arrive within it
	defer cancel()
	err := db.PingContext(ctx)
	if !errors.Is(err, immudb.ErrMaxSessions) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want ErrMaxSessions within the context", err)
	}
}

func TestClosedDBLeavesNoSessionOnTheServer(t *testing.T) {
	s := testserver.Start(t)
	db, err := sql.Open("immudb", s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	warm(t, db, 4)
	tx := dbtest.Begin(t, db, nil)
	if n, err := s.Sessions(); n == 0 || err != nil {
		t.Fatalf("%d sessions (%v) while connections are open", n, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	if n, err := s.Sessions(); n != 0 || err != nil {
		t.Errorf("%d sessions (%v) are still open", n, err)
	}
}

func TestManyGoroutinesShareFewSessions(t *testing.T) {
	s := testserver.Start(t)
	db := dbtest.OpenDSN(t, s.DSN())
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 10 {
				if err := db.QueryRow("SELECT 1").Scan(new(int)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, err := s.Sessions(); n > 8 || err != nil {
		t.Errorf("%d sessions (%v), want no more than max_sessions", n, err)
	}
}
