package session_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/immudb-go/immudb/internal/fakeserver"
	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/wire"
)

const hour = time.Hour

// dialer opens connections to the fake server. With hang set, no attempt is
// answered.
type dialer struct {
	fake *fakeserver.Server
	hang atomic.Bool
}

func (d *dialer) dial(ctx context.Context, addr string) (net.Conn, error) {
	if d.hang.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.fake.Dial(ctx, addr)
}

// withPool runs f with a pool on a fake server that follows the script, in a
// synctest bubble. Then it closes the pool, and fails the test if a session whose
// id the pool has received is still open.
func withPool(t *testing.T, script fakeserver.Script, f func(t *testing.T, p *session.Pool, d *dialer), change ...func(*session.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := fakeserver.New(script)
		defer fake.Close()
		d := &dialer{fake: fake}
		cfg := session.Config{
			Hosts: []session.HostConfig{{Addr: "fake:3322", Credentials: insecure.NewCredentials(), Dial: d.dial}},
			OpenSession: func(context.Context, []byte) ([]byte, error) {
				return wire.OpenSessionRequest("user", "password", "defaultdb"), nil
			},
			ConnectTimeout: 10 * time.Second,
			MaxSessions:    8,
			Log:            slog.New(slog.DiscardHandler),
			Metadata: func(uuid, id, tx string) metadata.MD {
				md := metadata.Pairs("immudb-uuid", uuid, "sessionid", id)
				if tx != "" {
					md.Set("transactionid", tx)
				}
				return md
			},
		}
		for _, c := range change {
			c(&cfg)
		}
		p, err := session.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			p.Close()
			for _, id := range fake.Sessions() {
				if fake.Told(id) {
					t.Errorf("session %s is still open on the server", id)
				}
			}
		}()
		f(t, p, d)
	})
}

func lease(t *testing.T, p *session.Pool) *session.Lease {
	t.Helper()
	l, err := p.Lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func keepAlive(ctx context.Context, l *session.Lease) *wire.Failure {
	return l.Session().Call(ctx, wire.MethodKeepAlive, nil, wire.Empty)
}

// begin begins a read-only transaction.
func begin(ctx context.Context, l *session.Lease) (*session.Tx, *wire.Failure) {
	return l.Begin(ctx, wire.NewTxRequest{}.Append(nil))
}

func rule(method string, nth int, do fakeserver.Fault) fakeserver.Script {
	return fakeserver.Script{Rules: []fakeserver.Rule{{Method: method, Nth: nth, Do: do}}}
}

func TestSilentConnectionIsClosedAndDialledAgain(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		l := lease(t, p)
		defer l.Release()
		d.fake.Silence()
		began := time.Now()
		if f := keepAlive(context.Background(), l); f == nil || f.Fate != wire.Unknown {
			t.Fatalf("the call on the silent connection: %+v, want an unknown fate", f)
		}
		if f := keepAlive(t.Context(), l); f != nil {
			t.Errorf("the next call: %+v", f)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("that took %v, want at most 5s", took)
		}
	})
}

func TestSilenceIsNoticedThoughEveryCallerGivesUpSooner(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		l := lease(t, p)
		defer l.Release()
		d.fake.Silence()
		for began := time.Now(); ; {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			f := keepAlive(ctx, l)
			cancel()
			if f == nil {
				return
			}
			if time.Since(began) > 5*time.Second {
				t.Fatalf("after 5s: %+v", f)
			}
		}
	})
}

func TestQueryThatTakesAnHourIsNotTakenForADeadConnection(t *testing.T) {
	withPool(t, rule("KeepAlive", 1, fakeserver.Fault{Delay: hour}), func(t *testing.T, p *session.Pool, d *dialer) {
		l := lease(t, p)
		defer l.Release()
		if f := keepAlive(t.Context(), l); f != nil {
			t.Errorf("%+v", f)
		}
		if n := d.fake.Dials(); n != 1 {
			t.Errorf("dialled %d times, want once", n)
		}
	})
}

func TestConnectionThatNeverAnsweredIsClosedAndDialledAgain(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		d.fake.Mute(true)
		time.AfterFunc(time.Second, func() { d.fake.Mute(false) })
		began := time.Now()
		for {
			l, err := p.Lease(t.Context())
			if err == nil {
				l.Release()
				break
			}
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("it took %v to connect, want at most 5s after the server began to answer", took)
		}
	})
}

