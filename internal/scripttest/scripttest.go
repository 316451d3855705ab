// Package scripttest runs the driver against a scripted server in memory, in a bubble of testing/synctest with a fake
// clock. Waiting takes no real time, and events come in the same order each time. A test fails if a goroutine of the
// driver is still running at its end.
//
// A test sets what the server does at which call, uses the driver, and then checks the calls that the server received:
//
//	scripttest.Faulty(t, scripttest.Rule("SQLExec", 1, fakeserver.Fault{CutAfter: true}),
//		func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
//			_, err := db.Exec("INSERT INTO t (id) VALUES (1)")
//			// the answer is lost: err must be ErrOutcomeUnknown, and the statement sent once
//			scripttest.ExpectCommitted(t, fake, "INSERT INTO t (id) VALUES (1)")
//		})
//
// Three rules keep such a test deterministic. The clock of a bubble advances only when every goroutine in it is durably
// blocked (on a channel, a timer or a sync.WaitGroup of the bubble; not on a mutex or a system call), so a test may
// sleep. A test that depends on work of other goroutines waits for it with [synctest.Wait]. And database/sql holds a
// mutex during some calls of the driver, which stops the clock if such a call hangs: those tests use a [Conn] instead of
// a sql.DB.
package scripttest

import (
	"database/sql"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// Change changes the Config that a test connects with.
type Change func(cfg *immudb.Config)

// Faulty runs f, in a bubble, with a database on a fake server that follows the script. Afterwards the database is
// closed and must have left nothing on the server.
func Faulty(t *testing.T, script fakeserver.Script, f func(t *testing.T, fake *fakeserver.Server, db *sql.DB), change ...Change) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := fakeserver.New(script)
		db := sql.OpenDB(Connector(t, fake, change...))
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			ExpectNothingLeft(t, fake)
			fake.Close()
		})
		f(t, fake, db)
	})
}

// ExpectNothingLeft fails for each session whose id was sent to the driver and that the driver has not tried to close.
func ExpectNothingLeft(t *testing.T, fake *fakeserver.Server) {
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

// ExpectCommitted fails unless exactly these texts are committed, once each.
func ExpectCommitted(t *testing.T, fake *fakeserver.Server, want ...string) {
	t.Helper()
	if got := fake.Committed(); !slices.Equal(got, want) {
		t.Errorf("committed\n\t%q\nwant\n\t%q", got, want)
	}
}

// ExpectWithin fails if f takes longer than limit on the bubble's clock.
func ExpectWithin(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > limit {
		t.Errorf("%s took %v, want at most %v", what, took, limit)
	}
}

// Connector makes a connector to the fake server. The caller must close it.
func Connector(t *testing.T, fake *fakeserver.Server, change ...Change) *immudb.Connector {
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

// Conn is a connection without database/sql, whose locks would stop the clock of the
// bubble if a call hangs. It is closed with the connector.
func Conn(t *testing.T, fake *fakeserver.Server, change ...Change) *immudb.Conn {
	t.Helper()
	connector := Connector(t, fake, change...)
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

// Rule makes a script of one rule: what the server does at the nth call of a method, counted from 1; 0 is each.
func Rule(method string, nth int, do fakeserver.Fault) fakeserver.Script {
	return fakeserver.Script{Rules: []fakeserver.Rule{{Method: method, Nth: nth, Do: do}}}
}

// ExpectLog fails unless the server received exactly these calls, each in the form of [fakeserver.Call.String].
func ExpectLog(t *testing.T, fake *fakeserver.Server, want ...string) {
	t.Helper()
	if got := fake.Log(); !slices.Equal(got, want) {
		t.Errorf("the server saw\n\t%q\nwant\n\t%q", got, want)
	}
}
