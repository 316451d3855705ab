// Package testserver runs a real immudb server as a child process for this module's tests. The server is the one of the
// immudbtest module, on which this module must not depend. So it is built with the go command when the first test needs
// it.
//
// A package whose tests share a server has
//
//	func TestMain(m *testing.M) { os.Exit(testserver.Main(m)) }
//
// and calls [Shared]. Tests that stop servers, or need other settings, call [Start] for a separate one. A child always
// ends with its test binary, even if that is killed.
package testserver

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Info is the information that a server prints when it is ready.
type Info struct {
	DSN            string `json:"dsn"`
	Addr           string `json:"addr"`             // host:port
	PostgreSQLAddr string `json:"pgsql_addr"`       // host:port, or "" without -pgsql
	Dir            string `json:"dir"`              // the data directory
	PID            int    `json:"pid"`              // of the child
	CAFile         string `json:"ca_file"`          // this and the next two are "" without -tls
	ClientCertFile string `json:"client_cert_file"` //
	ClientKeyFile  string `json:"client_key_file"`
}

const (
	startPatience   = 60 * time.Second
	stopPatience    = 30 * time.Second
	commandPatience = 30 * time.Second
)

// Server is an immudb in a child process. Its methods may be called from several goroutines.
type Server struct {
	bin     string
	flags   []string
	version string // of a released server; "" for immudb-dev
	temp    string // the directory that Close removes

	mu     sync.Mutex
	info   Info
	child  *child // nil while no process runs
	closed bool
}

// Start runs a separate server for the test and ends it with the test. The flags are those of the command
// immudbtest/cmd/immudb-dev, such as "-tls" or "-max-sessions=3"; -dir and -control are set already. Commits are synced to
// disk, because otherwise a server may be unable to open the data after Kill; "-synced=false" makes commits ten times
// faster.
func Start(tb testing.TB, flags ...string) *Server {
	tb.Helper()
	s, err := New(flags...)
	return closeWith(tb, s, err)
}

// StartVersion is Start with a released server, such as "v1.9.5", built from its module. It takes no settings:
// the user is immudb, the password immudb, and only the gRPC port is open. The first use of a version
// downloads and compiles it, which takes from seconds to minutes; the program is kept in the user's cache directory.
func StartVersion(tb testing.TB, version string) *Server {
	tb.Helper()
	s, err := NewVersion(version)
	return closeWith(tb, s, err)
}

func closeWith(tb testing.TB, s *Server, err error) *Server {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// New is Start for a caller that calls Close itself.
func New(flags ...string) (*Server, error) {
	bin, err := buildDev()
	if err != nil {
		return nil, err
	}
	return launch(&Server{bin: bin, flags: flags})
}

// NewVersion is StartVersion for a caller that calls Close itself.
func NewVersion(version string) (*Server, error) {
	bin, err := buildVersion(version)
	if err != nil {
		return nil, err
	}
	return launch(&Server{bin: bin, version: version})
}

func launch(s *Server) (*Server, error) {
	var err error
	if s.temp, err = os.MkdirTemp("", "immudb-testserver-"); err != nil {
		return nil, fmt.Errorf("testserver: %w", err)
	}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// DSN returns the data source name of the default database, which stays the same over Restart.
func (s *Server) DSN() string { return s.Info().DSN }

// Addr returns the host:port of the server, also while it is stopped.
func (s *Server) Addr() string { return s.Info().Addr }

// Info returns the information that the server printed at its last start.
func (s *Server) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

// Stop ends the process in order (SIGTERM) and waits for its end. The data stays. Stopping a stopped server does
// nothing.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopLocked()
}

func (s *Server) stopLocked() error {
	if err := s.external(); err != nil {
		return err
	}
	if s.child == nil {
		return nil
	}
	err := s.child.terminate(stopPatience)
	s.child = nil
	if err != nil {
		return fmt.Errorf("testserver: stopping: %w", err)
	}
	return nil
}

// Kill ends the process at once (SIGKILL) and waits for its end, as when the machine runs out of memory: the server flushes
// no data and does not notify clients. The data on disk stays.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.external(); err != nil {
		return err
	}
	if s.child == nil {
		return nil
	}
	err := s.child.died()
	s.child.kill()
	s.child = nil
	if err != nil {
		return fmt.Errorf("testserver: killing: %w", err)
	}
	return nil
}

// Restart starts the server again on the same port, with the same data and certificates. If it still runs it is stopped
// first.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("testserver: the server is closed; start a new one")
	}
	if err := s.stopLocked(); err != nil {
		return err
	}
	start := s.startDev
	if s.version != "" {
		start = s.startVersion
	}
	if err := start(); err != nil {
		return fmt.Errorf("testserver: %w", err)
	}
	return nil
}

// Promote restarts a replica as a primary, with the data it has: that is how an
// operator promotes the default database.
func (s *Server) Promote() error { return s.restartWithout("-replica-of=") }

