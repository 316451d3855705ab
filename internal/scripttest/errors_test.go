package scripttest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// serverErrors are the texts of the server's errors, and the errors that the caller must
// get. Most have only a text and code Unknown. Some have details with a SQLSTATE of the
// server, which is less exact than the text.
var serverErrors = []struct {
	text      string
	kind      error
	sqlState  string
	retryable bool
	details   string // the SQLSTATE the server puts into the details, if it sends any
}{
	{"tx read conflict", immudb.ErrConflict, "40001", true, ""},
	{"tx read conflict", immudb.ErrConflict, "40001", true, "25P02"},
	{"max concurrency limit exceeded", immudb.ErrOverloaded, "53000", true, ""},
	{"max active transactions limit exceeded", immudb.ErrOverloaded, "53000", true, "XX000"},
	{"read tx pool exhausted", immudb.ErrOverloaded, "53000", true, ""},
	{"tbtree: max active snapshots limit reached", immudb.ErrOverloaded, "53000", true, ""},

	{"key already exists", immudb.ErrDuplicateKey, "23505", false, ""},
	{"key already exists", immudb.ErrDuplicateKey, "23505", false, "23505"},
	{"not nullable column can not be null (v)", immudb.ErrNotNull, "23502", false, ""},
	{"primary key can not be null (id)", immudb.ErrNotNull, "23502", false, ""},
	{"check constraint violation: c", immudb.ErrCheck, "23514", false, ""},
	{"max length exceeded (v)", immudb.ErrTooLong, "22001", false, ""},
	{"max key length exceeded", immudb.ErrTooLong, "54000", false, ""},
	{"max value length exceeded", immudb.ErrTooLong, "54000", false, ""},
	{"max number of entries per tx exceeded", immudb.ErrTooManyEntries, "54000", false, ""},
	{"tx size greater than max tx size", immudb.ErrTooManyEntries, "54000", false, ""},
	{"invalid value provided", immudb.ErrInvalidValue, "22P02", false, ""},
	{"values are not comparable", immudb.ErrInvalidValue, "42804", false, ""},
	{"division by zero", immudb.ErrInvalidValue, "22012", false, ""},

	{"table does not exist (t)", immudb.ErrNoSuchTable, "42P01", false, ""},
	{"column does not exist (nope)", immudb.ErrNoSuchColumn, "42703", false, ""},
	{"database does not exist", immudb.ErrNoSuchDatabase, "3D000", false, "XX000"},
	{"'other' does not exist", immudb.ErrNoSuchDatabase, "3D000", false, "3F000"},
	{"table already exists (t)", immudb.ErrExists, "42P07", false, ""},
	{"index already exists", immudb.ErrExists, "42P07", false, ""},
	{"column already exists (v)", immudb.ErrExists, "42701", false, ""},
	{"database already exists", immudb.ErrExists, "42P04", false, "XX000"},
	{"syntax error: unexpected IDENTIFIER at position 7", immudb.ErrSyntax, "42601", false, ""},
	{"missing parameter", immudb.ErrSyntax, "07001", false, ""},

	{"read-only transaction", immudb.ErrReadOnly, "25006", false, ""},
	{"database is read-only because it's a replica", immudb.ErrReplica, "25006", false, "XX000"},
	{"not logged in", immudb.ErrAuthentication, "28000", false, ""},
	{"access denied", immudb.ErrPermission, "42501", false, ""},
	{"you do not have permission for this operation: user does not have permission", immudb.ErrPermission, "42501", false, "XX000"},
	{"not supported", immudb.ErrUnsupported, "0A000", false, ""},

	{"disk on fire", nil, "", false, ""},
	{"disk on fire", nil, "", false, "XX000"}, // the server's value for "no SQLSTATE"
	{"disk on fire", nil, "58030", false, "58030"},
	// A part of the query that the message quotes must not decide about the error.
	{"invalid syntax near 'session not found'", nil, "", false, ""},
}

// code is the gRPC code of an error with details, or without them.
func code(details string) codes.Code {
	if details != "" {
		return codes.Internal
	}
	return codes.Unknown
}

