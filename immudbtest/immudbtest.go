// Package immudbtest runs a real immudb server inside a Go program, for tests and for trying things out.
// It needs no container, no download and no configuration: the server listens on 127.0.0.1, keeps its data in a temporary
// directory, and ends with the test.
//
//	func TestInsert(t *testing.T) {
//		srv := immudbtest.Start(t)
//		db, err := sql.Open("immudb", srv.DSN())
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer db.Close()
//		// CREATE TABLE, INSERT, SELECT: the results are those of a server in production
//	}
//
// Starting and closing take less than 0.2 s together, a third of it for hashing the administrator's password. Tests that
// share a server should use one database each: [Server.NewDatabase]. Programs that are not tests use [New].
//
// # What differs from the immudb command
//
// The server is the one in github.com/codenotary/immudb/pkg/server, with its storage, SQL engine, sessions and access
// control. It prints nothing, and the web console, the metrics port, the PostgreSQL port and the pid file are off. Commits
// to a temporary directory are not synced to disk, which makes them about ten times faster ([WithSynced]). The signal
// handling of the process is not changed. ServerInfo reports no start time, and the AuthorizationService, by which the
// document API opens sessions, is missing.
//
// # Several servers in one process
//
// Any number of servers may run side by side and one after another, also under the race detector. The server
// package keeps some settings in package variables, which it writes while it starts. So servers start one at a time, and
// calls to other servers of the process wait meanwhile.
package immudbtest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	adminUser       = "immudb"
	defaultDatabase = "defaultdb"
)

// Server is a running immudb. Its methods may be called from several goroutines.
type Server struct {
	cfg  config
	dir  string        // the server's data
	temp string        // the directory that Close removes; "" if the caller owns the directory
	cert *certificates // nil without TLS
	log  *logWriter

	unlock func() error // gives the directory up; nil before it is this server's

	mu     sync.Mutex
	port   int
	pgPort int
	run    *instance // nil while stopped
	feed   *feed     // of a replica from its primary; else nil
	closed bool

	discarded []string // the names of databases to drop
}

// Start runs a server until the test and its subtests end. Its data lives in tb.TempDir() unless [WithDir]
// says otherwise. A server that cannot start fails the test.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	cfg := newConfig(opts)
	if cfg.dir == "" {
		cfg.dir = filepath.Join(tb.TempDir(), "data")
	}
	s, err := newServer(cfg)
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

// New runs a server until Close. Its data lives in a new temporary directory, which Close removes, unless
// [WithDir] says otherwise.
func New(opts ...Option) (*Server, error) {
	return newServer(newConfig(opts))
}

func newServer(cfg config) (_ *Server, err error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("immudbtest: %w", err)
	}
	s := &Server{cfg: cfg, dir: cfg.dir, port: cfg.port, pgPort: cfg.pgPort, log: newLogWriter(cfg.log)}
	if s.dir == "" {
		if s.temp, err = os.MkdirTemp("", "immudbtest-"); err != nil {
			return nil, fmt.Errorf("immudbtest: making a temporary directory: %w", err)
		}
		s.dir = filepath.Join(s.temp, "data")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return nil, fmt.Errorf("immudbtest: %w", err)
	}
	if s.unlock, err = lockDir(s.dir); err != nil {
		if errors.Is(err, ErrDirInUse) {
			return nil, err
		}
		return nil, fmt.Errorf("immudbtest: locking the directory: %w", err)
	}
	if cfg.tls {
		if s.cert, err = loadOrCreateCertificates(s.dir + ".tls"); err != nil {
			return nil, fmt.Errorf("immudbtest: making certificates: %w", err)
		}
	}
	if err := s.follow(); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	if cfg.replicaOf != "" {
		if err := s.awaitLogin(replicaPatience); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// DSN returns the data source name of the default database, with the administrator's user name and password:
//
//	immudb://immudb:immudb@127.0.0.1:23456/defaultdb?sslmode=disable
//
// With [WithTLS] it requires a verified server and names the files for that. Restart does not change it.
func (s *Server) DSN() string { return s.dsn(defaultDatabase) }

func (s *Server) dsn(database string) string {
	q := url.Values{}
	if s.cert == nil {
		q.Set("sslmode", "disable")
	} else {
		q.Set("sslmode", "verify-full")
		q.Set("sslrootcert", s.cert.caFile)
		if s.cfg.clientCert {
			q.Set("sslcert", s.cert.clientCertFile)
			q.Set("sslkey", s.cert.clientKeyFile)
		}
	}
	u := url.URL{
		Scheme:   "immudb",
		User:     url.UserPassword(adminUser, s.cfg.password),
		Host:     s.Addr(),
		Path:     "/" + database,
		RawQuery: q.Encode(),
	}
	return u.String()
}

// Addr returns the host:port that the server listens on, also while it is stopped.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return loopback(s.port)
}

