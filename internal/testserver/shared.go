package testserver

import (
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"
)

// dsnVariable names a running server that [Shared] then gives instead of a child.
const dsnVariable = "IMMUDB_TEST_DSN"

// shared is the package's server, made by the first Shared.
var shared struct {
	mu     sync.Mutex
	server *Server
	err    error
}

// Shared returns the server that the tests of the package share, and starts it when it is the first to ask. It
// belongs to Main, which ends it; tests that need a state of their own take a [Server.NewDatabase]. With
// IMMUDB_TEST_DSN set it is the server there, which the tests cannot stop or ask about its sessions, and on which
// their databases stay: no statement drops a database. Once the server has died, every call fails the test with that.
func Shared(tb testing.TB) *Server {
	tb.Helper()
	s, err := SharedServer()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// SharedServer is Shared for a caller without a testing.TB: an Example.
func SharedServer() (*Server, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = newShared(os.Getenv(dsnVariable))
	}
	if shared.err == nil {
		shared.err = shared.server.died() // what is left of the tests need not try
	}
	return shared.server, shared.err
}

func newShared(dsn string) (*Server, error) {
	if dsn == "" {
		return New("-synced=false") // nobody may kill it
	}
	u, err := url.Parse(dsn)
	if err != nil {
		// The parser's own error repeats the DSN, password included.
		return nil, fmt.Errorf("testserver: %s is not a URL; it must look like immudb://user:password@host:3322/db",
			dsnVariable)
	}
	return &Server{info: Info{DSN: dsn, Addr: u.Host}}, nil
}

// Main runs the package's tests, then the checks, then ends the shared server, and returns the exit status. The
// checks run when the tests have passed, with the shared server still up: that no goroutine is left, that no
// session is.
func Main(m interface{ Run() int }, checks ...func() error) int {
	status := runChecks(m.Run(), checks...)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		return status
	}
	died := shared.server.died() != nil // which has been reported
	if err := shared.server.Close(); err != nil {
		if !died {
			fmt.Fprintln(os.Stderr, err)
		}
		status = max(status, 1)
	}
	return status
}

func runChecks(status int, checks ...func() error) int {
	if status != 0 {
		return status
	}
	for _, check := range checks {
		if err := check(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	return status
}

// NoSessions is a check for Main: it fails when the tests have left sessions open on the shared server. Those that are
// being closed get a moment. A server that is not ours, or was never started, is not asked.
func NoSessions() error {
	shared.mu.Lock()
	s := shared.server
	shared.mu.Unlock()
	if s == nil || s.external() != nil {
		return nil
	}
	for deadline := time.Now().Add(closePatience); ; time.Sleep(10 * time.Millisecond) {
		n, err := s.Sessions()
		if err != nil || n == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("testserver: the tests left %d sessions open", n)
		}
	}
}

// closePatience is how long a session that is being closed may take, on a machine that is busy.
const closePatience = 10 * time.Second
