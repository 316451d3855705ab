package immudb_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

const firstPassword, secondPassword = "F1rst!password", "S3cond!password"

// rotating starts a server of its own with the user ann, and returns a sql.DB of its administrator.
func rotating(t *testing.T) (*testserver.Server, *sql.DB) {
	t.Helper()
	srv := testserver.Start(t, "-synced=false")
	admin := dbtest.OpenDSN(t, srv.Info().DSN)
	dbtest.Exec(t, admin, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, n INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, admin, "CREATE USER ann WITH PASSWORD '"+firstPassword+"' READWRITE")
	return srv, admin
}

func connectTo(t *testing.T, srv *testserver.Server, change func(cfg *immudb.Config)) (*immudb.Connector, *sql.DB) {
	t.Helper()
	cfg, err := immudb.ParseDSN(srv.Info().DSN)
	if err != nil {
		t.Fatal(err)
	}
	cfg.User, cfg.Password = "ann", ""
	change(cfg)
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return connector, db
}

// The password is changed while statements run: first in the file, then on the server. No statement fails: the server
// ends the user's sessions at ALTER USER, and the statements move to new ones, which are opened with the new password.
func TestAPasswordIsChangedUnderLoadWithoutAFailedStatement(t *testing.T) {
	srv, admin := rotating(t)
	path := filepath.Join(t.TempDir(), "pass")
	write := func(password string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte("*:*:*:ann:"+password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(firstPassword)
	var (
		dbs  []*sql.DB
		all  []*immudb.Connector
		stop = make(chan struct{})
		runs [4]atomic.Int64 // how many statements of each pool were run
		wg   sync.WaitGroup
	)
	for range runs {
		c, db := connectTo(t, srv, func(cfg *immudb.Config) { cfg.PassFile = path })
		dbs, all = append(dbs, db), append(all, c)
	}
	load := func(i int) {
		for range 2 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := dbs[i].Exec("INSERT INTO t (n) VALUES (1)"); err != nil {
						t.Errorf("pool %d: %v", i, err)
						return
					}
					var n int
					if err := dbs[i].QueryRow("SELECT COUNT(*) FROM t").Scan(&n); err != nil {
						t.Errorf("pool %d: %v", i, err)
						return
					}
					runs[i].Add(1)
				}
			})
		}
	}
	ran := func(pools ...int) { // waits until each of the pools has run five more
		for _, i := range pools {
			for want := runs[i].Load() + 5; runs[i].Load() < want && !t.Failed(); {
				_ = dbs[i].Ping()
			}
		}
	}
	load(0)
	load(1)
	ran(0, 1)
	write(secondPassword)
	load(2) // its first session is opened while the file is ahead of the server
	ran(0, 1, 2)
	dbtest.Exec(t, admin, "ALTER USER ann WITH PASSWORD '"+secondPassword+"' READWRITE")
	load(3) // its first session is opened with the old password in memory
	ran(0, 1, 2, 3)
	close(stop)
	wg.Wait()
	for i, c := range all[:3] {
		if s := c.Stats(); s.Total.Lost == 0 || s.Retries.SessionLost == 0 {
			t.Errorf("pool %d: %+v: the server is known to end the sessions of a user whose password changes, and has not", i, s)
		}
	}
	if err := errors.Join(srv.Stop(), srv.Restart()); err != nil {
		t.Fatal(err)
	}
	for i, db := range dbs {
		if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got < 0 {
			t.Errorf("pool %d: %d rows", i, got)
		}
	}
	write(firstPassword)
	_, late := connectTo(t, srv, func(cfg *immudb.Config) { cfg.PassFile = path })
	if err := late.Ping(); !errors.Is(err, immudb.ErrAuthentication) || strings.Contains(err.Error(), firstPassword) {
		t.Errorf("a wrong password in the file: %v", err)
	}
}

// BeforeOpen gives each session its password, is asked again when the server refuses it, and its error is the
// caller's.
func TestBeforeOpenGivesThePassword(t *testing.T) {
	srv, admin := rotating(t)
	var (
		token = firstPassword
		calls int
		fails error
		mu    sync.Mutex
	)
	_, db := connectTo(t, srv, func(cfg *immudb.Config) {
		cfg.Password = "not the one"
		cfg.BeforeOpen = func(_ context.Context, s *immudb.UserDatabaseSession) error {
			mu.Lock()
			defer mu.Unlock()
			calls++
			if s.User != "ann" || s.Password != "not the one" || s.Database != "defaultdb" {
				t.Errorf("BeforeOpen got %v", s)
			}
			s.Password = token
			if calls == 2 {
				token = secondPassword // what the vault gives from the next call on
			}
			return fails
		}
	})
	restart := func() {
		t.Helper()
		if err := errors.Join(srv.Stop(), srv.Restart()); err != nil {
			t.Fatal(err)
		}
	}
	dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t")
	dbtest.Exec(t, admin, "ALTER USER ann WITH PASSWORD '"+secondPassword+"' READWRITE")
	restart()
	dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t") // refused once, then asked again
	if calls != 3 {
		t.Errorf("BeforeOpen was called %d times, want 3", calls)
	}
	mu.Lock()
	fails = errors.New("the vault is sealed")
	mu.Unlock()
	restart()
	if err := db.Ping(); !errors.Is(err, fails) || !strings.Contains(err.Error(), "Config.BeforeOpen") {
		t.Errorf("err = %v, want that of BeforeOpen", err)
	}
}

