package scripttest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// One insert is sent alone, and while it is running three more, which form a group. The
// fault is in the call for the group.
func TestFaultOfAGroupIsToldToEachCallerRightly(t *testing.T) {
	conflict := fakeserver.Failure{Message: "tx read conflict"}
	duplicate := fakeserver.Failure{Message: "key already exists"}
	lost := fakeserver.Failure{Message: "no session found"}
	for _, row := range []struct {
		reason string
		fault  fakeserver.Fault
		want   error // of each caller in the group
		groups int   // how many requests were sent for the group or a part of it
		landed bool
	}{
		{"no fault", fakeserver.Fault{}, nil, 1, true},
		{"a conflict: the group is run again", fakeserver.Fault{Fail: &conflict}, nil, 2, true},
		{"a statement fails: the group is halved, and its second half again", fakeserver.Fault{Fail: &duplicate}, nil, 3, true},
		{"the session is lost: the group is run in another", fakeserver.Fault{Fail: &lost}, nil, 2, true},
		{"cut before the server ran it: nobody can know", fakeserver.Fault{CutBefore: true}, immudb.ErrOutcomeUnknown, 1, false},
		{"cut after the server ran it: nobody can know", fakeserver.Fault{CutAfter: true}, immudb.ErrOutcomeUnknown, 1, true},
		{"no answer: everybody learns that nobody knows", fakeserver.Fault{AnswerDelay: hour, Deaf: true}, immudb.ErrOutcomeUnknown, 1, true},
	} {
		t.Run(row.reason, func(t *testing.T) {
			script := fakeserver.Script{Rules: []fakeserver.Rule{
				{Method: "SQLQuery", Do: fakeserver.Fault{Messages: [][]byte{describeT}}},
				{Method: "SQLExec", Nth: 1, Do: fakeserver.Fault{AnswerDelay: time.Second}},
				{Method: "SQLExec", Nth: 2, Do: row.fault},
			}}
			Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				var wg sync.WaitGroup
				for i := range 4 {
					wg.Go(func() {
						_, err := db.Exec("INSERT INTO t (id) VALUES (?)", i)
						want := row.want
						if i == 0 {
							want = nil
						}
						if !errors.Is(err, want) {
							t.Errorf("caller %d was told %v, want %v", i, err, want)
						}
					})
					synctest.Wait()
				}
				wg.Wait()
				if sent := fake.Log("SQLExec"); len(sent) != 1+row.groups {
					t.Errorf("sent %q, want the first insert and %d groups", sent, row.groups)
				}
				want := 1
				if row.landed {
					want = 4
				}
				if got := strings.Count(strings.Join(fake.Committed(), " "), "INSERT"); got != want {
					t.Errorf("%d inserts are committed, want %d: %q", got, want, fake.Committed())
				}
			}, grouped)
		})
	}
}

// One insert is sent alone, and while it is running the statements of each row.
func TestOnlyStatementsWithResultsOfTheirOwnAreGrouped(t *testing.T) {
	const (
		insert   = "INSERT INTO t (id) VALUES (1)"
		upsert   = "UPSERT INTO t (id) VALUES (1)"
		update   = "UPDATE t SET id = 1"
		remove   = "UPDATE t SET v = 0"
		computed = "INSERT INTO t (id) VALUES ((SELECT MAX(id) FROM t))"
		skipping = "INSERT INTO t (id) VALUES (1) ON CONFLICT DO NOTHING"
	)
	many := "INSERT INTO t (id) VALUES (1)" + strings.Repeat(",(1)", 599)
	long := "INSERT INTO t (id) VALUES ('" + strings.Repeat("x", 600<<10) + "')"
	for _, row := range []struct {
		reason string
		sent   []string
		groups []int // how many statements each request holds
	}{
		{"writes of given rows", []string{insert, upsert, insert}, []int{3}},
		{"an update counts what the others did not", []string{update, insert, insert}, []int{3}},
		{"what reads comes first, before its own transaction wrote anything", []string{insert, update, insert, remove, insert}, []int{1, 2, 2}},
		{"a row that is computed from others", []string{insert, computed, insert}, []int{1, 2}},
		{"what may skip rows goes alone", []string{skipping, insert, insert}, []int{1, 2}},
		{"no more rows than a transaction holds", []string{many, many, insert}, []int{1, 2}},
		{"no more bytes than are worth it", []string{long, long, insert}, []int{1, 2}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			script := fakeserver.Script{Rules: []fakeserver.Rule{
				{Method: "SQLQuery", Do: fakeserver.Fault{Messages: [][]byte{describeT}}},
				{Method: "SQLExec", Do: fakeserver.Fault{AnswerDelay: time.Second}},
			}}
			Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				var wg sync.WaitGroup
				for _, query := range append([]string{insert}, row.sent...) {
					wg.Go(func() {
						if _, err := db.Exec(query); err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
				}
				wg.Wait()
				var got []int
				for _, text := range fake.Committed()[1:] {
					got = append(got, max(strings.Count(text, ";"), 1))
				}
				slices.Sort(got)
				slices.Sort(row.groups)
				if !slices.Equal(got, row.groups) {
					t.Errorf("%d requests of %v statements, want %v", len(got), got, row.groups)
				}
			}, grouped)
		})
	}
}

