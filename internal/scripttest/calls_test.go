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

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

const createTable = "CREATE TABLE u (id INTEGER, PRIMARY KEY id)"

// Two methods are called in two ways: as a stream, and as a unary call if the answer was
// one message before. These are the names for the unary calls.
const (
	queryAgain = "SQLQuery again"
	writeOfOne = "TxSQLQuery of one row"
)

// at makes a script of one rule, for the call of this kind that reach makes.
func at(way string, do fakeserver.Fault) fakeserver.Script {
	r := fakeserver.Rule{Method: way, Nth: 1, Do: do}
	switch way {
	case queryAgain:
		r.Method, r.Nth = "SQLQuery", 2
	case writeOfOne:
		r.Method, r.SQL = "TxSQLQuery", "RETURNING"
	}
	return fakeserver.Script{Rules: []fakeserver.Rule{r}}
}

// calls returns the calls of this kind.
func calls(fake *fakeserver.Server, way string) []fakeserver.Call {
	r := at(way, fakeserver.Fault{}).Rules[0]
	var found []fakeserver.Call
	for _, c := range fake.Calls() {
		if c.Method == r.Method && strings.Contains(c.SQL, r.SQL) {
			found = append(found, c)
		}
	}
	return found[min(r.Nth-1, len(found)):]
}

// reach uses the driver until its next call is the first of this kind. Then it calls
// before, and makes the call with the context that before returns.
func reach(t *testing.T, db *sql.DB, way string, before func() context.Context) error {
	t.Helper()
	switch way {
	case "OpenSession":
		ctx := before()
		return db.PingContext(ctx)
	case "SQLQuery", queryAgain:
		db.Ping()
		if way == queryAgain {
			dbtest.List[int64](t, db, "SELECT id FROM t")
		}
		ctx := before()
		rows, err := db.QueryContext(ctx, "SELECT id FROM t")
		if err != nil {
			return err
		}
		_, err = dbtest.Drain[int64](rows)
		return err
	case "KeepAlive":
		dbtest.List[int64](t, db, "SELECT id FROM t")
		ctx := before()
		return db.PingContext(ctx)
	case "UseDatabase":
		dbtest.Exec(t, db, "USE DATABASE other")
		ctx := before()
		rows, err := db.QueryContext(ctx, "SELECT id FROM t")
		if err != nil {
			return err
		}
		_, err = dbtest.Drain[int64](rows)
		return err
	case "SQLExec":
		db.Ping()
		ctx := before()
		_, err := db.ExecContext(ctx, insert)
		return err
	case "NewTx":
		db.Ping()
		ctx := before()
		tx, err := db.BeginTx(ctx, nil)
		if err == nil {
			tx.Rollback()
		}
		return err
	case "CloseSession":
		conn := lease(t, db, 1)[0]
		dbtest.Exec(t, conn, "USE DATABASE other") // so that the session is not kept
		before()
		return conn.Close()
	}
	tx := dbtest.Begin(t, db, nil)
	switch way {
	case "TxSQLExec":
		ctx := before()
		return inTx(ctx, t, tx, createTable)
	case "TxSQLQuery":
		ctx := before()
		return inTx(ctx, t, tx, "UPDATE t SET v = 0")
	case writeOfOne:
		ctx := before()
		return inTx(ctx, t, tx, insert)
	case "Commit":
		dbtest.Exec(t, tx, insert)
		before()
		return tx.Commit()
	case "Rollback":
		dbtest.Exec(t, tx, insert)
		before()
		return tx.Rollback()
	}
	panic("no way to reach " + way)
}

// inTx runs a write and then commits. If the write failed, the commit must be refused.
func inTx(ctx context.Context, t *testing.T, tx *sql.Tx, write string) error {
	t.Helper()
	asked := ctx.Err() == nil // otherwise database/sql does not call the driver
	_, err := tx.ExecContext(ctx, write)
	if again := tx.Commit(); err != nil && asked && !errors.Is(again, immudb.ErrTxAborted) {
		t.Errorf("Commit after a failed write: %v, want ErrTxAborted", again)
	}
	return err
}

// failure is a fault of a call.
type failure struct {
	name  string
	fault fakeserver.Fault
	down  bool // the server is unreachable when the call is made
}

var failures = []failure{
	{name: "the server cannot be reached", down: true},
	{name: "the connection is cut before the call is carried out", fault: fakeserver.Fault{CutBefore: true}},
	{name: "the connection is cut after the call was carried out", fault: fakeserver.Fault{CutAfter: true}},
}

