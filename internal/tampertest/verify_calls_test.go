package tampertest

import (
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

func TestAVerifiedRowIsOneRoundTripAndTwoAfterAWrite(t *testing.T) {
	p, db := lyingServer(t)
	calls := func() (n int) {
		for _, method := range []string{"CurrentState", "VerifiableSQLGet", "VerifiableTxById", "SQLQuery", "TxScan", "KeepAlive"} {
			n += p.Count(method)
		}
		return n
	}
	for what, want := range map[string]int{"": 1, "UPDATE accounts SET balance = 5 WHERE id = 1": 2} {
		if what != "" {
			dbtest.Exec(t, db, what)
		}
		before := calls()
		mustVerify(t, db)
		if n := calls() - before; n != want {
			t.Errorf("after %q it took %d calls, want %d", what, n, want)
		}
	}
}

func TestVerifyRowsAsksOnceForEachTransaction(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	for range 3 {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			id := dbtest.Get[int](t, tx, "SELECT COUNT(*) FROM t")
			dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (?)", id)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	calls := func() int { return p.Count("VerifiableTxById") + p.Count("VerifiableSQLGet") }
	for _, first := range []bool{true, false} {
		before := calls()
		v := immudb.NewVerifier(db)
		v.Concurrency = 1
		rows, err := v.Rows(t.Context(), "t", "")
		if err != nil || len(rows) != 300 {
			t.Fatal(len(rows), err)
		}
		// Two calls for each of the three transactions (a row, and the rest of the transaction),
		// one for the newest state, and at first one for the table's definition.
		if n := calls() - before; n > 9 {
			t.Errorf("first time %v: 300 rows of 3 transactions took %d calls", first, n)
		}
	}
}

func TestVerifyRowsAsksForNoMoreAtOnceThanItIsTold(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	for id := range 24 {
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (?)", id)
	}
	// Calls are answered only when the allowed number is waiting, so that an additional call would be seen. The first call is
	// answered at once: the others wait for its state.
	var calls, now, most, allowed atomic.Int32
	p.Tamper(on("VerifiableSQLGet", func(msg []byte) []byte {
		n := now.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		if calls.Add(1) > 1 {
			for deadline := time.Now().Add(time.Minute); most.Load() < allowed.Load() && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(5 * time.Millisecond)
		now.Add(-1)
		return msg
	}), nil)
	for _, concurrency := range []int{1, 3} {
		// Each with a connector that knows no row yet.
		v := immudb.NewVerifier(dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse)))
		calls.Store(-1)
		if _, err := v.Row(t.Context(), "t", 0); err != nil { // so that it knows the table
			t.Fatal(err)
		}
		calls.Store(0)
		most.Store(0)
		allowed.Store(int32(concurrency))
		v.Concurrency = concurrency
		if rows, err := v.Rows(t.Context(), "t", ""); err != nil || len(rows) != 24 {
			t.Fatal(len(rows), err)
		}
		if int(most.Load()) != concurrency {
			t.Errorf("%d proofs at once, want %d", most.Load(), concurrency)
		}
	}
}

func TestManyVerifyAtOnceWhileOthersWrite(t *testing.T) {
	dsn := dbtest.WithOptions(dbtest.FreshDSN(t), proveCommits, "state_dir="+t.TempDir())
	dbs := []*sql.DB{dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dsn)} // as two processes would
	dbtest.Exec(t, dbs[0], "CREATE TABLE accounts (id INTEGER, balance INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, dbs[0], "INSERT INTO accounts (id, balance) VALUES (1, 0)")
	verifiers := []*immudb.Verifier{immudb.NewVerifier(dbs[0]), immudb.NewVerifier(dbs[1])}
	var wg sync.WaitGroup
	for w := range 8 {
		db, v := dbs[w%2], verifiers[w%2]
		wg.Go(func() {
			for n := range 6 {
				var err error
				switch (w/2 + n) % 4 {
				case 0:
					_, err = db.Exec("UPSERT INTO accounts (id, balance) VALUES (?, ?)", 10*w+n+2, n)
				case 1:
					_, err = v.Row(t.Context(), "accounts", 1)
				case 2:
					if _, err = v.Rows(t.Context(), "accounts", "WHERE id < 40"); errors.Is(err, immudb.ErrConflict) {
						err = nil
					}
				case 3:
					_, err = immudb.Audit(t.Context(), db, immudb.AuditOptions{FromStart: n%2 == 0})
				}
				if err != nil {
					t.Error(fmt.Errorf("worker %d, round %d: %w", w, n, err))
				}
			}
		})
	}
	wg.Wait()
	for _, db := range dbs {
		if _, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{Tables: []string{"*"}}); err != nil {
			t.Error(err)
		}
	}
}