func grouped(cfg *immudb.Config) { cfg.GroupCommit = 64 }

// describeT is the server's description of a table t without AUTO_INCREMENT.
var describeT = fakeserver.Result([]fakeserver.Column{{Name: "name", Type: "VARCHAR"}, {Name: "auto_increment", Type: "BOOLEAN"}, {Name: "primary", Type: "BOOLEAN"}, {Name: "type", Type: "VARCHAR"}, {Name: "max_length", Type: "INTEGER"}, {Name: "nullable", Type: "BOOLEAN"}}, []any{"id", false, true, "INTEGER", int64(8), false})

// The callers of a group send their next statements one after the other. These must be
// grouped again and not committed one by one.
func TestCallersOfAGroupAreGroupedAgain(t *testing.T) {
	script := fakeserver.Script{Rules: []fakeserver.Rule{
		{Method: "SQLQuery", Do: fakeserver.Fault{Messages: [][]byte{describeT}}},
		{Method: "SQLExec", Do: fakeserver.Fault{AnswerDelay: 8 * time.Millisecond}},
	}}
	for _, row := range []struct {
		reason string
		pause  time.Duration // the i-th caller, from 1, waits i times this long before its next insert
		groups int           // for four callers with three inserts each; 0: any number
		limit  time.Duration
	}{
		{"they come at once: one leads alone, then three groups of four, the last without the leader", 0, 4, 33 * time.Millisecond},
		{"they come within an eighth of 8 ms", 200 * time.Microsecond, 4, 36 * time.Millisecond},
		{"they do not come: nobody waits for long", 100 * time.Millisecond, 0, 1300 * time.Millisecond},
	} {
		t.Run(row.reason, func(t *testing.T) {
			Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				if err := db.Ping(); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				var wg sync.WaitGroup
				for i := range 4 {
					wg.Go(func() {
						for n := range 3 {
							dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (?)", 10*i+n)
							time.Sleep(time.Duration(i+1) * row.pause)
						}
					})
				}
				wg.Wait()
				if n := len(fake.Log("SQLExec")); row.groups > 0 && n != row.groups || time.Since(began) > row.limit {
					t.Errorf("%d groups in %v, want %d within %v: %q", n, time.Since(began), row.groups, row.limit, fake.Log("SQLExec"))
				}
			}, grouped)
		})
	}
}

func TestCallerInAGroupLeavesWithItsContext(t *testing.T) {
	for _, row := range []struct {
		reason  string
		patient time.Duration // the deadline of the second caller; the first insert takes a second
		want    error
		landed  int
	}{
		{"it ends in the queue: not written", time.Second / 2, context.DeadlineExceeded, 1},
		{"it ends when the group has been sent: the caller learns that it was written", 3 * time.Second / 2, nil, 2},
	} {
		t.Run(row.reason, func(t *testing.T) {
			script := fakeserver.Script{Rules: []fakeserver.Rule{
				{Method: "SQLQuery", Do: fakeserver.Fault{Messages: [][]byte{describeT}}},
				{Method: "SQLExec", Do: fakeserver.Fault{AnswerDelay: time.Second}},
			}}
			Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				var wg sync.WaitGroup
				for i, patience := range []time.Duration{hour, row.patient} {
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						defer cancel()
						_, err := db.ExecContext(ctx, fmt.Sprintf("INSERT INTO t (id) VALUES (%d)", i))
						if i == 1 && !errors.Is(err, row.want) {
							t.Errorf("told %v, want %v", err, row.want)
						}
					})
					synctest.Wait()
				}
				wg.Wait()
				if got := len(fake.Committed()); got != row.landed {
					t.Errorf("%d inserts are committed, want %d", got, row.landed)
				}
			}, grouped)
		})
	}
}

