package testserver

import (
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"
)

// dsnVariable names a running server that [Shared] returns instead of a child.
const dsnVariable = "IMMUDB_TEST_DSN"

// shared is the package's server, made by the first Shared.
var shared struct {
	mu     sync.Mutex
	server *Server
	err    error
}

// Shared returns the server that the tests of the package share. The first call starts it, and Main ends it. Each test
// should use its own database: [Server.NewDatabase]. With IMMUDB_TEST_DSN set it is the server of that DSN. The tests cannot
// stop that server or count its sessions, and their databases stay on it, because no SQL statement drops a database. After
// the server has died, every call fails the test.
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
		shared.err = shared.server.died() // the remaining tests fail at once
	}
	return shared.server, shared.err
}

func newShared(dsn string) (*Server, error) {
	if dsn == "" {
		return New("-synced=false") // tests must not kill it
	}
	u, err := url.Parse(dsn)
	if err != nil {
		// The parser's error would hold the DSN with its password.
		return nil, fmt.Errorf("testserver: %s is not a URL; it must look like immudb://user:password@host:3322/db",
			dsnVariable)
	}
	return &Server{info: Info{DSN: dsn, Addr: u.Host}}, nil
}

// Main runs the package's tests, then the checks, then ends the shared server, and returns the exit status. The checks run
// only if the tests have passed, while the shared server still runs: for example that no goroutine and no session is left.
func Main(m interface{ Run() int }, checks ...func() error) int {
	status := runChecks(m.Run(), checks...)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		return status
	}
	died := shared.server.died() != nil // already reported
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

// NoSessions is a check for Main: it fails if the tests have left sessions open on the shared server. It waits for sessions
// that are being closed. It does nothing if the server is not a child or was not started.
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
