package scripttest

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// If the result of a query was one message, the driver uses a unary call for it the next
// time. A unary call cannot receive a second message.

func TestAnswerThatHasGrownArrivesWhole(t *testing.T) {
	script := fakeserver.Script{Rules: []fakeserver.Rule{
		{Method: "SQLQuery", Nth: 2, Do: fakeserver.Fault{Messages: twoMessages}},
		{Method: "SQLQuery", Nth: 3, Do: fakeserver.Fault{Messages: twoMessages}},
		{Method: "SQLQuery", Nth: 4, Do: fakeserver.Fault{Messages: twoMessages}},
	}}
	Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		for i, row := range []struct {
			reason string
			rows   []int64
			sent   int // how often the query was sent so far
		}{
			{"the first answer is one message", []int64{1}, 1},
			{"the second is two: it is asked for once more, by a stream", []int64{1, 2, 3, 4}, 3},
			{"a text that had a long answer keeps to streams", []int64{1, 2, 3, 4}, 4},
			{"… when its answers are short again, too", []int64{1}, 5},
		} {
			if got := dbtest.List[int64](t, db, "SELECT id FROM t"); !slices.Equal(got, row.rows) {
				t.Errorf("query %d: rows %v, want %v: %s", i, got, row.rows, row.reason)
			}
			if n := len(fake.Log("SQLQuery")); n != row.sent {
				t.Errorf("query %d: sent %d times until now, want %d: %s", i, n, row.sent, row.reason)
			}
		}
	})
}

// The cancellation of the unary call must reach the server. Otherwise the server would
// continue to send an answer that no client reads.
func TestUnaryCallForALargerAnswerIsCancelledOnTheServer(t *testing.T) {
	endless := slices.Repeat(twoMessages[1:], 1000)
	Faulty(t, at(queryAgain, fakeserver.Fault{Messages: append(twoMessages[:1:1], endless...), Pause: time.Second}),
		func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			dbtest.List[int64](t, db, "SELECT id FROM t")
			ExpectWithin(t, 2*time.Second, "the query", func() {
				if got := dbtest.List[int64](t, db, "SELECT id FROM t"); !slices.Equal(got, []int64{1}) {
					t.Errorf("rows %v", got)
				}
			})
			synctest.Wait()
			if c := calls(fake, queryAgain)[0]; !c.Canceled || !c.Done {
				t.Errorf("the server still works on %v", c)
			}
		})
}

// If the connection breaks between the only message of an answer and its end, the query
// is sent again: the caller has seen no row yet.
func TestBrokenShortAnswerIsAskedForAgain(t *testing.T) {
	for _, row := range []struct {
		reason string
		fault  fakeserver.Fault
		code   codes.Code
	}{
		{"the connection is cut", fakeserver.Fault{Messages: twoMessages[:1], CutAfterMessages: true}, codes.Unavailable},
		{"the server fails", fakeserver.Fault{Messages: twoMessages[:1], Status: &fakeserver.Failure{Message: "division by zero"}}, codes.Unknown},
		{"the second message is no message", fakeserver.Fault{Messages: [][]byte{twoMessages[0], []byte("\xff\xff\xff")}}, codes.Internal},
	} {
		t.Run(row.reason+", once", func(t *testing.T) {
			Faulty(t, at(queryAgain, row.fault), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				dbtest.List[int64](t, db, "SELECT id FROM t")
				if got := dbtest.List[int64](t, db, "SELECT id FROM t"); !slices.Equal(got, []int64{1}) {
					t.Errorf("rows %v", got)
				}
				if n := len(fake.Log("SQLQuery")); n != 3 {
					t.Errorf("sent %d times, want 3", n)
				}
			})
		})
		t.Run(row.reason+", and again", func(t *testing.T) {
			script := at(queryAgain, row.fault)
			script.Rules = append(script.Rules, fakeserver.Rule{Method: "SQLQuery", Nth: 3, Do: row.fault})
			Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				dbtest.List[int64](t, db, "SELECT id FROM t")
				rows, err := db.Query("SELECT id FROM t")
				if err != nil {
					t.Fatal(err)
				}
				got, err := dbtest.Drain[int64](rows)
				var e *immudb.Error
				if !errors.As(err, &e) || e.GRPC != row.code || isBadConn(err) {
					t.Errorf("err = %v, want an *Error of code %v that has the query run no more", err, row.code)
				}
				if !slices.Equal(got, []int64{1, 2}) {
					t.Errorf("rows %v before the error", got)
				}
			})
		})
	}
}

// A first message that cannot be decoded is an error at once, as in a stream.
func TestShortAnswerThatCannotBeReadIsAnError(t *testing.T) {
	Faulty(t, at(queryAgain, fakeserver.Fault{Messages: [][]byte{[]byte("\xff\xff\xff")}}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		dbtest.List[int64](t, db, "SELECT id FROM t")
		_, err := db.Query("SELECT id FROM t")
		var e *immudb.Error
		if !errors.As(err, &e) || e.GRPC != codes.Internal {
			t.Errorf("err = %v, want an *Error of code %v", err, codes.Internal)
		}
		if n := len(fake.Log("SQLQuery")); n != 2 {
			t.Errorf("sent %d times, want 2", n)
		}
	})
}

// Queries in a transaction always use a stream: a cancelled unary query could still be
// running on the server when it is sent again.
func TestQueriesInATransactionAreSentOnce(t *testing.T) {
	Faulty(t, Rule("TxSQLQuery", 3, fakeserver.Fault{Messages: twoMessages}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		tx := dbtest.Begin(t, db, nil)
		for _, want := range [][]int64{{1}, {1}, {1, 2, 3, 4}} {
			if got := dbtest.List[int64](t, tx, "SELECT id FROM t"); !slices.Equal(got, want) {
				t.Errorf("rows %v, want %v", got, want)
			}
		}
		if n := len(fake.Log("TxSQLQuery")); n != 3 {
			t.Errorf("sent %d times, want 3", n)
		}
	})
}

// The answer for one written row is one message. If the server sends two, the unary call
// must not wait for more.
func TestWriteOfOneRowWithTwoMessagesEndsTheTransaction(t *testing.T) {
	endless := slices.Repeat(twoMessages, 1000)
	Faulty(t, at(writeOfOne, fakeserver.Fault{Messages: endless, Pause: time.Second}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		if err := inTx(context.Background(), t, dbtest.Begin(t, db, nil), insert); err == nil {
			t.Error("no error")
		}
		synctest.Wait()
		if c := calls(fake, writeOfOne)[0]; !c.Canceled || !c.Done {
			t.Errorf("the server still works on %v", c)
		}
		ExpectCommitted(t, fake)
		if left := fake.Transactions(); len(left) > 0 {
			t.Errorf("transactions %v are still open: %q", left, fake.Log())
		}
	})
}