func TestRunTxRunsAgainOnlyIfNothingWasCommitted(t *testing.T) {
	for _, row := range []struct {
		reason, method string
		fault          fakeserver.Fault
		want           error
		runs           int
		committed      int
	}{
		{"the begin was cut: nothing is committed, run again", "NewTx", fakeserver.Fault{CutAfter: true}, nil, 1, 1},
		{"the write was cut: nothing is committed, run again", "TxSQLExec", fakeserver.Fault{CutAfter: true}, nil, 2, 1},
		{"the commit conflicted: run again", "Commit", fakeserver.Fault{Fail: &fakeserver.Failure{Message: "tx read conflict"}}, nil, 2, 1},
		{"the commit was cut before: nobody can know, never run again", "Commit", fakeserver.Fault{CutBefore: true}, immudb.ErrOutcomeUnknown, 1, 0},
		{"the commit was cut after: nobody can know, never run again", "Commit", fakeserver.Fault{CutAfter: true}, immudb.ErrOutcomeUnknown, 1, 1},
	} {
		t.Run(row.reason, func(t *testing.T) {
			Faulty(t, Rule(row.method, 1, row.fault), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				runs := 0
				err := immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error {
					runs++
					_, err := tx.Exec("CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
					return err
				})
				if !errors.Is(err, row.want) || runs != row.runs {
					t.Errorf("ran %d times and ended with %v, want %d times and %v", runs, err, row.runs, row.want)
				}
				if got := len(fake.Committed()); got != row.committed {
					t.Errorf("%d transactions are committed, want %d", got, row.committed)
				}
			})
		})
	}
}

func TestRunTxGivesUpOnAServerThatIsAway(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		fake.Down()
		ExpectWithin(t, 5*time.Second, "RunTx", func() {
			err := immudb.RunTx(t.Context(), db, nil, func(*sql.Tx) error { t.Error("it was run"); return nil })
			if err == nil {
				t.Error("it did not fail")
			}
		})
	})
}

func TestRunTxFindsAServerThatComesBack(t *testing.T) {
	Faulty(t, fakeserver.Script{Refusals: 3}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		if err := immudb.RunTx(t.Context(), db, nil, func(*sql.Tx) error { return nil }); err != nil {
			t.Error(err)
		}
	})
}

func TestGroupsThatNeverGetTheirTurnSaySo(t *testing.T) {
	script := fakeserver.Script{Rules: []fakeserver.Rule{
		{Method: "SQLQuery", Do: fakeserver.Fault{Messages: [][]byte{describeT}}},
		{Method: "SQLExec", Do: fakeserver.Fault{Fail: &fakeserver.Failure{Message: "tx read conflict"}}},
	}}
	Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, err := db.Exec(insert)
				if !errors.Is(err, immudb.ErrOverloaded) || !retryable(err) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("err = %v, want a retryable ErrOverloaded: the caller has set no deadline", err)
				}
			})
		}
		wg.Wait()
		ExpectCommitted(t, fake)
	}, grouped, func(cfg *immudb.Config) { cfg.MaxRetries = 1000 })
}

// An interceptor of the program runs in the goroutine of the caller that sends the group.
func TestAPanicInOneCallerIsAnUnknownOutcomeForItsGroup(t *testing.T) {
	script := fakeserver.Script{Rules: []fakeserver.Rule{
		{Method: "SQLQuery", Do: fakeserver.Fault{Messages: [][]byte{describeT}}},
		{Method: "SQLExec", Do: fakeserver.Fault{AnswerDelay: time.Second}},
	}}
	calls := 0
	panics := grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, ans any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if strings.HasSuffix(method, "/SQLExec") {
			if calls++; calls == 2 {
				panic("boom")
			}
		}
		return invoke(ctx, method, req, ans, cc, opts...)
	})
	Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		var wg sync.WaitGroup
		var unknown, panicked atomic.Int64
		for i := range 4 {
			wg.Go(func() {
				defer func() {
					if recover() != nil {
						panicked.Add(1)
					}
				}()
				_, err := db.Exec(insert)
				switch {
				case errors.Is(err, immudb.ErrOutcomeUnknown):
					unknown.Add(1)
				case err != nil || i > 0:
					t.Errorf("caller %d was told %v", i, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if unknown.Load() != 2 || panicked.Load() != 1 {
			t.Errorf("%d panicked and %d were told that nobody knows, want 1 and 2", panicked.Load(), unknown.Load())
		}
		if _, err := db.Exec(insert); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}, grouped, func(cfg *immudb.Config) { cfg.DialOptions = append(cfg.DialOptions, panics) })
}

func TestAChangeOfTheSchemaThatNobodyKnowsOfIsForgottenToo(t *testing.T) {
	script := fakeserver.Script{Rules: []fakeserver.Rule{
		{Method: "SQLQuery", SQL: "COLUMNS(", Do: fakeserver.Fault{Messages: [][]byte{describeT}}},
		{Method: "SQLExec", SQL: "CREATE", Do: fakeserver.Fault{CutAfter: true}},
	}}
	Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		dbtest.Exec(t, db, insert)
		if _, err := db.Exec("CREATE TABLE u (id INTEGER, PRIMARY KEY id)"); !errors.Is(err, immudb.ErrOutcomeUnknown) {
			t.Fatalf("err = %v, want ErrOutcomeUnknown", err)
		}
		dbtest.Exec(t, db, insert)
		n := 0
		for _, call := range fake.Log("SQLQuery") {
			if strings.Contains(call, "COLUMNS(") {
				n++
			}
		}
		if n != 2 {
			t.Errorf("the table was looked up %d times, want once before and once after", n)
		}
	}, grouped)
}
