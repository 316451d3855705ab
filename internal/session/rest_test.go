package session_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immudb-go/immudb/internal/fakeserver"
	"github.com/immudb-go/immudb/internal/session"
)

// goroutines counts the goroutines of this package and of gRPC's client.
func goroutines() (n int) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for g := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(g, "session.(*Pool)") || strings.Contains(g, "session.(*watch)") || strings.Contains(g, "transport.newHTTP2Client") || strings.Contains(g, "grpcsync.") {
			n++
		}
	}
	return n
}

func TestAPoolThatIsNeverClosedLeavesNothing(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		for round := range 3 {
			l := lease(t, p)
			if f := keepAlive(t.Context(), l); f != nil {
				t.Fatalf("round %d: %+v", round, f)
			}
			l.Release()
			time.Sleep(4 * time.Second)
			if left := d.fake.Sessions(); len(left) != 1 {
				t.Errorf("round %d: sessions %v after 4 s, want the one that was used", round, left)
			}
			time.Sleep(4 * time.Second)
			synctest.Wait()
			if left := d.fake.Sessions(); len(left) != 0 {
				t.Errorf("round %d: sessions %v are left", round, left)
			}
			if n := goroutines(); n != 0 {
				t.Errorf("round %d: %d goroutines are left", round, n)
			}
		}
	}, func(cfg *session.Config) { cfg.KeepAlive, cfg.IdleTimeout = time.Minute, hour })
}

func TestAPoolInUseDoesNotRest(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		first := lease(t, p)
		id := first.Session().ID
		for range 10 { // never unused for 5 s
			first.Release()
			time.Sleep(3 * time.Second)
			first = lease(t, p)
			time.Sleep(3 * time.Second)
		}
		if first.Session().ID != id {
			t.Errorf("the session is %s, want %s as before", first.Session().ID, id)
		}
		time.Sleep(time.Minute)
		if f := keepAlive(t.Context(), first); f != nil {
			t.Errorf("after a minute: %+v", f)
		}
		first.Release()
	})
}

func TestALoginThatEndsWhileThePoolRestsIsRetired(t *testing.T) {
	script := rule("OpenSession", 1, fakeserver.Fault{Delay: 8 * time.Second})
	withPool(t, script, func(t *testing.T, p *session.Pool, d *dialer) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if l, err := p.Lease(ctx); err == nil {
			l.Release()
			t.Fatal("the login is not slow")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if left := d.fake.Sessions(); len(left) != 0 {
			t.Errorf("sessions %v are left", left)
		}
		if n := goroutines(); n != 0 {
			t.Errorf("%d goroutines are left", n)
		}
		lease(t, p).Release()
	})
}

func TestALeaseTakesTheLoginOfAPoolThatBeganToRest(t *testing.T) {
	script := rule("OpenSession", 1, fakeserver.Fault{Delay: 8 * time.Second})
	withPool(t, script, func(t *testing.T, p *session.Pool, d *dialer) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if l, err := p.Lease(ctx); err == nil {
			l.Release()
			t.Fatal("the login is not slow")
		}
		time.Sleep(6 * time.Second)
		l := lease(t, p)
		defer l.Release()
		if opened := len(d.fake.Log("OpenSession")); opened != 1 {
			t.Errorf("%d logins, want one", opened)
		}
		if f := keepAlive(t.Context(), l); f != nil {
			t.Errorf("the call: %+v", f)
		}
	})
}

// The rollback of a transaction that nobody ended still reaches the server.
func TestAPoolRestsAfterItsTransactionsAreUndone(t *testing.T) {
	script := rule("Rollback", 1, fakeserver.Fault{Delay: 8 * time.Second})
	withPool(t, script, func(t *testing.T, p *session.Pool, d *dialer) {
		l := lease(t, p)
		tx, f := begin(t.Context(), l)
		if f != nil {
			t.Fatalf("begin: %+v", f)
		}
		tx.Undo()
		l.Release()
		time.Sleep(time.Minute)
		synctest.Wait()
		if left := d.fake.Sessions(); len(left) != 0 {
			t.Errorf("sessions %v are left", left)
		}
		if n := goroutines(); n != 0 {
			t.Errorf("%d goroutines are left", n)
		}
	})
}

func TestAPoolRestsAlsoIfItsServerIsAway(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		l := lease(t, p)
		d.hang.Store(true)
		d.fake.Silence()
		l.Release()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := goroutines(); n != 0 {
			t.Errorf("%d goroutines are left", n)
		}
		d.hang.Store(false)
		d.fake.Forget() // the session has expired there
		l = lease(t, p)
		if f := keepAlive(t.Context(), l); f != nil {
			t.Errorf("when the server is back: %+v", f)
		}
		l.Release()
	})
}