func retryable(err error) bool {
	var e *immudb.Error
	return errors.As(err, &e) && e.Retryable()
}

func TestCallWithoutAnAnswerIsToldForWhatItIs(t *testing.T) {
	for _, row := range []struct {
		way, reason string
		lost        error // the error if the answer is lost; nil: an *Error without sentinel
		unsent      error // the error if the call cannot be sent
		again       bool  // both errors are retryable: nothing was committed
		quiet       bool  // the caller gets no error: the driver works without this call
	}{
		{"OpenSession", "nothing was asked for yet", nil, nil, true, false},
		{"KeepAlive", "a ping changes nothing", nil, nil, true, false},
		{"UseDatabase", "the connection is given up for another", nil, nil, true, true},
		{"NewTx", "what was begun ends with its session", nil, nil, true, false},
		{"SQLExec", "an answer that is lost may be a yes", immudb.ErrOutcomeUnknown, nil, false, false},
		{"SQLQuery", "a query changes nothing", nil, nil, true, false},
		{queryAgain, "a query changes nothing", nil, nil, true, false},
		{"TxSQLExec", "nothing is committed before Commit", nil, nil, true, false},
		{"TxSQLQuery", "nothing is committed before Commit", nil, nil, true, false},
		{writeOfOne, "nothing is committed before Commit", nil, nil, true, false},
		{"Commit", "an answer that is lost may be a yes", immudb.ErrOutcomeUnknown, immudb.ErrSessionLost, false, false},
		{"CloseSession", "there is nothing left to be done", nil, nil, false, true},
	} {
		for _, f := range failures {
			t.Run(row.way+", "+f.name, func(t *testing.T) {
				Faulty(t, at(row.way, f.fault), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					if row.way == "CloseSession" {
						db.SetMaxIdleConns(-1)
					}
					err := reach(t, db, row.way, func() context.Context {
						if f.down {
							fake.Down()
							synctest.Wait() // until the driver has noticed
						}
						return t.Context()
					})
					fake.Up()
					want, again := row.lost, row.again
					if f.down {
						want, again = row.unsent, true
					}
					var e *immudb.Error
					switch {
					case row.quiet && !f.down:
						if err != nil {
							t.Errorf("err = %v, want none: %s", err, row.reason)
						}
					case row.way == "CloseSession":
					case !errors.As(err, &e):
						t.Errorf("err = %v, want an *Error", err)
					case want != nil && !errors.Is(err, want):
						t.Errorf("err = %v, want %v: %s", err, want, row.reason)
					case want == nil && errors.Is(err, immudb.ErrOutcomeUnknown):
						t.Errorf("err = %v claims an unknown outcome: %s", err, row.reason)
					case e.Retryable() != again:
						t.Errorf("err = %v, Retryable() = %v, want %v: %s", err, e.Retryable(), again, row.reason)
					}
					if !f.down && isBadConn(err) {
						t.Errorf("err = %v says that the call was not run: nobody knows", err)
					}
					expectSentOnce(t, fake)
					synctest.Wait()

					// The pool has recovered.
					if _, err := db.Exec("INSERT INTO t (id) VALUES (99)"); err != nil {
						t.Errorf("the next write: %v", err)
					}
				})
			})
		}
	}
}

// expectSentOnce fails if a write or a Commit arrived at the server twice.
func expectSentOnce(t *testing.T, fake *fakeserver.Server) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range fake.Calls() {
		var id string
		switch c.Method {
		case "SQLExec":
			id = c.SQL
		case "TxSQLExec", "TxSQLQuery":
			id = c.Session + c.Tx + c.SQL
		case "Commit":
			id = "COMMIT " + c.Session + c.Tx
		default:
			continue
		}
		if seen[id] {
			t.Errorf("%v was sent twice: %q", c, fake.Log())
		}
		seen[id] = true
	}
	texts := fake.Committed()
	slices.Sort(texts)
	if len(slices.Compact(slices.Clone(texts))) != len(texts) {
		t.Errorf("committed twice: %q", texts)
	}
}

// If the answer to Rollback or Commit is lost, the transaction may still be open on the
// server. Then its session must be closed.
func TestLostEndOfATransactionEndsTheSession(t *testing.T) {
	for _, method := range []string{"Rollback", "Commit"} {
		for _, f := range failures[1:] {
			t.Run(method+", "+f.name, func(t *testing.T) {
				Faulty(t, Rule(method, 1, f.fault), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					if err := reach(t, db, method, t.Context); err == nil {
						t.Error("no error")
					}
					synctest.Wait()
					dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (99)")
					if method == "Rollback" {
						ExpectCommitted(t, fake, "INSERT INTO t (id) VALUES (99)")
					}
					if left := fake.Transactions(); len(left) > 0 {
						t.Errorf("transactions %v are still open: %q", left, fake.Log())
					}
				})
			})
		}
	}
}