// PostgreSQLAddr returns the host:port of the PostgreSQL protocol, or "" without [WithPostgreSQL].
func (s *Server) PostgreSQLAddr() string {
	if !s.cfg.pg {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return loopback(s.pgPort)
}

// Dir returns the absolute path of the server's data directory.
func (s *Server) Dir() string { return s.dir }

// CAFile returns the path of the PEM certificate that signed the server's, or "" without [WithTLS].
func (s *Server) CAFile() string {
	if s.cert == nil {
		return ""
	}
	return s.cert.caFile
}

// ClientCertFiles returns the paths of a PEM certificate and its key that the server accepts from a client, or ""
// without [WithTLS].
func (s *Server) ClientCertFiles() (cert, key string) {
	if s.cert == nil {
		return "", ""
	}
	return s.cert.clientCertFile, s.cert.clientKeyFile
}

// Stop ends the server: connections break, sessions and open transactions are lost, and the port refuses connections. The
// data stays, and Restart starts the server again. Stopping a stopped server does nothing.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopLocked()
}

func (s *Server) stopLocked() error {
	if s.run == nil {
		return nil
	}
	err := s.run.stop()
	s.run = nil
	if err != nil {
		return fmt.Errorf("immudbtest: stopping the server: %w", err)
	}
	return nil
}

// Restart stops the server if it runs and starts it again on the same address, with the same data and the same
// certificates. Sessions are lost. If another process has taken the port meanwhile, Restart waits for it, 5 seconds at
// most.
func (s *Server) Restart() error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.start()
}

// Promote makes a replica a primary, with the data that it has: it restarts the server without [WithReplicaOf], which is how
// an operator promotes the default database. The old primary does not learn of it: if it runs, there are two primaries.
// Promoting a primary only restarts it.
func (s *Server) Promote() error {
	return s.restartAs("", primary{})
}

// Follow makes the server a replica of the one that the DSN reaches, as [WithReplicaOf] does, and restarts it: a replica
// whose primary was replaced, or an old primary that comes back. What the server has must be the beginning of what the
// other one has; otherwise it follows nothing, and its log says so.
func (s *Server) Follow(dsn string) error {
	p, err := parsePrimary(dsn)
	if err != nil {
		return fmt.Errorf("immudbtest: replica: %w", err)
	}
	return s.restartAs(dsn, p)
}

func (s *Server) restartAs(replicaOf string, p primary) error {
	if err := s.Stop(); err != nil {
		return err
	}
	s.mu.Lock()
	s.cfg.replicaOf, s.cfg.primary = replicaOf, p
	err := s.follow()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.start()
}

// Close stops the server for good and removes the temporary directory that New made. A second Close does
// nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := errors.Join(s.stopLocked(), s.follow())
	s.log.close()
	if s.unlock != nil {
		err = errors.Join(err, s.unlock())
	}
	if s.temp != "" {
		err = errors.Join(err, os.RemoveAll(s.temp))
	}
	return err
}

func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("immudbtest: the server is closed; start a new one")
	}
	if s.run != nil {
		return errors.New("immudbtest: the server is already running")
	}
	l, err := listen(s.port)
	if err != nil {
		return fmt.Errorf("immudbtest: %w", err)
	}
	run, err := s.serveOn(l, freePort)
	if err != nil {
		return errors.Join(fmt.Errorf("immudbtest: starting the server: %w", err), l.Close())
	}
	s.run, s.port = run, l.Addr().(*net.TCPAddr).Port
	// The server has opened this directory before, so its password is known.
	s.cfg.forcePassword = false
	return nil
}

// serveOn starts the server on l. The server itself binds the port of the PostgreSQL protocol, some time after free has
// found it. If another process takes the port meanwhile, serveOn tries another one; a port that the caller chose, or that
// the server had before, it waits for.
func (s *Server) serveOn(l net.Listener, free func() (int, error)) (run *instance, err error) {
	kept := s.pgPort
	for deadline := time.Now().Add(bindPatience); ; time.Sleep(bindPause) {
		if s.cfg.pg && kept == 0 {
			if s.pgPort, err = free(); err != nil {
				break
			}
		}
		run, err = startInstance(s, l)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		s.pgPort = kept
	}
	return run, err
}

func (s *Server) running() (*instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		return nil, errors.New("immudbtest: the server is stopped; call Restart first")
	}
	return s.run, nil
}

func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