// restartWithout restarts the server with the flag of that beginning left out, and
// with others added.
func (s *Server) restartWithout(flag string, added ...string) error {
	s.mu.Lock()
	s.flags = append(slices.DeleteFunc(slices.Clone(s.flags), func(f string) bool { return strings.HasPrefix(f, flag) }), added...)
	s.mu.Unlock()
	return s.Restart()
}

// Follow restarts the server as a replica of the server with the DSN, with the data
// it has.
func (s *Server) Follow(dsn string) error {
	return s.restartWithout("-replica-of=", "-replica-of="+dsn)
}

func (s *Server) startDev() error {
	dir := filepath.Join(s.temp, "data")
	args := slices.Concat(s.flags, []string{"-control", "-temporary", "-dir=" + dir})
	if s.info.Addr != "" {
		args = append(args, "-port="+portOf(s.info.Addr))
	}
	if s.info.PostgreSQLAddr != "" {
		args = append(args, "-pgsql-port="+portOf(s.info.PostgreSQLAddr))
	}
	c, err := startChild(s.bin, args, s.temp, false)
	if err != nil {
		return err
	}
	var info Info
	if err := c.answer(&info, startPatience); err != nil {
		c.kill()
		return fmt.Errorf("the server did not start: %w%s", err, c.said())
	}
	s.child, s.info = c, info
	go c.reportDeath()
	return nil
}

// Pause freezes the process (SIGSTOP): connections stay open, and the server answers no call until Resume.
func (s *Server) Pause() error {
	if err := s.signal(pauseSignal); err != nil {
		return err
	}
	return awaitPause(s.Info().PID)
}

// Resume ends a Pause.
func (s *Server) Resume() error { return s.signal(resumeSignal) }

func (s *Server) signal(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.external(); err != nil {
		return err
	}
	if s.child == nil {
		return errStopped
	}
	return s.child.cmd.Process.Signal(sig)
}

// Sessions returns how many sessions are open on the server.
func (s *Server) Sessions() (int, error) {
	a, err := s.command("sessions")
	return a.Sessions, err
}

// DropSessions ends all sessions on the server as if they had expired: the connections stay up.
func (s *Server) DropSessions() error {
	_, err := s.command("drop-sessions")
	return err
}

// NewDatabase creates an empty database and returns its DSN. A failure fails the test. The database is dropped some time
// after the test, because an open one needs 50 MB of the server's memory. On a server without a control connection
// databases stay.
func (s *Server) NewDatabase(tb testing.TB) string {
	tb.Helper()
	dsn, err := s.CreateDatabase()
	if err != nil {
		tb.Fatal(err)
	}
	if s.external() == nil && s.version == "" {
		// Errors do not matter: the server may have been stopped or have died.
		tb.Cleanup(func() { _, _ = s.command("discard " + dsn) })
	}
	return dsn
}

// CreateDatabase is NewDatabase for a caller without a testing.TB. On a server without a control connection (a released
// one, that of IMMUDB_TEST_DSN) it creates the database with SQL; then the test binary must import the driver.
func (s *Server) CreateDatabase() (string, error) {
	if s.external() != nil || s.version != "" {
		return s.createWithSQL()
	}
	a, err := s.command("new-database")
	return a.DSN, err
}

func (s *Server) createWithSQL() (string, error) {
	u, err := url.Parse(s.DSN())
	if err != nil { // newShared has parsed it
		return "", fmt.Errorf("testserver: %w", err)
	}
	db, err := sql.Open("immudb", u.String())
	if err != nil {
		return "", fmt.Errorf("testserver: making a database: %w", err)
	}
	defer db.Close()
	name := "db" + strings.ToLower(rand.Text())
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		return "", fmt.Errorf("testserver: making a database: %w", err)
	}
	u.Path = "/" + name
	return u.String(), nil
}

type answer struct {
	Sessions int    `json:"sessions"`
	DSN      string `json:"dsn"`
	Error    string `json:"error"`
}

var errStopped = errors.New("testserver: the server is stopped; call Restart first")

func (s *Server) command(line string) (answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var a answer
	if err := s.external(); err != nil {
		return a, err
	}
	if s.version != "" {
		return a, fmt.Errorf("testserver: a released server (%s) has no %q command", s.version, line)
	}
	if s.child == nil {
		return a, errStopped
	}
	if err := s.child.ask(line, &a, commandPatience); err != nil {
		return a, fmt.Errorf("testserver: %s: %w", line, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("testserver: %s: %s", line, a.Error)
	}
	return a, nil
}

// Close stops the server for good and removes its data. A second Close does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.temp == "" {
		return nil
	}
	s.closed = true
	return errors.Join(s.stopLocked(), os.RemoveAll(s.temp))
}

// died returns an error if the server's process ended although no call had stopped it.
func (s *Server) died() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil {
		return nil
	}
	if err := s.child.died(); err != nil {
		return fmt.Errorf("testserver: %w", err)
	}
	return nil
}

// external returns an error if the server is not a child process, so that it cannot be controlled.
func (s *Server) external() error {
	if s.bin == "" {
		return fmt.Errorf("testserver: the server of %s is not ours to control; start one with Start", dsnVariable)
	}
	return nil
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr) // of a server's own report
	return port
}
