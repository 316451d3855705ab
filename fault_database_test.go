package immudb_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// A connection that a USE DATABASE moved, or may have moved, must be in the
// database of the DSN again when somebody else gets it.
func TestMovedDatabaseIsNeverSeenByTheNextUser(t *testing.T) {
	for _, row := range []struct {
		reason  string
		script  fakeserver.Script
		timeout time.Duration
	}{
		{"the USE was answered", fakeserver.Script{}, hour},
		{"the answer to the USE was lost, it may have moved",
			rule("SQLExec", 1, fakeserver.Fault{CutAfter: true}), hour},
		{"the caller gave up waiting for the answer, it may have moved",
			rule("SQLExec", 1, fakeserver.Fault{AnswerDelay: time.Second, Deaf: true}), 100 * time.Millisecond},
		{"the caller gave up before the server had begun, it will have moved",
			rule("SQLExec", 1, fakeserver.Fault{Delay: time.Second, Deaf: true}), 100 * time.Millisecond},
		{"moving back fails", rule("UseDatabase", 1, fakeserver.Fault{Fail: &fakeserver.Failure{Message: "database does not exist"}}), hour},
		{"the answer to moving back is lost", rule("UseDatabase", 1, fakeserver.Fault{CutAfter: true}), hour},
		{"the connection is cut before moving back", rule("UseDatabase", 1, fakeserver.Fault{CutBefore: true}), hour},
		{"the session is gone when it is to move back", rule("UseDatabase", 1,
			fakeserver.Fault{Fail: &fakeserver.Failure{Message: "session not found"}}), hour},
	} {
		for _, pooled := range []bool{true, false} {
			name := row.reason + map[bool]string{true: ", pooled by database/sql", false: ", pooled by the connector"}[pooled]
			t.Run(name, func(t *testing.T) {
				faulty(t, row.script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
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
					time.Sleep(2 * time.Second) // what the server still does, it has done
					list[int64](t, db, "SELECT id FROM t")
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
	faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		mustExec(t, db, "USE DATABASE other")
		list[int64](t, db, "SELECT id FROM t")
		expectLog(t, fake, "OpenSession user defaultdb", "SQLExec s1 USE DATABASE other",
			"UseDatabase s1 defaultdb", "SQLQuery s1 SELECT id FROM t")
	})
}
