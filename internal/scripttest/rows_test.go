package scripttest

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"runtime"
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

// twoMessages is a result of 1, 2 and then 3, 4.
var twoMessages = [][]byte{
	fakeserver.Result(fakeserver.ID, fakeserver.Numbers(1, 2)...),
	fakeserver.More(fakeserver.ID, fakeserver.Numbers(3, 2)...),
}

var twoColumns = []fakeserver.Column{{Name: "a", Type: "INTEGER"}, {Name: "b", Type: "INTEGER"}}

// queries are the two ways to query rows: outside a transaction and inside one.
var queries = []struct {
	method string
	query  func(ctx context.Context, t *testing.T, db *sql.DB) (*sql.Rows, error)
}{
	{"SQLQuery", func(ctx context.Context, t *testing.T, db *sql.DB) (*sql.Rows, error) {
		return db.QueryContext(ctx, "SELECT id FROM t")
	}},
	{"TxSQLQuery", func(ctx context.Context, t *testing.T, db *sql.DB) (*sql.Rows, error) {
		return dbtest.Begin(t, db, nil).QueryContext(ctx, "SELECT id FROM t")
	}},
}

func TestBrokenStreamIsAnErrorAndNotTheEnd(t *testing.T) {
	for _, row := range []struct {
		reason string
		fault  fakeserver.Fault
		rows   []int64 // that arrive before it breaks
		kind   error   // the sentinel of the error; nil: none
		code   codes.Code
	}{
		{"the connection is cut after the first message",
			fakeserver.Fault{Messages: twoMessages[:1], CutAfterMessages: true}, []int64{1, 2}, nil, codes.Unavailable},
		{"the connection is cut after all messages, before the status",
			fakeserver.Fault{Messages: twoMessages, CutAfterMessages: true}, []int64{1, 2, 3, 4}, nil, codes.Unavailable},
		{"the server fails after the first message",
			fakeserver.Fault{Messages: twoMessages[:1], Status: &fakeserver.Failure{Message: "division by zero"}},
			[]int64{1, 2}, immudb.ErrInvalidValue, codes.Unknown},
		{"the server fails with details",
			fakeserver.Fault{Messages: twoMessages, Status: &fakeserver.Failure{Code: codes.Internal, Message: "disk on fire", SQLState: "58030"}},
			[]int64{1, 2, 3, 4}, nil, codes.Internal},
		{"the session is lost while rows are sent",
			fakeserver.Fault{Messages: twoMessages[:1], Status: &fakeserver.Failure{Message: "no session found", SQLState: "22023"}},
			[]int64{1, 2}, immudb.ErrSessionLost, codes.Unknown},
		{"the second message is no message",
			fakeserver.Fault{Messages: [][]byte{twoMessages[0], []byte("\xff\xff\xff")}}, []int64{1, 2}, nil, codes.Internal},
	} {
		for _, q := range queries {
			t.Run(row.reason+", "+q.method, func(t *testing.T) {
				Faulty(t, Rule(q.method, 1, row.fault), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					rows, err := q.query(t.Context(), t, db)
					if err != nil {
						t.Fatal(err)
					}
					got, err := dbtest.Drain[int64](rows)
					var e *immudb.Error
					if !errors.As(err, &e) || e.GRPC != row.code {
						t.Fatalf("err = %v, want an *Error of code %v", err, row.code)
					}
					if row.kind != nil && !errors.Is(err, row.kind) {
						t.Errorf("err = %v, want %v", err, row.kind)
					}
					if isBadConn(err) {
						t.Errorf("err = %v says that the query was not run, after it has given rows", err)
					}
					if !slices.Equal(got, row.rows) {
						t.Errorf("rows %v before the error, want %v", got, row.rows)
					}
					if calls := fake.Log(q.method); len(calls) != 1 {
						t.Errorf("the query was sent as %q", calls)
					}
				})
			})
		}
	}
}

// The server may still be sending rows that the driver could not read. Meanwhile it must
// not get another statement of the transaction.
func TestRowsThatCannotBeReadEndTheTransaction(t *testing.T) {
	Faulty(t, Rule("TxSQLQuery", 1, fakeserver.Fault{Messages: [][]byte{twoMessages[0], []byte("\xff\xff\xff")}}),
		func(t *testing.T, _ *fakeserver.Server, db *sql.DB) {
			tx := dbtest.Begin(t, db, nil)
			rows, err := tx.Query("SELECT id FROM t")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := dbtest.Drain[int64](rows); err == nil {
				t.Fatal("the second message was read")
			}
			if _, err := tx.Query("SELECT id FROM t"); !errors.Is(err, immudb.ErrTxAborted) {
				t.Errorf("err = %v, want ErrTxAborted", err)
			}
		})
}