// For each call that the server refuses, the caller gets the same error, and the call is
// sent once.
func TestRefusedCallHasTheSameErrorWhereverItIsMade(t *testing.T) {
	for _, way := range []string{"SQLExec", "SQLQuery", queryAgain, "TxSQLQuery", writeOfOne, "TxSQLExec", "NewTx", "Commit"} {
		t.Run(way, func(t *testing.T) {
			for _, row := range serverErrors {
				if strings.HasPrefix(way, "TxSQLQuery") && row.kind == immudb.ErrSyntax {
					continue // see TestServerTooOldToCountInATransactionWritesOnce
				}
				t.Run(strings.TrimSuffix(row.text+" "+row.details, " "), func(t *testing.T) {
					fail := &fakeserver.Failure{Code: code(row.details), Message: row.text, SQLState: row.details}
					Faulty(t, at(way, fakeserver.Fault{Fail: fail}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
						err := reach(t, db, way, t.Context)
						var e *immudb.Error
						if !errors.As(err, &e) {
							t.Fatalf("err = %v, want an *Error", err)
						}
						if row.kind != nil && !errors.Is(err, row.kind) {
							t.Errorf("err = %v, want %v", err, row.kind)
						}
						if row.kind == nil {
							for _, other := range serverErrors {
								if other.kind != nil && errors.Is(err, other.kind) {
									t.Errorf("err = %v claims to be %v", err, other.kind)
								}
							}
						}
						if e.SQLState != row.sqlState || e.Retryable() != row.retryable || e.GRPC != fail.Code {
							t.Errorf("SQLSTATE %q, Retryable %v, code %v, want %q, %v, %v",
								e.SQLState, e.Retryable(), e.GRPC, row.sqlState, row.retryable, fail.Code)
						}
						if e.Message != row.text {
							t.Errorf("message %q, want the server's %q", e.Message, row.text)
						}
						if isBadConn(err) || errors.Is(err, immudb.ErrOutcomeUnknown) {
							t.Errorf("err = %v, though the server has answered", err)
						}
						sent := slices.DeleteFunc(calls(fake, way), func(c fakeserver.Call) bool {
							return strings.Contains(c.SQL, "no_table_of_this_name") // see TestAServerIsAskedOnceInASessionWhetherItIsOld
						})
						if n := len(sent); n != 1 {
							t.Errorf("%s was sent %d times", way, n)
						}
						ExpectCommitted(t, fake)
						synctest.Wait() // the driver may roll back in the background
						if left := fake.Transactions(); len(left) > 0 {
							t.Errorf("transactions %v are still open: %q", left, fake.Log())
						}
					}, noRetries)
				})
			}
		})
	}
}

// The driver counts rows with RETURNING. A server without RETURNING reports a syntax
// error; then the statement is run once without the clause.
func TestServerTooOldToCountInATransactionWritesOnce(t *testing.T) {
	fail := &fakeserver.Failure{Message: "syntax error: unexpected IDENTIFIER at position 14"}
	script := fakeserver.Script{Rules: []fakeserver.Rule{{Method: "TxSQLQuery", SQL: "RETURNING", Do: fakeserver.Fault{Fail: fail}}}}
	for _, write := range []string{"UPDATE t SET v = 0", insert} {
		t.Run(write, func(t *testing.T) {
			Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				tx := dbtest.Begin(t, db, nil)
				res := dbtest.Exec(t, tx, write)
				if n, err := res.RowsAffected(); !errors.Is(err, immudb.ErrUnsupported) {
					t.Errorf("RowsAffected = %d, %v, want ErrUnsupported", n, err)
				}
				if err := tx.Commit(); err != nil {
					t.Error(err)
				}
				ExpectCommitted(t, fake, write)
			})
		})
	}
}

func noRetries(cfg *immudb.Config) { cfg.MaxRetries = 0 }

// Each of the server's errors for an unknown session. The call was not run, so the driver
// runs it in another session without an error; but a transaction cannot be moved.
func TestCallRefusedForItsSessionIsMadeInAnother(t *testing.T) {
	for _, row := range []struct {
		reason string
		fail   fakeserver.Failure
	}{
		{"the interceptor's words", fakeserver.Failure{Code: codes.PermissionDenied, Message: "session not found"}},
		{"the session manager's words, with details", fakeserver.Failure{Code: codes.Internal, Message: "no session found", SQLState: "22023"}},
		{"the session manager's words, bare", fakeserver.Failure{Message: "no session found"}},
	} {
		for _, way := range []string{"NewTx", "SQLExec", "SQLQuery", queryAgain} {
			t.Run(row.reason+", "+way, func(t *testing.T) {
				Faulty(t, at(way, fakeserver.Fault{Fail: &row.fail}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					if err := reach(t, db, way, t.Context); err != nil {
						t.Errorf("err = %v, want another session to be used", err)
					}
					var sessions []string
					for _, c := range calls(fake, way) {
						sessions = append(sessions, c.Session)
					}
					if !slices.Equal(sessions, []string{"s1", "s2"}) {
						t.Errorf("%s was sent on the sessions %v, want once on each of two", way, sessions)
					}
				})
			})
		}
		for _, way := range []string{"TxSQLExec", "TxSQLQuery", writeOfOne, "Commit"} {
			t.Run(row.reason+", "+way, func(t *testing.T) {
				Faulty(t, at(way, fakeserver.Fault{Fail: &row.fail}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					err := reach(t, db, way, t.Context)
					if !errors.Is(err, immudb.ErrSessionLost) || !retryable(err) || isBadConn(err) {
						t.Errorf("err = %v, want ErrSessionLost, retryable and not ErrBadConn", err)
					}
					if n := len(calls(fake, way)); n != 1 {
						t.Errorf("%s was sent %d times", way, n)
					}
					ExpectCommitted(t, fake)
				})
			})
		}
		t.Run(row.reason+", Rollback", func(t *testing.T) {
			Faulty(t, Rule("Rollback", 1, fakeserver.Fault{Fail: &row.fail}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				if err := reach(t, db, "Rollback", t.Context); err != nil {
					t.Errorf("err = %v: the transaction is gone, which was asked for", err)
				}
			})
		})
	}
}

