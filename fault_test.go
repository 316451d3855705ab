package immudb_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// The fault tests run against a scripted server in memory, in a bubble with a
// clock of its own: what waits, waits no time, and a test that ends with a
// goroutine of the driver's left behind fails.

// settings change the Config that a fault test connects with.
type settings func(cfg *immudb.Config)

// faulty runs f with a database on a fake that follows the script. Afterwards
// the database is closed and must have left nothing on the server.
func faulty(t *testing.T, script fakeserver.Script, f func(t *testing.T, fake *fakeserver.Server, db *sql.DB), change ...settings) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := fakeserver.New(script)
		db := sql.OpenDB(fakeConnector(t, fake, change...))
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			expectNothingLeft(t, fake)
			fake.Close()
		})
		f(t, fake, db)
	})
}

// expectNothingLeft fails for sessions that the driver was told of and that it
// has not tried to close.
func expectNothingLeft(t *testing.T, fake *fakeserver.Server) {
	t.Helper()
	synctest.Wait()
	closed := map[string]bool{}
	for _, c := range fake.Calls() {
		if c.Method == "CloseSession" {
			closed[c.Session] = true
		}
	}
	for _, id := range fake.Sessions() {
		if !closed[id] && fake.Told(id) {
			t.Errorf("session %s is still open on the server", id)
		}
	}
}

// expectCommitted fails unless exactly these texts are committed, once each.
func expectCommitted(t *testing.T, fake *fakeserver.Server, want ...string) {
	t.Helper()
	if got := fake.Committed(); !slices.Equal(got, want) {
		t.Errorf("committed\n\t%q\nwant\n\t%q", got, want)
	}
}

// expectWithin fails if f takes longer than limit on the bubble's clock.
func expectWithin(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > limit {
		t.Errorf("%s took %v, want at most %v", what, took, limit)
	}
}

func fakeConnector(t *testing.T, fake *fakeserver.Server, change ...settings) *immudb.Connector {
	t.Helper()
	cfg := immudb.NewConfig()
	cfg.User, cfg.Password = "user", "password"
	cfg.DialContext = fake.Dial
	for _, f := range change {
		f(cfg)
	}
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return connector
}

// directConn is a connection without database/sql, whose own locks would stop
// the clock of the bubble where a call hangs. It is closed with the connector.
func directConn(t *testing.T, fake *fakeserver.Server, change ...settings) *immudb.Conn {
	t.Helper()
	connector := fakeConnector(t, fake, change...)
	conn, err := connector.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = connector.Close()
	})
	return conn.(*immudb.Conn)
}

// rule makes a script of one rule.
func rule(method string, nth int, do fakeserver.Fault) fakeserver.Script {
	return fakeserver.Script{Rules: []fakeserver.Rule{{Method: method, Nth: nth, Do: do}}}
}

const hour = time.Hour // longer than the driver may wait for anything

const insert = "INSERT INTO t (id) VALUES (1)"

func expectLog(t *testing.T, fake *fakeserver.Server, want ...string) {
	t.Helper()
	if got := fake.Log(); !slices.Equal(got, want) {
		t.Errorf("the server saw\n\t%q\nwant\n\t%q", got, want)
	}
}

func TestFirstQueryIsOneOpenSessionAndTheQuery(t *testing.T) {
	faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		if got := list[int64](t, db, "SELECT id FROM t"); !slices.Equal(got, []int64{1}) {
			t.Errorf("rows %v", got)
		}
		expectLog(t, fake, "OpenSession user defaultdb", "SQLQuery s1 SELECT id FROM t")
	})
}

func isBadConn(err error) bool { return errors.Is(err, driver.ErrBadConn) }
