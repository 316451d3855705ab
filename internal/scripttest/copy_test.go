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

// The fake server's table has the columns id and v. This is the query for a batch of
// three rows from id 3 on.
const batchOf3From3 = `INSERT INTO "t"("id","v") VALUES (3,30),(4,40),(5,50)`

func batch3(from int) string {
	return fmt.Sprintf(`INSERT INTO "t"("id","v") VALUES (%d,%d),(%d,%d),(%d,%d)`, from, 10*from, from+1, 10*from+10, from+2, 10*from+20)
}

// withoutCounting makes the server answer that table t has no AUTO_INCREMENT key, so that
// several writers may write at once.
var withoutCounting = fakeserver.Rule{Method: "SQLQuery", SQL: "COLUMNS(", Do: fakeserver.Fault{Messages: [][]byte{
	fakeserver.Result([]fakeserver.Column{{Name: "name", Type: "VARCHAR"}, {Name: "auto_increment", Type: "BOOLEAN"}, {Name: "primary", Type: "BOOLEAN"}, {Name: "type", Type: "VARCHAR"}, {Name: "max_length", Type: "INTEGER"}, {Name: "nullable", Type: "BOOLEAN"}},
		[]any{"id", false, true, "INTEGER", int64(8), false}, []any{"v", false, false, "INTEGER", int64(8), false}),
}}}

func TestCopyFromSendsBatchesAndNothingElse(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		n, err := immudb.CopyFrom(t.Context(), db, "t", []string{"id", "v"}, dbtest.NumberedRows(0, 7), &immudb.CopyOptions{BatchRows: 3, Writers: 1})
		if err != nil || n != 7 {
			t.Fatalf("%d rows, err = %v", n, err)
		}
		if got, want := fake.Log("SQLExec"), []string{"SQLExec s1 " + batch3(0), "SQLExec s1 " + batchOf3From3, `SQLExec s1 INSERT INTO "t"("id","v") VALUES (6,60)`}; !slices.Equal(got, want) {
			t.Errorf("the server saw\n\t%q\nwant\n\t%q", got, want)
		}
	})
}

func TestCopyFromReportsALostAnswerAndDoesNotSendAgain(t *testing.T) {
	for _, row := range []struct {
		reason string
		do     fakeserver.Fault
		there  bool // the batch was committed in spite of the error
	}{
		{"the connection is cut before the batch is run", fakeserver.Fault{CutBefore: true}, false},
		{"the connection is cut before the answer", fakeserver.Fault{CutAfter: true}, true},
		{"the answer is Unavailable", fakeserver.Fault{Status: &fakeserver.Failure{Code: codes.Unavailable, Message: "proxy"}}, true},
	} {
		for nth := range 3 {
			t.Run(fmt.Sprint(row.reason, nth), func(t *testing.T) {
				Faulty(t, Rule("SQLExec", nth+1, row.do), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.NumberedRows(0, 9), &immudb.CopyOptions{BatchRows: 3, Writers: 1})
					e := dbtest.CopyError(t, err, immudb.ErrOutcomeUnknown)
					if n != int64(3*nth) || e.Unknown != 3 || e.Row != 0 {
						t.Errorf("%d rows, err = %v", n, err)
					}
					want := []string{}
					for i := range nth {
						want = append(want, batch3(3*i))
					}
					if row.there {
						want = append(want, batch3(3*nth))
					}
					ExpectCommitted(t, fake, want...)
					if sent := len(fake.Log("SQLExec")); sent != nth+1 {
						t.Errorf("%d batches were sent, want %d", sent, nth+1)
					}
				})
			})
		}
	}
}

func TestCopyFromSendsAgainWhatProvablyDidNotRun(t *testing.T) {
	for _, row := range []struct {
		reason string
		fail   fakeserver.Failure
	}{
		{"a conflict", fakeserver.Failure{Message: "tx read conflict"}},
		{"an overloaded server", fakeserver.Failure{Message: "max concurrency limit exceeded"}},
		{"a session that is gone", fakeserver.Failure{Code: codes.PermissionDenied, Message: "session not found"}},
	} {
		for nth := range 3 {
			t.Run(fmt.Sprint(row.reason, nth), func(t *testing.T) {
				Faulty(t, Rule("SQLExec", nth+1, fakeserver.Fault{Fail: &row.fail}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.NumberedRows(0, 9), &immudb.CopyOptions{BatchRows: 3, Writers: 1})
					if err != nil || n != 9 {
						t.Fatalf("%d rows, err = %v", n, err)
					}
					ExpectCommitted(t, fake, batch3(0), batch3(3), batch3(6))
				})
			})
		}
	}
}