func TestQueryStillWorksAfterABrokenStream(t *testing.T) {
	for _, q := range queries {
		t.Run(q.method, func(t *testing.T) {
			Faulty(t, Rule(q.method, 1, fakeserver.Fault{Messages: twoMessages[:1], CutAfterMessages: true}),
				func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					db.SetMaxOpenConns(1)
					ctx, cancel := context.WithCancel(t.Context())
					tx, err := db.BeginTx(ctx, nil)
					if err != nil {
						t.Fatal(err)
					}
					if q.method == "TxSQLQuery" {
						rows, err := tx.Query("SELECT id FROM t")
						if err != nil {
							t.Fatal(err)
						}
						dbtest.Drain[int64](rows)
					}
					tx.Rollback()
					cancel()
					if q.method == "SQLQuery" {
						rows, err := db.Query("SELECT id FROM t")
						if err != nil {
							t.Fatal(err)
						}
						dbtest.Drain[int64](rows)
					}
					dbtest.Exec(t, db, insert)
					ExpectCommitted(t, fake, insert)
				})
		})
	}
}

func TestClosingRowsEarlyEndsTheStreamOnTheServer(t *testing.T) {
	Faulty(t, Rule("SQLQuery", 1, fakeserver.Fault{Messages: twoMessages, Pause: hour}),
		func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			rows, err := db.Query("SELECT id FROM t")
			if err != nil {
				t.Fatal(err)
			}
			if !rows.Next() {
				t.Fatal(rows.Err())
			}
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			call := fake.Calls()[1]
			if !call.Done || !call.Canceled {
				t.Errorf("the server still works on %v", call)
			}
			dbtest.Exec(t, db, insert) // on the same session
			ExpectLog(t, fake, "OpenSession user defaultdb", "SQLQuery s1 SELECT id FROM t", "SQLExec s1 "+insert)
		})
}

func TestAnAnswerReadToItsEndIsNotCancelled(t *testing.T) {
	Faulty(t, Rule("SQLQuery", 1, fakeserver.Fault{Messages: [][]byte{fakeserver.Result(fakeserver.ID, fakeserver.Numbers(1, 1)...)}}),
		func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			var id int64
			if err := db.QueryRow("SELECT id FROM t").Scan(&id); err != nil || id != 1 {
				t.Fatalf("row %d (%v)", id, err)
			}
			synctest.Wait()
			if call := fake.Calls()[1]; !call.Done || call.Canceled {
				t.Errorf("%v was cancelled", call)
			}
		})
}

// Close of rows does not wait for the end of the answer if the end has not arrived.
func TestClosingRowsDoesNotWaitForMore(t *testing.T) {
	one := fakeserver.Result(fakeserver.ID, fakeserver.Numbers(1, 1)...)
	for _, row := range []struct {
		reason string
		fault  fakeserver.Fault
		limit  time.Duration
	}{
		{"more rows come at once", fakeserver.Fault{Messages: append([][]byte{one}, twoMessages[1:]...)}, 0},
		{"more rows come later", fakeserver.Fault{Messages: append([][]byte{one}, twoMessages[1:]...), Pause: hour}, 50 * time.Millisecond},
	} {
		t.Run(row.reason, func(t *testing.T) {
			Faulty(t, fakeserver.Script{Rules: []fakeserver.Rule{{Method: "SQLQuery", Nth: 1, Do: row.fault}}},
				func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					db.SetMaxOpenConns(1)
					ExpectWithin(t, row.limit, "reading the first row", func() {
						var id int64
						if err := db.QueryRow("SELECT id FROM t").Scan(&id); err != nil || id != 1 {
							t.Errorf("row %d (%v)", id, err)
						}
					})
					synctest.Wait()
					if call := fake.Calls()[1]; !call.Done || !call.Canceled && row.limit > 0 {
						t.Errorf("the server still works on %v", call)
					}
					dbtest.Exec(t, db, insert)
				})
		})
	}
}

func TestRowsEndWithTheirContext(t *testing.T) {
	for _, q := range queries {
		t.Run(q.method, func(t *testing.T) {
			Faulty(t, Rule(q.method, 1, fakeserver.Fault{Messages: twoMessages, Pause: hour}),
				func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					rows, err := q.query(ctx, t, db)
					if err != nil {
						t.Fatal(err)
					}
					ExpectWithin(t, 1100*time.Millisecond, "reading", func() {
						got, err := dbtest.Drain[int64](rows)
						if !errors.Is(err, context.DeadlineExceeded) || len(got) != 2 {
							t.Errorf("rows %v, err = %v, want two rows and context.DeadlineExceeded", got, err)
						}
					})
				})
		})
	}
}

