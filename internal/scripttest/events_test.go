package scripttest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// records collects log records as JSON.
type records struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *records) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(b)
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// logged makes the driver log into r, from the lowest level on.
func logged(r *records) Change {
	return func(cfg *immudb.Config) {
		cfg.Logger = slog.New(slog.NewJSONHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}

// find returns the records whose message begins with the given words.
func (r *records) find(t *testing.T, message string) (found []map[string]any) {
	t.Helper()
	for line := range strings.Lines(r.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(record["msg"].(string), message) {
			found = append(found, record)
		}
	}
	return found
}

// secretValue is a value of the program, and the server repeats it in its messages: it must not
// reach the log.
const secretValue = "value-of-a-row"

func refused(c codes.Code, sqlState, message string) fakeserver.Fault {
	return fakeserver.Fault{Fail: &fakeserver.Failure{Code: c, SQLState: sqlState, Message: message + " " + secretValue}}
}

var events = []struct {
	message string // the record's first words
	level   slog.Level
	host    string
	with    map[string]string // other attributes that the record must have
	first   fakeserver.Script // of host a
	change  Change
	do      func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB)
	count   func(s immudb.Stats) uint64 // what the event adds to the statistics; at least 1
}{
	{
		message: "immudb login refused", level: slog.LevelError, host: "a:3322",
		with:  map[string]string{"reason": "the user or the password is wrong", "sqlstate": "28P01"},
		first: Rule("OpenSession", 0, refused(codes.Internal, "28P01", "invalid user name or password")),
		do: func(t *testing.T, _ []*fakeserver.Server, db *sql.DB) {
			if err := db.Ping(); !errors.Is(err, immudb.ErrAuthentication) {
				t.Errorf("err = %v", err)
			}
		},
		count: func(s immudb.Stats) uint64 { return s.Total.Refused },
	},
	{
		message: "immudb failover", level: slog.LevelWarn, host: "b:3322", with: map[string]string{"from": "a:3322"},
		do: func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
			dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
			hosts[0].Down()
			hosts[0].Forget()
			synctest.Wait()
			dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (2)")
		},
		count: func(s immudb.Stats) uint64 { return s.Hosts[1].Opens },
	},
	{
		message: "immudb role changed", level: slog.LevelWarn, host: "a:3322",
		with: map[string]string{"before": "primary", "now": "replica"},
		first: fakeserver.Script{Rules: []fakeserver.Rule{
			{Method: "SQLExec", Nth: 1, Do: refused(codes.Unknown, "", "database is read-only because it's a replica")},
		}},
		do: func(t *testing.T, _ []*fakeserver.Server, db *sql.DB) {
			dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
		},
		count: func(s immudb.Stats) uint64 { return s.Retries.Replica },
	},
	{
		message: "immudb server has changed its identity", level: slog.LevelWarn, host: "a:3322",
		with: map[string]string{"before": "fake-server", "now": "another"},
		do: func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
			dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
			hosts[0].Forget()
			hosts[0].Rename("another")
			dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (2)")
		},
		count: func(s immudb.Stats) uint64 { return s.Total.Lost },
	},
	{
		message: "immudb session lost", level: slog.LevelInfo, host: "a:3322",
		do: func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
			dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
			hosts[0].Forget()
			dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (2)")
		},
		count: func(s immudb.Stats) uint64 { return s.Retries.SessionLost },
	},
	{
		message: "immudb session storm", level: slog.LevelWarn, host: "a:3322",
		change: func(cfg *immudb.Config) { cfg.MaxSessions = 2 },
		do: func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
			for range 8 {
				dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
				hosts[0].Forget()
			}
		},
		count: func(s immudb.Stats) uint64 { return s.Total.Opens },
	},
	{
		message: "immudb outcome unknown", level: slog.LevelWarn, host: "a:3322", with: map[string]string{"operation": "Exec"},
		first: Rule("SQLExec", 1, fakeserver.Fault{CutAfter: true}),
		do: func(t *testing.T, _ []*fakeserver.Server, db *sql.DB) {
			if _, err := db.Exec("INSERT INTO t (id) VALUES (?)", secretValue); !errors.Is(err, immudb.ErrOutcomeUnknown) {
				t.Errorf("err = %v", err)
			}
		},
		count: func(s immudb.Stats) uint64 { return s.UnknownOutcomes },
	},
	{
		message: "immudb outcome unknown", level: slog.LevelWarn, host: "a:3322", with: map[string]string{"operation": "COMMIT"},
		first: Rule("Commit", 1, fakeserver.Fault{CutAfter: true}),
		do: func(t *testing.T, _ []*fakeserver.Server, db *sql.DB) {
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(); !errors.Is(err, immudb.ErrOutcomeUnknown) {
				t.Errorf("err = %v", err)
			}
		},
		count: func(s immudb.Stats) uint64 { return s.UnknownOutcomes },
	},
	{
		message: "immudb retry", level: slog.LevelDebug, host: "a:3322", with: map[string]string{"cause": "conflict"},
		first: Rule("SQLExec", 1, refused(codes.Unknown, "", "tx read conflict")),
		do: func(t *testing.T, _ []*fakeserver.Server, db *sql.DB) {
			dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
		},
		count: func(s immudb.Stats) uint64 { return min(s.Retries.Conflict, s.Conflicts) },
	},
}