// database/sql calls Ping only once, for every error. The driver drops the session, so the
// next ping uses another one.
func TestPingReportsALostSession(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		dbtest.Exec(t, db, insert)
		fake.Forget()
		if err := db.Ping(); err != nil && !errors.Is(err, immudb.ErrSessionLost) {
			t.Errorf("err = %v, want ErrSessionLost if any", err)
		}
		if err := db.Ping(); err != nil {
			t.Errorf("the next ping: %v", err)
		}
	})
}

// If the server does not know any of the sessions that it has just opened, the caller gets
// an error after a few tries.
func TestSessionsThatAreNeverKnownEndInAnError(t *testing.T) {
	fail := fakeserver.Failure{Code: codes.PermissionDenied, Message: "session not found"}
	Faulty(t, Rule("SQLExec", 0, fakeserver.Fault{Fail: &fail}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		_, err := db.Exec(insert)
		if !errors.Is(err, immudb.ErrSessionLost) {
			t.Errorf("err = %v, want ErrSessionLost", err)
		}
		if n := len(fake.Log("SQLExec")); n < 2 || n > 6 {
			t.Errorf("sent %d times", n)
		}
	})
}

// A statement outside a transaction is retried, max_retries times, only after errors that
// prove that nothing was committed.
func TestStatementIsRunAgainOnlyIfNothingWasCommitted(t *testing.T) {
	const retries = 3
	for _, row := range []struct {
		text  string
		again bool
	}{
		{"tx read conflict", true},
		{"max concurrency limit exceeded", true},
		{"max active transactions limit exceeded", true},
		{"max active snapshots limit reached", true},
		{"key already exists", false},
		{"no transaction found", false},
		{"disk on fire", false},
	} {
		for _, failing := range []int{1, retries, retries + 1} {
			for _, way := range []struct {
				method, query string
			}{
				{"SQLExec", insert},
				{"Commit", insert + " RETURNING id"},
				{"NewTx", insert + " RETURNING id"},
				{"TxSQLQuery", "UPDATE t SET v = 0 RETURNING id"},
				{"SQLQuery", "SELECT id FROM t"},
			} {
				t.Run(fmt.Sprintf("%s, %s fails %d times", row.text, way.method, failing), func(t *testing.T) {
					var script fakeserver.Script
					for nth := 1; nth <= failing; nth++ {
						script.Rules = append(script.Rules, fakeserver.Rule{Method: way.method, SQL: map[bool]string{true: "RETURNING"}[way.method == "TxSQLQuery"],
							Nth: nth, Do: fakeserver.Fault{Fail: &fakeserver.Failure{Message: row.text}}})
					}
					Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
						var err error
						if way.method == "SQLExec" {
							_, err = db.Exec(way.query)
						} else {
							var rows *sql.Rows
							if rows, err = db.Query(way.query); err == nil {
								_, err = dbtest.Drain[int64](rows)
							}
						}
						sent := 0
						for _, c := range fake.Calls() {
							if c.Method == way.method && !strings.Contains(c.SQL, "COLUMNS") {
								sent++
							}
						}
						want := 1
						if row.again {
							want = min(failing, retries) + 1
						}
						if sent != want {
							t.Errorf("%s was sent %d times, want %d", way.method, sent, want)
						}
						commits := 0
						if row.again && failing <= retries && way.method != "SQLQuery" {
							commits = 1
						}
						if done := row.again && failing <= retries; done != (err == nil) {
							t.Errorf("err = %v", err)
						} else if len(fake.Committed()) != commits {
							t.Errorf("committed %q", fake.Committed())
						}
						synctest.Wait()
						if left := fake.Transactions(); len(left) > 0 {
							t.Errorf("transactions %v are still open", left)
						}
					}, func(cfg *immudb.Config) { cfg.MaxRetries = retries })
				})
			}
		}
	}
}

