package scripttest

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// cluster runs f with a database on several hosts, a, b, …, each with a script.
func cluster(t *testing.T, scripts []fakeserver.Script, f func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB), change ...Change) {
	t.Helper()
	observed(t, scripts, func(t *testing.T, hosts []*fakeserver.Server, _ *immudb.Connector, db *sql.DB) { f(t, hosts, db) }, change...)
}

// observed is cluster with the connector, whose statistics a test reads.
func observed(t *testing.T, scripts []fakeserver.Script, f func(t *testing.T, hosts []*fakeserver.Server, connector *immudb.Connector, db *sql.DB), change ...Change) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := immudb.NewConfig()
		cfg.User, cfg.Password = "user", "password"
		cfg.Hosts = nil
		byAddr := map[string]*fakeserver.Server{}
		var hosts []*fakeserver.Server
		for i, s := range scripts {
			fake := fakeserver.New(s)
			addr := string(rune('a'+i)) + ":3322"
			cfg.Hosts = append(cfg.Hosts, addr)
			byAddr[addr] = fake
			hosts = append(hosts, fake)
		}
		cfg.SSL.Mode = "disable"
		cfg.DialContext = func(ctx context.Context, addr string) (net.Conn, error) { return byAddr[addr].Dial(ctx, addr) }
		for _, f := range change {
			f(cfg)
		}
		connector, err := immudb.NewConnector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(connector)
		f(t, hosts, connector, db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		for _, h := range hosts {
			ExpectNothingLeft(t, h)
			h.Close()
		}
	})
}

func TestHostsAreTriedInOrder(t *testing.T) {
	refuse := func(message, sqlState string, c codes.Code) fakeserver.Script {
		return Rule("OpenSession", 0, fakeserver.Fault{Fail: &fakeserver.Failure{Code: c, Message: message, SQLState: sqlState}})
	}
	for _, row := range []struct {
		reason string
		first  fakeserver.Script
		down   bool
		second bool  // the second host is used
		err    error // the error of Ping otherwise
	}{
		{"the first will do", fakeserver.Script{}, false, false, nil},
		{"the first cannot be reached", fakeserver.Script{}, true, true, nil},
		{"the first is cut while it opens a session", Rule("OpenSession", 0, fakeserver.Fault{CutBefore: true}), false, true, nil},
		{"the first does not answer within connect_timeout", Rule("OpenSession", 0, fakeserver.Fault{Delay: hour}), false, true, nil},
		{"the first has no session to give", refuse("can not create new session: max sessions number reached", "XX000", codes.Internal), false, true, nil},
		{"the first is failing", refuse("disk on fire", "", 0), false, true, nil},
		{"a wrong password is wrong anywhere", refuse("invalid user name or password", "28P01", codes.Internal), false, false, immudb.ErrAuthentication},
		{"so is a wrong password told without details", refuse("invalid user name or password", "", codes.Unknown), false, false, immudb.ErrAuthentication},
		{"a database that is not there is nowhere", refuse("'defaultdb' does not exist", "3F000", codes.Internal), false, false, immudb.ErrNoSuchDatabase},
		{"what the user may not, he may nowhere", refuse("user does not have permission", "42501", codes.Internal), false, false, immudb.ErrPermission},
	} {
		t.Run(row.reason, func(t *testing.T) {
			cluster(t, []fakeserver.Script{row.first, {}}, func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
				if row.down {
					hosts[0].Down()
				}
				ExpectWithin(t, 12*time.Second, "connecting", func() {
					if err := db.Ping(); !errors.Is(err, row.err) {
						t.Errorf("err = %v, want %v", err, row.err)
					}
				})
				if got := len(hosts[1].Log("OpenSession")) > 0; got != row.second {
					t.Errorf("the second host was used: %v, want %v", got, row.second)
				}
			})
		})
	}
}

// If every host fails, the error holds the reason for each.
func TestErrorNamesEveryHostThatFailed(t *testing.T) {
	cluster(t, []fakeserver.Script{{}, Rule("OpenSession", 0, fakeserver.Fault{Fail: &fakeserver.Failure{Message: "disk on fire"}})},
		func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
			hosts[0].Down()
			err := db.Ping()
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range []string{"a:3322", "refused", "b:3322", "disk on fire"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("err = %v does not tell of %q", err, part)
				}
			}
		})
}

// If a host fails the next one is used, and a session stays on its host.
func TestNextHostIsUsedWhenOneFails(t *testing.T) {
	cluster(t, []fakeserver.Script{{}, {}}, func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
		hosts[0].Down()
		hosts[0].Forget()
		synctest.Wait()
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (2)")
		hosts[0].Up()
		hosts[1].Down()
		hosts[1].Forget()
		synctest.Wait()
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (3)")
		hosts[1].Up()
		ExpectCommitted(t, hosts[0], "INSERT INTO t (id) VALUES (1)", "INSERT INTO t (id) VALUES (3)")
		ExpectCommitted(t, hosts[1], "INSERT INTO t (id) VALUES (2)")
	})
}

// A server that comes back is used by the next call, without waiting for a backoff.
func TestServerThatComesBackIsUsedAtOnce(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (0)")
		fake.Down()
		fake.Forget()
		for range 20 { // until the backoff is at its longest
			if db.Ping() == nil {
				t.Fatal("a server that is down was reached")
			}
			time.Sleep(time.Second)
		}
		fake.Up()
		start := time.Now()
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
		if took := time.Since(start); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// A refused connection must be reported at once, and not after connect_timeout.
func TestRefusedConnectionFailsAtOnce(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		fake.Down()
		for range 3 {
			ExpectWithin(t, time.Second, "the refusal", func() {
				if err := db.Ping(); err == nil || !strings.Contains(err.Error(), "refused") {
					t.Errorf("err = %v, want the reason", err)
				}
			})
		}
	})
}
