package scripttest

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// A connection whose database was changed, or may have been changed, by USE DATABASE must
// be in the database of the DSN again for its next user.
func TestMovedDatabaseIsNeverSeenByTheNextUser(t *testing.T) {
	for _, row := range []struct {
		reason  string
		script  fakeserver.Script
		timeout time.Duration
	}{
		{"the USE was answered", fakeserver.Script{}, hour},
		{"the answer to the USE was lost, it may have moved",
			Rule("SQLExec", 1, fakeserver.Fault{CutAfter: true}), hour},
		{"the caller gave up waiting for the answer, it may have moved",
			Rule("SQLExec", 1, fakeserver.Fault{AnswerDelay: time.Second, Deaf: true}), 100 * time.Millisecond},
		{"the caller gave up before the server had begun, it will have moved",
			Rule("SQLExec", 1, fakeserver.Fault{Delay: time.Second, Deaf: true}), 100 * time.Millisecond},
		{"moving back fails", Rule("UseDatabase", 1, fakeserver.Fault{Fail: &fakeserver.Failure{Message: "database does not exist"}}), hour},
		{"the answer to moving back is lost", Rule("UseDatabase", 1, fakeserver.Fault{CutAfter: true}), hour},
		{"the connection is cut before moving back", Rule("UseDatabase", 1, fakeserver.Fault{CutBefore: true}), hour},
		{"the session is gone when it is to move back", Rule("UseDatabase", 1,
			fakeserver.Fault{Fail: &fakeserver.Failure{Message: "session not found"}}), hour},
	} {
		for _, pooled := range []bool{true, false} {
			name := row.reason + map[bool]string{true: ", pooled by database/sql", false: ", pooled by the connector"}[pooled]
			t.Run(name, func(t *testing.T) {
				Faulty(t, row.script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					db.SetMaxOpenConns(1)
					if !pooled {
						db.SetMaxIdleConns(-1)
					}
					ctx, cancel := context.WithTimeout(t.Context(), row.timeout)
					defer cancel()
					_, err := db.ExecContext(ctx, "USE DATABASE other")
					if err != nil && !errors.Is(err, immudb.ErrOutcomeUnknown) {
						t.Errorf("err = %v, want ErrOutcomeUnknown", err)
					}
					time.Sleep(2 * time.Second) // until the server has run the call
					dbtest.List[int64](t, db, "SELECT id FROM t")
					calls := fake.Calls()
					for _, c := range calls {
						if c.Method == "SQLQuery" && c.Ran {
							if in := fake.Database(c.Session); in != "defaultdb" {
								t.Errorf("the next user's query ran in database %q; the server saw %q", in, fake.Log())
							}
						}
					}
				})
			})
		}
	}
}

func TestUseIsUndoneWithoutAnotherSession(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		dbtest.Exec(t, db, "USE DATABASE other")
		dbtest.List[int64](t, db, "SELECT id FROM t")
		ExpectLog(t, fake, "OpenSession user defaultdb", "SQLExec s1 USE DATABASE other",
			"UseDatabase s1 defaultdb", "SQLQuery s1 SELECT id FROM t")
	})
}

// USE DATABASE on a connection must not change the database of the connections that
// share its session.
func TestUseDatabaseDoesNotAffectOtherConnections(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		conns := lease(t, db, 2)
		dbtest.Exec(t, conns[0], "USE DATABASE other")
		dbtest.List[int64](t, conns[1], "SELECT id FROM t")
		giveBack(t, conns[1:])
		conns = append(conns[:1], lease(t, db, 2)...) // later connections must not share it either
		dbtest.List[int64](t, conns[2], "SELECT id FROM t")
		dbtest.List[int64](t, conns[0], "SELECT id FROM u")
		for _, c := range fake.Calls() {
			want := map[string]string{"SELECT id FROM t": "defaultdb", "SELECT id FROM u": "other"}[c.SQL]
			if in := fake.Database(c.Session); c.Method == "SQLQuery" && in != want {
				t.Errorf("%v ran in database %q, want %q", c, in, want)
			}
		}
		giveBack(t, conns)
	})
}

// If the session of USE DATABASE was lost, the new one must not be shared with other
// connections.
func TestUseDatabaseOnALostSessionDoesNotAffectOtherConnections(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		conns := lease(t, db, 2)
		fake.Forget()
		dbtest.List[int64](t, conns[1], "SELECT id FROM t")
		dbtest.Exec(t, conns[0], "USE DATABASE other")
		if a, b := tokensOf(t, conns[0]), tokensOf(t, conns[1]); a == b || fake.Database(b.SessionID) != "defaultdb" {
			t.Errorf("the other connection is in database %s", fake.Database(b.SessionID))
		}
		giveBack(t, conns)
	})
}