// After a lost answer there is no retry, even if earlier errors were retryable.
func TestLostAnswerIsNotRetried(t *testing.T) {
	script := fakeserver.Script{Rules: []fakeserver.Rule{
		{Method: "SQLExec", Nth: 1, Do: fakeserver.Fault{Fail: &fakeserver.Failure{Message: "tx read conflict"}}},
		{Method: "SQLExec", Nth: 2, Do: fakeserver.Fault{CutAfter: true}},
	}}
	Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		_, err := db.Exec(insert)
		if !errors.Is(err, immudb.ErrOutcomeUnknown) || errors.Is(err, immudb.ErrConflict) || retryable(err) {
			t.Errorf("err = %v, want ErrOutcomeUnknown, not retryable", err)
		}
		ExpectCommitted(t, fake, insert)
		if n := len(fake.Log("SQLExec")); n != 2 {
			t.Errorf("sent %d times", n)
		}
	})
}

func TestRetriesEndWithTheirContext(t *testing.T) {
	conflicts := Rule("SQLExec", 0, fakeserver.Fault{Fail: &fakeserver.Failure{Message: "tx read conflict"}})
	Faulty(t, conflicts, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ExpectWithin(t, time.Second, "Exec", func() {
			if _, err := db.ExecContext(ctx, insert); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err = %v, want DeadlineExceeded", err)
			}
		})
		if tries := len(fake.Log("SQLExec")); tries < 4 {
			t.Errorf("tried %d times", tries)
		}
		ExpectCommitted(t, fake)
	}, func(cfg *immudb.Config) { cfg.MaxRetries = 1000 })
}

// A proxy may return an error with a text of the server. It does not say what the server
// did.
func TestWordsOfAProxyAreNotTheServers(t *testing.T) {
	for _, words := range []string{"tx read conflict", "max concurrency limit exceeded", "upstream: permission denied"} {
		t.Run(words, func(t *testing.T) {
			proxy := fakeserver.Fault{Status: &fakeserver.Failure{Code: codes.Unavailable, Message: words}}
			Faulty(t, Rule("SQLExec", 1, proxy), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				_, err := db.Exec(insert)
				for _, kind := range []error{immudb.ErrConflict, immudb.ErrOverloaded, immudb.ErrPermission} {
					if errors.Is(err, kind) {
						t.Errorf("err = %v is %v", err, kind)
					}
				}
				if !errors.Is(err, immudb.ErrOutcomeUnknown) {
					t.Errorf("err = %v, want ErrOutcomeUnknown", err)
				}
				ExpectCommitted(t, fake, insert)
				expectSentOnce(t, fake)
			})
		})
	}
}

// INSERT … RETURNING outside a transaction makes several calls. Nothing is committed
// before Commit, so the outcome is unknown only if the answer to Commit is lost.
func TestQueryThatWritesIsUnknownOnlyIfItsCommitIs(t *testing.T) {
	for _, row := range []struct {
		method, reason string
		unknown        bool
	}{
		{"NewTx", "nothing was written", false},
		{"TxSQLQuery", "nothing was committed", false},
		{"Commit", "it may be committed", true},
	} {
		for _, f := range failures[1:] {
			t.Run(row.method+", "+f.name, func(t *testing.T) {
				Faulty(t, Rule(row.method, 1, f.fault), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					rows, err := db.Query("UPDATE t SET v = 0 RETURNING id")
					if err == nil {
						_, err = dbtest.Drain[int64](rows)
					}
					if got := errors.Is(err, immudb.ErrOutcomeUnknown); got != row.unknown {
						t.Errorf("err = %v, want an unknown outcome: %v, because %s", err, row.unknown, row.reason)
					}
					if err != nil && !row.unknown && !retryable(err) {
						t.Errorf("err = %v is not retryable, though %s", err, row.reason)
					}
					expectSentOnce(t, fake)
				})
			})
		}
	}
}

// No error and no log may hold a secret.
func TestErrorsHoldNoSecrets(t *testing.T) {
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			Faulty(t, Rule("OpenSession", 1, f.fault), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				if f.down {
					fake.Down()
				}
				err := db.Ping()
				fake.Up()
				if err == nil {
					t.Fatal("no error")
				}
				if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "hunter2") {
					t.Errorf("%s", text)
				}
			}, func(cfg *immudb.Config) { cfg.Password = "hunter2" })
		})
	}
}