// A further statement in a transaction must not reach the server while it still
// sends the rows of the one before.
func TestNextStatementOfATransactionWaitsForTheRowsBefore(t *testing.T) {
	Faulty(t, Rule("TxSQLQuery", 1, fakeserver.Fault{Messages: twoMessages, Pause: 10 * time.Second}),
		func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			tx := dbtest.Begin(t, db, nil)
			rows, err := tx.Query("SELECT id FROM t")
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			dbtest.Exec(t, tx, "UPDATE t SET v = 0")
			if took := time.Since(start); took != 10*time.Second {
				t.Errorf("the statement took %v, want the 10s of the rows before", took)
			}
			if got, err := dbtest.Drain[int64](rows); err != nil || len(got) != 4 {
				t.Errorf("rows %v, err = %v: what was received early is lost", got, err)
			}
		})
}

func TestHostileAnswerToAQueryIsAnError(t *testing.T) {
	for _, row := range []struct {
		reason   string
		messages [][]byte
	}{
		{"no message at all", [][]byte{}},
		{"bytes that are no message", [][]byte{[]byte("\xff\xff\xff\xff")}},
		{"a row longer than its message", [][]byte{[]byte("\x0a\x7f\x01")}},
		{"a row with fewer values than columns", [][]byte{fakeserver.Result(twoColumns, []any{int64(1)})}},
		{"a row with more values than columns", [][]byte{fakeserver.Result(fakeserver.ID, []any{int64(1), int64(2)})}},
		{"rows without columns", [][]byte{fakeserver.More(nil, []any{int64(1)})}},
		{"a value of an unknown type", [][]byte{append(fakeserver.Result(fakeserver.ID), "\x0a\x04\x12\x02\x78\x01"...)}},
		{"a message said to be 2 GiB long that is not", [][]byte{fakeserver.Lie(1<<31 - 1)}},
		{"a message said to be longer than any may be", [][]byte{fakeserver.Lie(1<<32 - 1)}},
		{"columns again, other ones, in the second message", [][]byte{twoMessages[0], fakeserver.Result(twoColumns, []any{int64(1), int64(2)})}},
	} {
		for _, q := range queries {
			t.Run(row.reason+", "+q.method, func(t *testing.T) {
				Faulty(t, Rule(q.method, 1, fakeserver.Fault{Messages: row.messages}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					rows, err := q.query(t.Context(), t, db)
					if err == nil {
						_, err = dbtest.Drain[int64](rows)
					}
					runtime.ReadMemStats(&after)
					if err == nil || err == io.EOF {
						t.Fatal("no error")
					}
					if !strings.HasPrefix(err.Error(), "immudb: ") || strings.Count(err.Error(), "immudb: ") != 1 {
						t.Errorf("err = %q, want it to begin with the driver's name, once", err)
					}
					if isBadConn(err) {
						t.Errorf("err = %v says that the query was not run", err)
					}
					if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
						t.Errorf("%d MB were allocated", grown>>20)
					}
					dbtest.Exec(t, db, insert) // the pool still works
				})
			})
		}
	}
}

func TestHostileAnswerToAnyCallIsAnError(t *testing.T) {
	garbage := []byte("\xff\xff\xff\xff")
	for _, row := range []struct {
		method, reason string
		answer         []byte
		unknown        bool // the outcome
	}{
		{"OpenSession", "no message", garbage, false},
		{"OpenSession", "a session without an id", nil, false},
		{"NewTx", "no message", garbage, false},
		{"NewTx", "a transaction without an id", nil, false},
		{"SQLExec", "no message: it has been carried out", garbage, true},
		{"Commit", "no message: it has been carried out", garbage, true},
		{"SQLExec", "a message said to be 2 GiB long", fakeserver.Lie(1<<31 - 1), true},
		{"OpenSession", "a message said to be 2 GiB long", fakeserver.Lie(1<<31 - 1), false},
	} {
		t.Run(row.method+", "+row.reason, func(t *testing.T) {
			Faulty(t, Rule(row.method, 1, fakeserver.Fault{Messages: [][]byte{row.answer}}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				err := work(db, row.method)
				if err == nil {
					t.Fatal("no error")
				}
				if got := errors.Is(err, immudb.ErrOutcomeUnknown); got != row.unknown {
					t.Errorf("err = %v, want outcome unknown: %v", err, row.unknown)
				}
				if calls := fake.Log(row.method); len(calls) != 1 {
					t.Errorf("sent as %q, want once", calls)
				}
			})
		})
	}
}

// work makes a small program use the driver so that the method is called.
func work(db *sql.DB, method string) error {
	switch method {
	case "OpenSession", "KeepAlive":
		return db.Ping()
	case "SQLExec":
		_, err := db.Exec(insert)
		return err
	case "SQLQuery":
		rows, err := db.Query("SELECT id FROM t")
		if err != nil {
			return err
		}
		_, err = dbtest.Drain[int64](rows)
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	switch method {
	case "TxSQLExec":
		_, err = tx.Exec("CREATE TABLE u (id INTEGER, PRIMARY KEY id)")
	case "TxSQLQuery":
		_, err = tx.Exec("UPDATE t SET v = 0")
	case "Rollback":
		return tx.Rollback()
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}
