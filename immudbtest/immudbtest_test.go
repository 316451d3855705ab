package immudbtest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codenotary/immudb/pkg/api/schema"
	"github.com/immudb-go/immudb/immudbtest"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/emptypb"
)

const createT = "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v VARCHAR, PRIMARY KEY id)"

func TestAServerExecutesSQL(t *testing.T) {
	t.Parallel()
	c := connect(t, immudbtest.Start(t).DSN())
	c.must(t, createT, "INSERT INTO t (v) VALUES ('one'), ('two')")
	if got, want := c.rows(t, "SELECT id, v FROM t"), []string{"1 one", "2 two"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestTheServerReportsItsRelease(t *testing.T) {
	t.Parallel()
	c := connect(t, immudbtest.Start(t).DSN())
	info, err := c.ServerInfo(c.ctx, &schema.ServerInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	// A test binary may lack the list of its modules; then the version is not known.
	if v := info.GetVersion(); v != "" && !strings.HasPrefix(v, "1.") {
		t.Fatalf("got version %q", v)
	}
}

func TestNewRemovesItsTemporaryDirectory(t *testing.T) {
	t.Parallel()
	srv, err := immudbtest.New(immudbtest.WithTLS())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second Close does nothing
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Dir(srv.Dir())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", filepath.Dir(srv.Dir()), err)
	}
	if err := srv.Restart(); err == nil {
		t.Error("a closed server was started again")
	}
	if err := srv.DropSessions(); err == nil {
		t.Error("a closed server dropped sessions")
	}
}

func TestRestartKeepsAddressAndData(t *testing.T) {
	t.Parallel()
	srv := immudbtest.Start(t, immudbtest.WithTLS(), immudbtest.WithPostgreSQL(0))
	dsn, pg := srv.DSN(), srv.PostgreSQLAddr()
	connect(t, dsn).must(t, createT, "INSERT INTO t (v) VALUES ('kept')")

	for _, stopFirst := range []bool{true, false} {
		if stopFirst {
			for range 2 { // stopping a stopped server does nothing
				if err := srv.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			for _, addr := range []string{srv.Addr(), pg} {
				if c, err := net.Dial("tcp", addr); err == nil {
					t.Fatalf("%s still answers (%v)", addr, c.Close())
				}
			}
		}
		if err := srv.Restart(); err != nil {
			t.Fatal(err)
		}
		if srv.DSN() != dsn || srv.PostgreSQLAddr() != pg {
			t.Fatalf("was %s and %s, is %s and %s", dsn, pg, srv.DSN(), srv.PostgreSQLAddr())
		}
		if got, want := connect(t, dsn).rows(t, "SELECT v FROM t"), []string{"kept"}; !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestRestartWaitsForItsPorts(t *testing.T) {
	t.Parallel()
	srv := immudbtest.Start(t, immudbtest.WithPostgreSQL(0))
	before := [2]string{srv.Addr(), srv.PostgreSQLAddr()}
	for _, addr := range before {
		if err := srv.Stop(); err != nil {
			t.Fatal(err)
		}
		thief, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(300*time.Millisecond, func() { _ = thief.Close() })
		if err := srv.Restart(); err != nil {
			t.Fatal(err)
		}
		connect(t, srv.DSN())
		if now := [2]string{srv.Addr(), srv.PostgreSQLAddr()}; now != before {
			t.Errorf("the server has moved from %v to %v", before, now)
		}
	}
}

func TestStopDoesNotWaitForSilentOrBusyClients(t *testing.T) {
	t.Parallel()
	srv := immudbtest.Start(t)
	silent, err := net.Dial("tcp", srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := connect(t, srv.DSN())
	c.must(t, createT)
	insert := "INSERT INTO t (v) VALUES ('x')" + strings.Repeat(", ('x')", 499)
	c.must(t, insert, insert)
	stream, err := c.SQLQuery(c.ctx, &schema.SQLQueryRequest{
		Sql:          "SELECT a.v FROM t AS a INNER JOIN t AS b ON a.v = b.v INNER JOIN t AS d ON d.v = b.v",
		AcceptStream: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := srv.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("Stop took %v", took)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if err == io.EOF {
		t.Error("a billion rows were sent before the end")
	}
}

func TestNewDatabasesAreEmptyAndApart(t *testing.T) {
	t.Parallel()
	srv := immudbtest.Start(t)
	one, two := srv.NewDatabase(t), srv.NewDatabase(t)
	connect(t, one).must(t, createT, "INSERT INTO t (v) VALUES ('one')")
	c := connect(t, two)
	if rows, _, err := c.query("SELECT v FROM t"); err == nil {
		t.Fatalf("a new database holds a table of another, with %q", rows)
	}
	c.must(t, createT)
	if n := srv.Sessions(); n != 2 {
		t.Errorf("%d sessions are open, want those of this test, 2", n)
	}
}

func TestDatabaseOfATestIsDroppedWithTheNextOne(t *testing.T) {
	t.Parallel()
	srv := immudbtest.Start(t)
	var dsn string
	t.Run("the test", func(t *testing.T) {
		dsn = srv.NewDatabase(t)
		srv.NewDatabase(t)
		connect(t, dsn).must(t, createT)
	})
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(srv.Dir(), u.Path)
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	srv.DiscardDatabase(dsn) // a second time
	srv.DiscardDatabase("no DSN of ours")
	for range 2 {
		if _, err := srv.CreateDatabase(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", dir, err)
	}
}

func TestDropSessionsEndsSessionsButNotConnections(t *testing.T) {
	t.Parallel()
	srv := immudbtest.Start(t)
	c := connect(t, srv.DSN())
	if n := srv.Sessions(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	if err := srv.DropSessions(); err != nil {
		t.Fatal(err)
	}
	if n := srv.Sessions(); n != 0 {
		t.Fatalf("%d sessions, want 0", n)
	}
	if err := c.exec(createT); err == nil || !strings.Contains(err.Error(), "session not found") {
		t.Fatalf("got %v, want session not found", err)
	}
}

// TestServersRunSideBySide is for the race detector: servers start and stop while calls reach another one.
func TestServersRunSideBySide(t *testing.T) {
	t.Parallel()
	c := connect(t, immudbtest.Start(t).DSN())
	c.must(t, createT)
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := c.exec("INSERT INTO t (v) VALUES ('x')"); err != nil {
				t.Error(err)
				return
			}
			if _, _, err := c.query("SELECT id FROM t LIMIT 1"); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var others sync.WaitGroup
	for range 3 {
		others.Go(func() {
			for range 2 {
				other, err := immudbtest.New()
				if err != nil {
					t.Error(err)
					return
				}
				defer other.Close()
				if err := other.Restart(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	others.Wait()
	stop()
	wg.Wait()
}

// The next two tests check the whole process, so no other test may run at the same time.

func TestAServerIsQuietAndLeavesNoFilesOutsideItsDirectory(t *testing.T) {
	cwd := t.TempDir()
	t.Chdir(cwd)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string)
	go func() {
		text, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		said <- string(text)
	}()
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = w, w
	work := func() error {
		srv, err := immudbtest.New(immudbtest.WithMaxSessions(1), immudbtest.WithPostgreSQL(0), immudbtest.WithTLS())
		if err != nil {
			return err
		}
		c := connect(t, srv.DSN())
		c.must(t, createT)
		if _, err := dial(t, srv.DSN()); err == nil {
			t.Error("a session beyond the limit was opened")
		}
		replica, err := immudbtest.New(immudbtest.WithReplicaOf(immudbtest.Start(t).DSN()))
		if err != nil {
			return errors.Join(err, srv.Close())
		}
		return errors.Join(replica.Close(), srv.Restart(), srv.Close())
	}
	err = work()
	os.Stdout, os.Stderr = stdout, stderr
	if err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if text := <-said; text != "" {
		t.Errorf("the server printed:\n%s", text)
	}
	if files, err := os.ReadDir(cwd); err != nil || len(files) > 0 {
		t.Errorf("the working directory holds %v (%v)", files, err)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	round := func() {
		primary, err := immudbtest.New(immudbtest.WithPostgreSQL(0))
		if err != nil {
			t.Fatal(err)
		}
		replica, err := immudbtest.New(immudbtest.WithReplicaOf(primary.DSN()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := primary.CreateDatabase(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(replica.Close(), primary.Restart(), primary.Close()); err != nil {
			t.Fatal(err)
		}
	}
	round() // whatever the process starts once and for all
	before := goleak.IgnoreCurrent()
	for range 3 {
		round()
	}
	deadline := time.Now().Add(10 * time.Second)
	for err := goleak.Find(before); err != nil; err = goleak.Find(before) {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestDSNNamesUserPasswordAndDatabase(t *testing.T) {
	t.Parallel()
	const password = "p@ss:w/rd? #1%é"
	srv := immudbtest.Start(t, immudbtest.WithAdminPassword(password))
	u, err := url.Parse(srv.DSN())
	if err != nil {
		t.Fatal(err)
	}
	got, _ := u.User.Password()
	if u.Scheme != "immudb" || u.User.Username() != "immudb" || got != password || u.Path != "/defaultdb" {
		t.Fatalf("got %s", srv.DSN())
	}
	if u.Host != srv.Addr() || u.Hostname() != "127.0.0.1" || u.Query().Get("sslmode") != "disable" {
		t.Fatalf("got %s", srv.DSN())
	}
	c := connect(t, srv.DSN())
	if _, err := c.Health(c.ctx, &emptypb.Empty{}); err != nil {
		t.Fatal(err)
	}
}