func TestUnansweredAttemptToConnectIsRepeated(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		d.hang.Store(true)
		time.AfterFunc(5*time.Second, func() { d.hang.Store(false) })
		began := time.Now()
		lease(t, p).Release()
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("it took %v to connect, want at most 3s after the network was back", took)
		}
	})
}

func TestWithoutConnectTimeoutTheCallersContextIsTheOnlyLimit(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		d.hang.Store(true)
		time.AfterFunc(hour, func() { d.hang.Store(false) })
		lease(t, p).Release()
	}, func(cfg *session.Config) { cfg.ConnectTimeout = 0 })
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		lease(t, p).Release()
	}, func(cfg *session.Config) {
		dial := cfg.Hosts[0].Dial
		cfg.Hosts[0].Addr = "db.example.com:3322"
		cfg.Hosts[0].Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			if addr != "db.example.com:3322" {
				t.Errorf("dialled %s", addr)
			}
			return dial(ctx, addr)
		}
	})
}

func TestZoneOfAnIPv6AddressReachesTheDialer(t *testing.T) {
	const addr = "[fe80::1%eth0]:3322"
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		lease(t, p).Release()
	}, func(cfg *session.Config) {
		dial := cfg.Hosts[0].Dial
		cfg.Hosts[0].Addr = addr
		cfg.Hosts[0].Dial = func(ctx context.Context, got string) (net.Conn, error) {
			if got != addr {
				t.Errorf("dialled %s", got)
			}
			return dial(ctx, got)
		}
	})
}

func TestSessionOfAnUnreachableServerIsUsedAgain(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		l := lease(t, p)
		d.fake.Down()
		synctest.Wait()
		if other, err := p.Lease(t.Context()); err == nil {
			t.Error("a lease while the server is down")
			other.Release()
		}
		l.Release()
		d.fake.Up()
		again := lease(t, p)
		defer again.Release()
		if n := len(d.fake.Log("OpenSession")); n != 1 {
			t.Errorf("%d sessions were opened, want 1", n)
		}
	})
}

// Only the wait for a connection is bounded by reconnectPatience. The login is not:
// its late answer names a session that would otherwise be left on the server.
func TestSlowLoginAfterReconnectIsWaitedFor(t *testing.T) {
	withPool(t, rule("OpenSession", 1, fakeserver.Fault{AnswerDelay: 3 * time.Second}), func(t *testing.T, p *session.Pool, d *dialer) {
		d.fake.Down()
		if _, err := p.Lease(t.Context()); err == nil {
			t.Fatal("a lease while the server is down")
		}
		d.fake.Up()
		lease(t, p).Release()
		if n := len(d.fake.Log("OpenSession")); n != 1 {
			t.Errorf("%d sessions were opened, want 1", n)
		}
	})
}

// lateTimer is a context whose deadline passes a moment before it ends, as on a busy machine.
type lateTimer struct {
	context.Context
	deadline time.Time
}

func (c lateTimer) Deadline() (time.Time, bool) { return c.deadline, true }

// gRPC fails a call by the clock, before the timer of the caller's context fires.
func TestTheDeadlineOfACallerIsNotTakenForConnectTimeout(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, _ *dialer) {
		l := lease(t, p)
		defer l.Release()
		other := lease(t, p)
		defer other.Release()
		if err := other.Isolate(t.Context()); err != nil {
			t.Fatal(err)
		}
		other.Session().Lost() // so the first session is doubtful
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.Lease(lateTimer{ctx, time.Now()})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, session.ErrConnectTimeout) {
			t.Errorf("err = %v, want DeadlineExceeded alone", err)
		}
	})
}

func TestSessionThatTheServerForgotIsReplaced(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		first := lease(t, p)
		defer first.Release()
		d.fake.Forget()
		d.fake.Cut()
		synctest.Wait()
		second := lease(t, p)
		defer second.Release()
		if first.Session() == second.Session() || !first.Session().Leaving() {
			t.Error("the forgotten session is leased")
		}
		if err := first.Move(t.Context(), first.Session()); err != nil || first.Session() != second.Session() {
			t.Errorf("the first lease: %v, another session: %v", err, first.Session() != second.Session())
		}
	})
}