func TestCopyFromGivesUpOnAConflictAfterMaxRetries(t *testing.T) {
	script := fakeserver.Script{Rules: []fakeserver.Rule{{Method: "SQLExec", SQL: "(3,30)", Do: fakeserver.Fault{Fail: &fakeserver.Failure{Message: "tx read conflict"}}}}}
	Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.NumberedRows(0, 9), &immudb.CopyOptions{BatchRows: 3, Writers: 1})
		if e := dbtest.CopyError(t, err, immudb.ErrConflict); n != 3 || e.Unknown > 0 {
			t.Errorf("%d rows, err = %v", n, err)
		}
		if sent := len(fake.Log("SQLExec")); sent != 1+3 {
			t.Errorf("%d batches were sent, want one and three tries of the second", sent)
		}
		ExpectCommitted(t, fake, batch3(0))
	}, func(cfg *immudb.Config) { cfg.MaxRetries = 2 })
}

func TestCopyFromDividesForAServerThatTakesLess(t *testing.T) {
	Faulty(t, fakeserver.Script{MaxRequest: 300}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.NumberedRows(0, 100), nil)
		if err != nil || n != 100 {
			t.Fatalf("%d rows, err = %v", n, err)
		}
		rows := 0
		for _, text := range fake.Committed() {
			rows += strings.Count(text, "(") - 1
		}
		if rows != 100 {
			t.Errorf("%d rows were committed, want 100", rows)
		}
	})
}

func TestCopyFromWritesNothingWhenItsPreparationFails(t *testing.T) {
	for _, row := range []struct {
		reason string
		rule   fakeserver.Rule
	}{
		{"no session", fakeserver.Rule{Method: "OpenSession", Do: fakeserver.Fault{Fail: &fakeserver.Failure{Message: "invalid user name or password"}}}},
		{"the table cannot be looked up", fakeserver.Rule{Method: "SQLQuery", Do: fakeserver.Fault{CutBefore: true}}},
		{"the limit cannot be asked for", fakeserver.Rule{Method: "GetDatabaseSettingsV2", Do: fakeserver.Fault{CutBefore: true}}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			Faulty(t, fakeserver.Script{Rules: []fakeserver.Rule{row.rule}}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.NumberedRows(0, 9), nil)
				if n != 0 || err == nil || errors.Is(err, immudb.ErrOutcomeUnknown) || isBadConn(err) {
					t.Errorf("%d rows, err = %v", n, err)
				}
				ExpectCommitted(t, fake)
			})
		})
	}
}

// The pool may hold sessions that were lost in a restart of the server.
func TestCopyFromUsesAnotherSessionIfThePooledOneIsLost(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		if err := db.Ping(); err != nil {
			t.Fatal(err)
		}
		fake.Forget()
		if n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.NumberedRows(0, 9), nil); err != nil || n != 9 {
			t.Errorf("%d rows, err = %v", n, err)
		}
	})
}

