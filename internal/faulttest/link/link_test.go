package link

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// echo is a server that returns the bytes that it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c) // ends with the connection
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func start(t *testing.T) *Link {
	t.Helper()
	l, err := New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func dial(t *testing.T, l *Link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp4", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// soon is the limit for events that must happen, short the wait for those that must not.
const soon, short = 10 * time.Second, 100 * time.Millisecond

// ask sends a text and returns the bytes that come back within the time.
func ask(t *testing.T, c net.Conn, text string, within time.Duration) (string, error) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	return hear(t, c, len(text), within)
}

func hear(t *testing.T, c net.Conn, n int, within time.Duration) (string, error) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, n)
	n, err := io.ReadFull(c, buf)
	return string(buf[:n]), err
}

func expectEcho(t *testing.T, c net.Conn) {
	t.Helper()
	if got, err := ask(t, c, "hello", soon); got != "hello" {
		t.Fatalf("got %q, %v; want the echo", got, err)
	}
}

func expectSilence(t *testing.T, c net.Conn) {
	t.Helper()
	if got, err := ask(t, c, "hello", short); got != "" || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %q, %v; want nothing at all", got, err)
	}
}

func TestRulelessLinkPassesBytesOn(t *testing.T) {
	expectEcho(t, dial(t, start(t)))
}

func TestSilentFlowStaysSilentWhileNewOnesWork(t *testing.T) {
	for name, rules := range map[string][2]Rule{
		"both":      {{Silent: true}, {Silent: true}},
		"to server": {{Silent: true}, {}},
		"to client": {{}, {Silent: true}},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t)
			old := dial(t, l)
			expectEcho(t, old)
			l.ApplyExisting(rules[0], rules[1])
			expectSilence(t, old)
			expectEcho(t, dial(t, l))
			if err := l.Heal(); err != nil {
				t.Fatal(err)
			}
			expectSilence(t, old)
		})
	}
}

func TestSilenceHidesTheEndOfTheServer(t *testing.T) {
	l := start(t)
	c := dial(t, l)
	expectEcho(t, c)
	l.ApplyExisting(Rule{}, Rule{Silent: true})
	if err := c.(*net.TCPConn).CloseWrite(); err != nil { // the server answers with its own end
		t.Fatal(err)
	}
	if got, err := hear(t, c, 1, short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %q, %v; want nothing at all", got, err)
	}
}

func TestHeldBytesArriveAfterHeal(t *testing.T) {
	l := start(t)
	c := dial(t, l)
	expectEcho(t, c)
	l.Apply(Rule{Hold: true}, Rule{Hold: true})
	expectSilence(t, c)
	late := dial(t, l) // opened while no bytes get through
	expectSilence(t, late)
	if err := l.Heal(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{c, late} {
		if got, err := hear(t, c, 5, soon); got != "hello" {
			t.Fatalf("got %q, %v; want what was held", got, err)
		}
	}
}

func TestCutResetsFlows(t *testing.T) {
	l := start(t)
	c := dial(t, l)
	expectEcho(t, c)
	l.Cut()
	if _, err := hear(t, c, 1, soon); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %v, want a reset", err)
	}
	expectEcho(t, dial(t, l))
}

func TestCutWithinBreaksTheFlowAfterPartOfTheBytes(t *testing.T) {
	for name, rules := range map[string][2]Rule{
		"sending":   {{CutWithin: 100}, {}},
		"receiving": {{}, {CutWithin: 100}},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t)
			l.Apply(rules[0], rules[1])
			c := dial(t, l)
			got, err := ask(t, c, string(make([]byte, 100)), soon)
			if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || len(got) >= 100 {
				t.Fatalf("got %d bytes and %v, want a part and the end of the connection", len(got), err)
			}
		})
	}
}

func TestRefusedConnectionsAreAcceptedAgainAtTheSameAddress(t *testing.T) {
	l := start(t)
	c := dial(t, l)
	addr := l.Addr()
	if err := l.Refuse(); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp4", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("got %v, want connection refused", err)
	}
	expectEcho(t, c)
	if err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	if l.Addr() != addr {
		t.Fatalf("was at %s, is at %s", addr, l.Addr())
	}
	expectEcho(t, dial(t, l))
}

func TestMoveLeavesTheOldAddress(t *testing.T) {
	l := start(t)
	c := dial(t, l)
	expectEcho(t, c)
	old := l.Addr()
	if err := l.Move(); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp4", old); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("%s: got %v, want connection refused", old, err)
	}
	if _, err := hear(t, c, 1, soon); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("the flow: got %v, want a reset", err)
	}
	expectEcho(t, dial(t, l))
}

func TestDelayAndRateSlowBytesDown(t *testing.T) {
	for name, rule := range map[string]Rule{
		"delay":  {Delay: 50 * time.Millisecond},
		"rate":   {Rate: 100}, // 5 bytes take 50 ms
		"jitter": {Delay: 50 * time.Millisecond, Jitter: 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t)
			c := dial(t, l)
			expectEcho(t, c)
			l.Apply(rule, rule)
			began := time.Now()
			expectEcho(t, c)
			if took := time.Since(began); took < 100*time.Millisecond {
				t.Errorf("took %v, want at least 50 ms each way", took)
			}
		})
	}
}

func TestCloseEndsEveryKindOfFlow(t *testing.T) {
	for name, rule := range map[string]Rule{
		"passing": {},
		"silent":  {Silent: true},
		"held":    {Hold: true},
		"slow":    {Delay: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := New(echo(t))
			if err != nil {
				t.Fatal(err)
			}
			c := dial(t, l)
			expectEcho(t, c)
			l.Apply(rule, rule)
			if _, err := io.WriteString(c, "hello"); err != nil {
				t.Fatal(err)
			}
			closed := make(chan error, 1)
			go func() { closed <- l.Close() }()
			select {
			case err := <-closed:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(soon):
				t.Fatal("Close does not return")
			}
		})
	}
}