func TestBeforeOpenMustNotChangeTheDatabase(t *testing.T) {
	_, db := connectTo(t, testserver.Shared(t), func(cfg *immudb.Config) {
		cfg.BeforeOpen = func(_ context.Context, s *immudb.UserDatabaseSession) error {
			s.Database = "another"
			return nil
		}
	})
	if err := db.Ping(); err == nil || !strings.Contains(err.Error(), "make a connector for each database") {
		t.Errorf("err = %v", err)
	}
}

// A certificate's authority is replaced in its file: the next connection is made with the new one, without a new
// connector. A file in the middle of its replacement is no matter to those before.
func TestCertificateFilesAreReadAgain(t *testing.T) {
	right, wrong := testserver.Start(t, "-synced=false", "-tls"), testserver.Start(t, "-synced=false", "-tls")
	path := filepath.Join(t.TempDir(), "ca.pem")
	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	authority := func(srv *testserver.Server) []byte {
		t.Helper()
		pem, err := os.ReadFile(srv.Info().CAFile)
		if err != nil {
			t.Fatal(err)
		}
		return pem
	}
	write(authority(wrong))
	cfg, err := immudb.ParseDSN("user=immudb password=immudb sslmode=verify-full sslrootcert=" + path)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Hosts = []string{right.Addr()}
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := db.Ping(); err == nil || !strings.Contains(err.Error(), "trusted authority") {
		t.Fatalf("the wrong authority: %v", err)
	}
	write(authority(right))
	pingUntil(t, db, "the right authority is in the file", nil)
	write([]byte("half of a"))
	if err := errors.Join(right.Stop(), right.Restart()); err != nil {
		t.Fatal(err)
	}
	pingUntil(t, db, "a file that cannot be read, after the authority from before", nil)
}

// pingUntil pings until the answer is of a kind, or nil. An attempt to connect that began
// before a file changed may end after it, so the first ping may still tell of that one.
func pingUntil(t *testing.T, db *sql.DB, when string, kind error) error {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		err := db.Ping()
		if errors.Is(err, kind) {
			return err
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v, want %v", when, err, kind)
		}
	}
}

// A client's certificate, its key and its password are replaced in their files, after the server has refused those from
// before. Each is used from the next attempt on, without a new connector; half a pair of certificate and key is no matter.
func TestClientCertificateAndPassFileAreReadAgainAfterARefusal(t *testing.T) {
	srv, other := testserver.Start(t, "-synced=false", "-tls", "-client-certs"), testserver.Start(t, "-synced=false", "-tls")
	admin := dbtest.OpenDSN(t, srv.DSN())
	dbtest.Exec(t, admin, "CREATE USER ann WITH PASSWORD '"+secondPassword+"' READWRITE")
	dir := t.TempDir()
	cert, key, pass := filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key"), filepath.Join(dir, "pass")
	write := func(path string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fill := func(path, from string) {
		t.Helper()
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(path, content)
	}
	fill(cert, other.Info().ClientCertFile)
	fill(key, other.Info().ClientKeyFile)
	write(pass, []byte("*:*:*:ann:"+firstPassword+"\n"))
	connector, db := connectTo(t, srv, func(cfg *immudb.Config) {
		cfg.SSL.Cert, cfg.SSL.Key, cfg.PassFile = cert, key, pass
	})
	refused := func(when string, kind error) {
		t.Helper()
		if err := pingUntil(t, db, when, kind); strings.Contains(err.Error(), firstPassword) {
			t.Fatalf("%s: %v tells the password", when, err)
		}
	}
	refused("another authority's certificate", immudb.ErrUnreachable)
	fill(cert, srv.Info().ClientCertFile)
	refused("a certificate without its key", immudb.ErrUnreachable)
	fill(key, srv.Info().ClientKeyFile)
	refused("a wrong password", immudb.ErrAuthentication)
	write(pass, []byte("*:*:*:ann:"+secondPassword+"\n"))
	pingUntil(t, db, "all is replaced", nil)

	// The same while sessions are open, which the server ends.
	fill(cert, other.Info().ClientCertFile)
	fill(key, other.Info().ClientKeyFile)
	if err := db.Ping(); err != nil {
		t.Fatalf("a connection from before the change: %v", err)
	}
	if err := errors.Join(srv.Stop(), srv.Restart()); err != nil {
		t.Fatal(err)
	}
	refused("another authority's certificate, after a restart", immudb.ErrUnreachable)
	fill(cert, srv.Info().ClientCertFile)
	fill(key, srv.Info().ClientKeyFile)
	pingUntil(t, db, "all is replaced again", nil)
	if s := connector.Stats(); s.Total.Opens != 2 {
		t.Errorf("%d sessions were opened, want one before the restart and one after it", s.Total.Opens)
	}
}