// Batches are run in parallel but committed in their order, each once or not at all.
func TestCopyFromWithParallelWritersAccountsForEachRow(t *testing.T) {
	slow := fakeserver.Rule{Method: "SQLExec", Do: fakeserver.Fault{Delay: 10 * time.Millisecond}} // so that the other writers have run their batches
	for _, method := range []string{"NewTx", "TxSQLExec", "Commit", "SQLExec"} {
		for _, row := range []struct {
			reason string
			fault  fakeserver.Fault
			cut    bool // the other writers get no answers either
		}{
			{"is refused", fakeserver.Fault{Fail: &fakeserver.Failure{Message: "tx read conflict"}}, false},
			{"does not arrive", fakeserver.Fault{CutBefore: true}, true},
			{"is not answered", fakeserver.Fault{CutAfter: true}, true},
			{"finds no session", fakeserver.Fault{Fail: &fakeserver.Failure{Code: codes.PermissionDenied, Message: "session not found"}}, false},
		} {
			for nth := 1; nth <= 4 && (nth == 1 || method != "SQLExec"); nth++ { // the first only
				t.Run(fmt.Sprintf("%s %d %s", method, nth, row.reason), func(t *testing.T) {
					script := fakeserver.Script{Rules: []fakeserver.Rule{withoutCounting, {Method: method, Nth: nth, Do: row.fault}, slow}}
					Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
						// If the connection is cut during OpenSession, the session stays open:
						// the client does not know its id.
						openConns(t, db, 3)
						n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.NumberedRows(0, 60), &immudb.CopyOptions{BatchRows: 3, Writers: 3})
						if len(fake.Log(method)) < nth {
							t.Fatalf("%s was called %d times, too few for this test", method, len(fake.Log(method)))
						}
						commits := method == "Commit" || method == "SQLExec"
						if err != nil && !row.cut || err == nil && (n != 60 || row.cut && commits) {
							t.Errorf("%d rows, err = %v", n, err)
						}
						told := &immudb.CopyError{Committed: n}
						if err != nil {
							told = dbtest.CopyError(t, err, immudb.ErrOutcomeUnknown)
						}
						var want []string
						for at := int64(0); at < n; at += 3 {
							want = append(want, batch3(int(at)))
						}
						got := fake.Committed()
						if len(got) == len(want)+1 && told.Unknown == 3 {
							want = append(want, batch3(int(n)))
						}
						if !slices.Equal(got, want) {
							t.Errorf("told %v; committed\n\t%q\nwant\n\t%q", err, got, want)
						}
						synctest.Wait()
						if left := fake.Transactions(); len(left) > 0 {
							t.Errorf("transactions %v are still open: %q", left, fake.Log())
						}
					})
				})
			}
		}
	}
}

// openConns fills the pool with n connections.
func openConns(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	db.SetMaxIdleConns(n)
	conns := make([]*sql.Conn, n)
	for i := range conns {
		var err error
		if conns[i], err = db.Conn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range conns {
		conn.Close()
	}
}

func TestCopyFromLeavesNothingWhenTheSourcePanics(t *testing.T) {
	Faulty(t, fakeserver.Script{Rules: []fakeserver.Rule{withoutCounting}}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not reach the caller")
				}
			}()
			immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.ChainRows(dbtest.NumberedRows(0, 8), func(func([]any, error) bool) { panic("boom") }), &immudb.CopyOptions{BatchRows: 3, Writers: 3})
		}()
		committed := fake.Committed()
		slices.Sort(committed)
		if want := []string{batch3(0), batch3(3)}; !slices.Equal(committed, want) {
			t.Errorf("committed %q, want %q", committed, want)
		}
	})
}

func TestCopyFromDoesNotOutlastItsContext(t *testing.T) {
	for _, row := range []struct {
		hangs   string // the method that hangs from its second call on
		writers int
		told    []int64 // possible numbers of committed rows: the second or the third batch may hang
		unknown int64
	}{
		{"SQLExec", 1, []int64{3}, 3},
		{"NewTx", 3, []int64{3, 6}, 0},
		{"TxSQLExec", 3, []int64{3, 6}, 0},
		{"Commit", 3, []int64{6}, 3},
	} {
		t.Run(fmt.Sprint(row.hangs, " hangs"), func(t *testing.T) {
			script := mute(map[string]int{row.hangs: 2, "Rollback": 1})
			script.Rules = append([]fakeserver.Rule{withoutCounting}, script.Rules...)
			script.Rules = append(script.Rules, fakeserver.Rule{Method: "SQLExec", Do: fakeserver.Fault{Delay: 10 * time.Millisecond}})
			Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				ExpectWithin(t, time.Second, "CopyFrom", func() {
					n, err := immudb.CopyFrom(ctx, db, "t", nil, dbtest.NumberedRows(0, 90), &immudb.CopyOptions{BatchRows: 3, Writers: row.writers})
					e := dbtest.CopyError(t, err, context.DeadlineExceeded)
					if !slices.Contains(row.told, n) || e.Unknown != row.unknown {
						t.Errorf("%d rows, err = %v, want one of %d committed and %d unknown", n, err, row.told, row.unknown)
					}
				})
			})
		})
	}
}