// If the answer to NewTx is lost, the driver does not know the transaction's id. Then its
// session must be closed, which ends the transaction.
func TestTransactionWithUnknownIDEndsWithItsSession(t *testing.T) {
	for _, row := range []struct {
		reason string
		fault  fakeserver.Fault
	}{
		{"the answer was lost", fakeserver.Fault{CutAfter: true}},
		{"the caller gave up while it was begun", fakeserver.Fault{Delay: time.Second, Deaf: true}},
		{"the caller gave up before the answer came", fakeserver.Fault{AnswerDelay: time.Second, Deaf: true}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			Faulty(t, Rule("NewTx", 1, row.fault), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				if _, err := db.BeginTx(ctx, nil); err == nil {
					t.Fatal("no error")
				}
				time.Sleep(10 * time.Second)
				if left := fake.Transactions(); len(left) > 0 {
					t.Errorf("transactions %v are still open: %q", left, fake.Log())
				}
			})
		})
	}
}

func TestCallsEndWithTheirContext(t *testing.T) {
	for _, way := range []string{"OpenSession", "KeepAlive", "UseDatabase", "NewTx", "SQLExec", "SQLQuery", queryAgain, "TxSQLExec", "TxSQLQuery", writeOfOne} {
		for _, row := range []struct {
			reason string
			fault  fakeserver.Fault
			after  time.Duration // when the context ends; 0: before the call
			ran    bool          // the server runs it, sooner or later
		}{
			{"before", fakeserver.Fault{}, 0, false},
			{"while the server works", fakeserver.Fault{Delay: hour}, time.Second, false},
			{"while the server works, which goes on", fakeserver.Fault{Delay: 2 * time.Second, Deaf: true}, time.Second, true},
			{"after the server has carried it out", fakeserver.Fault{AnswerDelay: 2 * time.Second, Deaf: true}, time.Second, true},
		} {
			for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
				t.Run(fmt.Sprintf("%s, %s, %v", way, row.reason, cause), func(t *testing.T) {
					Faulty(t, at(way, row.fault), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
						var ctx context.Context
						var cancel context.CancelFunc
						err := reach(t, db, way, func() context.Context {
							if cause == context.Canceled {
								ctx, cancel = context.WithCancel(t.Context())
								time.AfterFunc(row.after, cancel)
							} else {
								ctx, cancel = context.WithTimeout(t.Context(), row.after)
							}
							if row.after == 0 {
								<-ctx.Done()
							}
							return ctx
						})
						defer cancel()
						if !errors.Is(err, cause) {
							t.Errorf("err = %v, want %v", err, cause)
						}
						if got, want := errors.Is(err, immudb.ErrOutcomeUnknown), way == "SQLExec" && row.after > 0; got != want {
							t.Errorf("err = %v, want an unknown outcome: %v", err, want)
						}
						if isBadConn(err) {
							t.Errorf("err = %v would be run again", err)
						}
						if n := len(calls(fake, way)); row.after == 0 && n != 0 || n > 1 {
							t.Errorf("%s was sent %d times", way, n)
						}
						time.Sleep(10 * time.Second) // until a deaf server has run it
						dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (99)")
						want := []string{"INSERT INTO t (id) VALUES (99)"}
						if way == "SQLExec" && row.ran {
							want = append([]string{insert}, want...)
						}
						ExpectCommitted(t, fake, want...)
						if left := fake.Transactions(); len(left) > 0 {
							t.Errorf("transactions %v are still open: %q", left, fake.Log())
						}
					})
				})
			}
		}
	}
}

// A request that the server refuses as too long was not run. The error must say so, and
// not that the outcome is unknown.
func TestRequestTooLongForTheServerSaysSo(t *testing.T) {
	Faulty(t, fakeserver.Script{MaxRequest: 1000}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		_, err := db.Exec("INSERT INTO t (v) VALUES (?)", strings.Repeat("x", 2000))
		var e *immudb.Error
		if !errors.As(err, &e) || errors.Is(err, immudb.ErrOutcomeUnknown) {
			t.Errorf("err = %v, want one that says that the request is too long", err)
		}
		dbtest.Exec(t, db, insert)
		ExpectCommitted(t, fake, insert)
	})
}