func TestCancelledBeginIsRolledBackAndHarmsNoOtherTransaction(t *testing.T) {
	withPool(t, rule("NewTx", 2, fakeserver.Fault{AnswerDelay: 20 * time.Second}), func(t *testing.T, p *session.Pool, d *dialer) {
		l := lease(t, p)
		defer l.Release()
		bystander, f := begin(t.Context(), l)
		if f != nil {
			t.Fatalf("%+v", f)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, f := begin(ctx, l); f == nil || f.Ended != context.DeadlineExceeded {
			t.Fatalf("%+v, want the end of the caller's context", f)
		}
		if l.Session().Leaving() {
			t.Error("the session is leaving because a caller gave up")
		}
		time.Sleep(30 * time.Second)
		if open := d.fake.Transactions(); !slices.Equal(open, []string{bystander.ID}) {
			t.Errorf("open on the server: %v, want the bystander's %s", open, bystander.ID)
		}
		if f := bystander.Call(t.Context(), wire.MethodRollback, nil, wire.Empty); f != nil {
			t.Errorf("the bystander: %+v", f)
		}
		bystander.End()
	})
}

func TestSessionAfterAnUnansweredBeginIsClosedWhenItsLastTransactionEnds(t *testing.T) {
	withPool(t, rule("NewTx", 2, fakeserver.Fault{CutAfter: true}), func(t *testing.T, p *session.Pool, d *dialer) {
		l := lease(t, p)
		defer l.Release()
		tx, f := begin(t.Context(), l)
		if f != nil {
			t.Fatalf("%+v", f)
		}
		old := l.Session()
		if _, f := begin(t.Context(), l); f == nil || f.Fate != wire.Unknown {
			t.Fatalf("%+v, want an unknown fate", f)
		}
		synctest.Wait() // until another session is open
		if err := l.Move(t.Context(), old); err != nil || l.Session() == old {
			t.Errorf("the lease stays: %v", err)
		}
		if !slices.Contains(d.fake.Sessions(), old.ID) {
			t.Error("the session was closed under an open transaction")
		}
		tx.End()
		synctest.Wait()
		if slices.Contains(d.fake.Sessions(), old.ID) {
			t.Error("the session is still open")
		}
	})
}

// While the answers to logins are lost, every login leaves a session on the server
// until it expires. So the last session that works is kept until another is open.
func TestUnansweredLoginsNeverExceedMaxSessions(t *testing.T) {
	script := rule("NewTx", 1, fakeserver.Fault{CutAfter: true})
	for nth := 2; nth <= 9; nth++ {
		script.Rules = append(script.Rules, fakeserver.Rule{Method: "OpenSession", Nth: nth, Do: fakeserver.Fault{CutAfter: true}})
	}
	withPool(t, script, func(t *testing.T, p *session.Pool, d *dialer) {
		l := lease(t, p)
		defer l.Release()
		first := l.Session()
		if _, f := begin(t.Context(), l); f == nil || f.Fate != wire.Unknown {
			t.Fatalf("%+v, want an unknown fate", f)
		}
		for range 60 {
			if err := l.Move(t.Context(), l.Session()); err != nil {
				t.Fatal(err)
			}
			if n := len(d.fake.Sessions()); n > 4 {
				t.Fatalf("%d sessions are open on the server, max_sessions is 4", n)
			}
			time.Sleep(time.Second)
		}
		if l.Session() != first {
			t.Error("the lease moved, though no login was answered")
		}
		time.Sleep(10 * time.Minute) // the sessions whose ids were lost have expired
		for l.Session() == first {
			if err := l.Move(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
	}, func(cfg *session.Config) { cfg.MaxSessions = 4 })
}

func TestLeavingSessionIsSharedWhenMaxSessionsAllowsNoOther(t *testing.T) {
	withPool(t, rule("NewTx", 2, fakeserver.Fault{CutAfter: true}), func(t *testing.T, p *session.Pool, d *dialer) {
		l := lease(t, p)
		defer l.Release()
		tx, _ := begin(t.Context(), l)
		_, _ = begin(t.Context(), l)
		other := lease(t, p)
		defer other.Release()
		if f := keepAlive(t.Context(), other); f != nil {
			t.Errorf("%+v", f)
		}
		if n := len(d.fake.Sessions()); n != 1 {
			t.Errorf("%d sessions are open, want 1", n)
		}
		tx.End()
	}, func(cfg *session.Config) { cfg.MaxSessions = 1 })
}

func TestMaxSessionsCountsIsolatedSessions(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		var alone []*session.Lease
		for range 3 {
			l := lease(t, p)
			if err := l.Isolate(t.Context()); err != nil {
				t.Fatal(err)
			}
			alone = append(alone, l)
		}
		began := time.Now()
		_, err := p.Lease(t.Context())
		var limit *session.LimitError
		if !errors.As(err, &limit) || !limit.Own || !errors.Is(err, session.ErrConnectTimeout) {
			t.Errorf("err = %v, want our own limit after connect_timeout", err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v, want connect_timeout", took)
		}
		time.AfterFunc(time.Second, alone[0].Share)
		lease(t, p).Release()
		if n := len(d.fake.Log("OpenSession")); n != 3 {
			t.Errorf("%d sessions were opened, want 3", n)
		}
		for _, l := range alone {
			l.Release()
		}
	}, func(cfg *session.Config) { cfg.MaxSessions = 3 })
}

func TestMaxSessionsCountsUnansweredOpenSession(t *testing.T) {
	withPool(t, rule("OpenSession", 2, fakeserver.Fault{CutAfter: true}), func(t *testing.T, p *session.Pool, d *dialer) {
		first := lease(t, p)
		defer first.Release()
		if err := first.Isolate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Lease(t.Context()); err == nil {
			t.Fatal("a lease though the answer was cut off")
		}
		// There is no other session to share: one more may be opened.
		lease(t, p).Release()
		alone, err := p.Lease(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer alone.Release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		third := lease(t, p)
		defer third.Release()
		if err := third.Isolate(ctx); err == nil {
			t.Errorf("%d sessions may be open, max_sessions is 3", len(d.fake.Sessions()))
		}
	}, func(cfg *session.Config) { cfg.MaxSessions = 3 })
}

func TestSessionOpenedWhileThePoolClosesIsClosed(t *testing.T) {
	withPool(t, rule("OpenSession", 2, fakeserver.Fault{AnswerDelay: time.Second}), func(t *testing.T, p *session.Pool, d *dialer) {
		l, second := lease(t, p), lease(t, p) // the first is shared, and another one opened
		time.Sleep(2 * time.Second)
		lease(t, p).Release()
		l.Release()
		second.Release()
		synctest.Wait()
		p.Close()
		if n := len(d.fake.Log("OpenSession")); n != 2 {
			t.Errorf("%d sessions were opened, want 2", n)
		}
		if left := d.fake.Sessions(); len(left) != 0 {
			t.Errorf("left on the server: %v", left)
		}
	})
}

func TestCloseSessionIsRepeatedUntilTheServerAnswers(t *testing.T) {
	withPool(t, rule("CloseSession", 1, fakeserver.Fault{CutBefore: true}), func(t *testing.T, p *session.Pool, d *dialer) {
		lease(t, p).Release()
		p.Close()
		if left := d.fake.Sessions(); len(left) != 0 {
			t.Errorf("left on the server: %v", left)
		}
	})
}

func TestCloseDoesNotWaitForAnUnreachableServer(t *testing.T) {
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		lease(t, p).Release()
		d.fake.Down()
		began := time.Now()
		p.Close()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestUndoRollsBackThoughTheConnectionBreaks(t *testing.T) {
	withPool(t, rule("Rollback", 1, fakeserver.Fault{CutBefore: true}), func(t *testing.T, p *session.Pool, d *dialer) {
		l := lease(t, p)
		defer l.Release()
		tx, f := begin(t.Context(), l)
		if f != nil {
			t.Fatalf("%+v", f)
		}
		tx.Undo()
		time.Sleep(5 * time.Second)
		if open := d.fake.Transactions(); len(open) != 0 {
			t.Errorf("open on the server: %v", open)
		}
		if l.Session().Leaving() {
			t.Error("the session is leaving")
		}
	})
}

func TestServerThatChangesItsIdentityIsLogged(t *testing.T) {
	var log bytes.Buffer
	another := fakeserver.Script{UUID: "another"}
	withPool(t, fakeserver.Script{}, func(t *testing.T, p *session.Pool, d *dialer) {
		lease(t, p).Release()
		first := d.fake
		d.fake = fakeserver.New(another)
		defer d.fake.Close()
		first.Cut()
		synctest.Wait()
		lease(t, p).Release()
		p.Close()
		if !strings.Contains(log.String(), "another") || !strings.Contains(log.String(), fakeserver.UUID) {
			t.Errorf("logged: %s", log.String())
		}
		d.fake, first = first, d.fake
		first.Close()
		first.Forget()
		d.fake.Forget()
	}, func(cfg *session.Config) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
}
