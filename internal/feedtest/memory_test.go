package feedtest

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
	"github.com/immudb-go/immudb/internal/testserver"
)

// inUse is the memory that is reachable.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A feed reads 24 MB of values through a fraction of that, however slow its reader is.
func TestALongCatchUpDoesNotGrow(t *testing.T) {
	s := testserver.Start(t, "-synced=false")
	db := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, x BLOB, PRIMARY KEY id)")
	const txs, rows, size = 240, 10, 10_000
	blob := make([]byte, size)
	for i := range txs {
		args := []any{}
		for j := range rows {
			args = append(args, i*rows+j, blob)
		}
		dbtest.Exec(t, db, "UPSERT INTO t (id, x) VALUES (?,?),(?,?),(?,?),(?,?),(?,?),(?,?),(?,?),(?,?),(?,?),(?,?)", args...)
	}
	p, dsn := tamperproxy.Start(t, s.DSN())
	db = dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	before, most, n := inUse(), int64(0), 0
	for c, err := range immudb.Changes(t.Context(), db, immudb.ChangesOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%100 == 2 {
			most = max(most, inUse()-before)
		}
		runtime.KeepAlive(c)
	}
	if n != 1+txs*rows {
		t.Fatalf("%d changes, want %d", n, 1+txs*rows)
	}
	// Two answers of up to 6.4 MB, the first of 64 transactions, with what gRPC and the proxy keep of them.
	if limit := int64(20 << 20); most > limit {
		t.Errorf("the feed keeps %d bytes, want at most %d", most, limit)
	}
	t.Logf("at most %d bytes of %d", most, txs*rows*size)
	if p.Count("TxScan") < 4 {
		t.Errorf("%d pages", p.Count("TxScan"))
	}
}

// A feed that waits for news asks seldom, and a reader that stops reading stops the feed.
func TestAFeedThatWaitsAsksSeldom(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	begin, calls, polls := time.Now(), 0, 0
	var at immudb.Cursor
	var last error
	for _, err := range immudb.Changes(ctx, db, immudb.ChangesOptions{Follow: true, PollInterval: 200 * time.Millisecond, Progress: func(c immudb.Cursor) {
		at = c
		if polls++; polls == 12 {
			calls = p.Count("CurrentState") + p.Count("VerifiableTxById") + p.Count("TxScan")
			stop()
		}
	}}) {
		last = err
	}
	if !errors.Is(last, context.Canceled) || at.TxID() != 1 {
		t.Errorf("the feed has ended at tx %d with %v", at.TxID(), last)
	}
	// Twelve answers without news take at least 50 + 100 + 9 times 200 ms; a few calls more open the feed.
	if took := time.Since(begin); took < 1500*time.Millisecond || calls > 40 {
		t.Errorf("%d calls in %s", calls, took)
	}
}
