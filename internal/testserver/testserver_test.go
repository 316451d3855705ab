//go:build unix

package testserver

import (
	"bufio"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/immudb-go/immudb"
)

func TestMain(m *testing.M) {
	if os.Getenv("TESTSERVER_BE_PARENT") != "" {
		beParent()
	}
	os.Exit(Main(m, NoSessions))
}

// beParent is the process that TestNoChildOutlivesItsParent kills.
func beParent() {
	start := func() (*Server, error) { return New() }
	if version := os.Getenv("TESTSERVER_BE_PARENT"); version != "dev" {
		start = func() (*Server, error) { return NewVersion(version) }
	}
	s, err := start()
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(s.Addr() + " " + s.Info().Dir + "\n")
	select {}
}

func answers(t *testing.T, addr string) bool {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return true
}

func TestSharedGivesEveryTestTheSameServer(t *testing.T) {
	first, second := Shared(t), Shared(t)
	if first != second {
		t.Fatalf("Shared gave two servers: %s and %s", first.Addr(), second.Addr())
	}
	if !answers(t, first.Addr()) {
		t.Fatalf("nothing listens on %s", first.Addr())
	}
}

func TestTheServerOfTheEnvironmentIsUsedButNotControlled(t *testing.T) {
	const dsn = "immudb://u:secret@db.example:3322/app"
	s, err := newShared(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if s.DSN() != dsn || s.Addr() != "db.example:3322" {
		t.Fatalf("got %s at %s", s.DSN(), s.Addr())
	}
	_, sessionsErr := s.Sessions()
	for call, err := range map[string]error{
		"Stop":     s.Stop(),
		"Kill":     s.Kill(),
		"Restart":  s.Restart(),
		"Pause":    s.Pause(),
		"Sessions": sessionsErr,
	} {
		if err == nil || !strings.Contains(err.Error(), dsnVariable) {
			t.Errorf("%s: got %v, want an error that names %s", call, err, dsnVariable)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestABadDSNInTheEnvironmentIsRefusedWithoutItsPassword(t *testing.T) {
	_, err := newShared("immudb://u:secret@[::1/app")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Fatalf("got %v, want an error without the password", err)
	}
}

func TestRestartKeepsAddressAndData(t *testing.T) {
	ends := map[string]func(*Server) error{
		"Stop":    (*Server).Stop,
		"Kill":    (*Server).Kill,
		"running": func(*Server) error { return nil },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Start(t, "-tls", "-pgsql")
			before := s.Info()
			mark := identifier(t, before.Dir)
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			if name != "running" && answers(t, before.Addr) {
				t.Fatalf("%s still answers", before.Addr)
			}
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			after := s.Info()
			if before.PID == after.PID {
				t.Error("it is the same process")
			}
			after.PID = before.PID
			if after != before {
				t.Errorf("before %+v\nafter  %+v", before, after)
			}
			if got := identifier(t, after.Dir); got != mark {
				t.Errorf("the server was %q and is %q", mark, got)
			}
			if !answers(t, after.Addr) || !answers(t, after.PostgreSQLAddr) {
				t.Errorf("%s or %s does not answer", after.Addr, after.PostgreSQLAddr)
			}
		})
	}
}

// identifier reads the server's UUID, which the server generates once per data directory.
func identifier(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "immudb.identifier"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCloseRemovesTheDataAndEndsTheProcess(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	info := s.Info()
	for range 2 { // a second Close does nothing
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Dir(info.Dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", info.Dir, err)
	}
	if err := syscall.Kill(info.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v, want it gone", info.PID, err)
	}
	if err := s.Restart(); err == nil {
		t.Error("a closed server was started again")
	}
}

func TestAPausedServerKeepsConnectionsAndCanBeClosed(t *testing.T) {
	s := Start(t)
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	// The kernel completes the handshake; a server that runs would send its HTTP/2 settings.
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a paused server sent %d bytes, %v", n, err)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(buf); n == 0 {
		t.Fatalf("a resumed server sends nothing: %v", err)
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatalf("stopping a paused server: %v", err)
	}
	if err := s.Resume(); !errors.Is(err, errStopped) {
		t.Fatalf("Resume of a stopped server: got %v, want %v", err, errStopped)
	}
}

func TestNewDatabaseGivesAnotherDatabaseOfTheSameServer(t *testing.T) {
	s := Shared(t)
	u, err := url.Parse(s.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	if u.Host != s.Addr() || u.Path == "/defaultdb" {
		t.Fatalf("got %s", u.Redacted())
	}
	if _, err := os.Stat(filepath.Join(s.Info().Dir, u.Path)); err != nil {
		t.Fatal(err)
	}
	if err := s.DropSessions(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sessions(); n != 0 || err != nil {
		t.Fatalf("got %d sessions, %v; want none", n, err)
	}
}

func TestDatabaseOfATestIsDroppedAfterIt(t *testing.T) {
	s := Shared(t)
	var dir string
	t.Run("the test", func(t *testing.T) {
		u, err := url.Parse(s.NewDatabase(t))
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(s.Info().Dir, u.Path)
		s.NewDatabase(t) // drops what is not needed
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("while the test runs: %v", err)
		}
	})
	s.NewDatabase(t)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", dir, err)
	}
}

func TestServerThatDiedFailsEveryTestThatAsksForIt(t *testing.T) {
	own, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(own.Info().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-own.child.done
	shared.mu.Lock()
	before := shared.server
	shared.server = own
	shared.mu.Unlock()
	_, first := SharedServer()
	_, second := SharedServer()
	shared.mu.Lock()
	shared.server, shared.err = before, nil
	shared.mu.Unlock()

	_, databaseErr := own.CreateDatabase()
	for what, err := range map[string]error{"first": first, "second": second, "CreateDatabase": databaseErr, "Close": own.Close()} {
		if err == nil || !strings.Contains(err.Error(), "the server under test died") || !strings.Contains(err.Error(), "signal: killed") {
			t.Errorf("%s: got %v, want that the server was killed", what, err)
		}
	}
}

func TestServersWithoutCommandsGiveDatabasesToo(t *testing.T) {
	given, err := newShared(Start(t).DSN())
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*Server{"given": given, "released": StartVersion(t, "v1.10.0")} {
		db, err := sql.Open("immudb", s.NewDatabase(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("CREATE TABLE t (id INTEGER, PRIMARY KEY id)"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	_, err := New("-max-sessions=0")
	if err == nil || !strings.Contains(err.Error(), "max sessions is 0") {
		t.Fatalf("got %v, want the child's own complaint", err)
	}
}

func TestOnlyReleasesAreBuilt(t *testing.T) {
	for _, version := range []string{"", "latest", "1.9.5", "v1.9", "v1.9.5/../x", "v1.9.5-rc1"} {
		if _, err := NewVersion(version); err == nil || !strings.Contains(err.Error(), "not the version of a release") {
			t.Errorf("%q: got %v", version, err)
		}
	}
}

func TestMainRunsChecksOnlyAfterSuccess(t *testing.T) {
	failing := func() error { return errors.New("this check fails, as it should") }
	for _, c := range []struct {
		status, want int
		check        func() error
	}{
		{0, 0, func() error { return nil }},
		{0, 1, failing},
		{3, 3, failing}, // the exit status is that of the tests
	} {
		if got := runChecks(c.status, c.check); got != c.want {
			t.Errorf("status %d became %d, want %d", c.status, got, c.want)
		}
	}
}

func TestNoChildOutlivesItsParent(t *testing.T) {
	for _, which := range []string{"dev", "v1.10.0"} {
		t.Run(which, func(t *testing.T) {
			parent := exec.Command(os.Args[0])
			parent.Env = append(os.Environ(), "TESTSERVER_BE_PARENT="+which)
			parent.Stderr = t.Output()
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			addr, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
			t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(dir)) })
			if !answers(t, addr) {
				t.Fatalf("nothing listens on %s", addr)
			}
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = parent.Wait() // it was killed
			for deadline := time.Now().Add(20 * time.Second); answers(t, addr); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%s still answers", addr)
				}
			}
			if which != "dev" {
				return // a released server does not use these directories
			}
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("%s is still there", dir)
				}
			}
		})
	}
}

func TestReleasedServersRun(t *testing.T) {
	for _, version := range []string{"v1.9.5", "v1.10.0"} {
		t.Run(version, func(t *testing.T) {
			s := StartVersion(t, version)
			addr := s.Addr()
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			if s.Addr() != addr || !answers(t, addr) {
				t.Fatalf("was at %s, is at %s", addr, s.Addr())
			}
			if _, err := s.Sessions(); err == nil {
				t.Fatal("a released server counts no sessions for us, and yet there was no error")
			}
		})
	}
}

func TestAReleasedServerWaitsForItsPort(t *testing.T) {
	t.Parallel()
	s := StartVersion(t, "v1.10.0")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	thief, err := net.Listen("tcp", s.Info().Addr)
	if err != nil {
		t.Fatal(err)
	}
	addr := s.Info().Addr
	time.AfterFunc(time.Second, func() { _ = thief.Close() })
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if s.Info().Addr != addr {
		t.Errorf("the server has moved from %s to %s", addr, s.Info().Addr)
	}
}