// What an operator must see is logged at its level, with the host and the database, without a secret or
// a value, and counted.
func TestEventsAreLoggedAndCounted(t *testing.T) {
	for _, e := range events {
		t.Run(e.message+" "+fmt.Sprint(e.with), func(t *testing.T) {
			var log records
			change := func(cfg *immudb.Config) {
				logged(&log)(cfg)
				cfg.Password = "pass-word-of-the-user"
				if e.change != nil {
					e.change(cfg)
				}
			}
			observed(t, []fakeserver.Script{e.first, {}}, func(t *testing.T, hosts []*fakeserver.Server, connector *immudb.Connector, db *sql.DB) {
				e.do(t, hosts, db)
				if n := e.count(connector.Stats()); n == 0 {
					t.Errorf("not counted: %+v", connector.Stats())
				}
			}, change)
			found := log.find(t, e.message)
			if len(found) == 0 {
				t.Fatalf("not logged; the log is\n%s", log.String())
			}
			for _, r := range found {
				if r["level"] != e.level.String() || r["host"] != e.host || r["database"] != "defaultdb" {
					t.Errorf("the record is %v, want level %v, host %s and the database", r, e.level, e.host)
				}
				for key, want := range e.with {
					if r[key] != want {
						t.Errorf("the record is %v, want %s=%s", r, key, want)
					}
				}
			}
			for _, secret := range []string{secretValue, "pass-word-of-the-user", `"s1"`, "INSERT"} {
				if strings.Contains(log.String(), secret) {
					t.Errorf("%s is in the log:\n%s", secret, log.String())
				}
			}
		})
	}
}

// A login that is refused again and again fills no log: one record in 10 seconds.
func TestRefusedLoginsAreLoggedRarely(t *testing.T) {
	var log records
	script := Rule("OpenSession", 0, refused(codes.Internal, "28P01", "invalid user name or password"))
	observed(t, []fakeserver.Script{script}, func(t *testing.T, _ []*fakeserver.Server, connector *immudb.Connector, db *sql.DB) {
		for range 50 {
			if err := db.PingContext(context.Background()); err == nil {
				t.Fatal("a refused login is no error")
			}
		}
		if found := log.find(t, "immudb login refused"); len(found) != 1 {
			t.Errorf("%d records, want 1", len(found))
		}
		if n := connector.Stats().Total.Refused; n < 50 {
			t.Errorf("%d refusals counted, want all 50", n)
		}
	}, logged(&log))
}
