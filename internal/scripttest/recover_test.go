package scripttest

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// recovery is the time within which calls must succeed again after the server is reachable.
const recovery = 5 * time.Second

// uses are all kinds of calls, each with a deadline of a second, as services often have.
var uses = map[string]func(ctx context.Context, db *sql.DB) error{
	"Ping": func(ctx context.Context, db *sql.DB) error { return db.PingContext(ctx) },
	"Query": func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, "SELECT id FROM t").Scan(new(int))
	},
	"Exec": func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, insert)
		return err
	},
	"Exec with RETURNING": func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, insert+" RETURNING id").Scan(new(int))
	},
	"a transaction": func(ctx context.Context, db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(ctx, insert); err != nil {
			return err
		}
		return tx.Commit()
	},
	"a read-only transaction": func(ctx context.Context, db *sql.DB) error {
		tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		return tx.QueryRowContext(ctx, "SELECT id FROM t").Scan(new(int))
	},
	"CopyFrom": func(ctx context.Context, db *sql.DB) error {
		_, err := immudb.CopyFrom(ctx, db, "t", []string{"id", "v"}, dbtest.NumberedRows(0, 1), nil)
		return err
	},
}

// eventually repeats a call with a deadline of a second until it succeeds.
func eventually(t *testing.T, what string, db *sql.DB, call func(ctx context.Context, db *sql.DB) error) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := call(ctx, db)
		cancel()
		if err == nil {
			return
		}
		if took := time.Since(began); took > recovery {
			t.Fatalf("%s: after %v: %v", what, took, err)
		}
	}
}

func TestEveryKindOfCallSucceedsAgainAfterAConnectionWentSilent(t *testing.T) {
	for name, call := range uses {
		t.Run(name, func(t *testing.T) {
			Faulty(t, fakeserver.Script{TellsState: true}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				eventually(t, "before", db, call)
				fake.Silence()
				eventually(t, "after", db, call)
			})
		})
	}
}

// The program sets no deadline. A call on the silent connection ends with an error, or is
// run again, and the next call succeeds.
func TestCallWithoutALimitEndsOnASilentConnection(t *testing.T) {
	for name, call := range uses {
		t.Run(name, func(t *testing.T) {
			Faulty(t, fakeserver.Script{TellsState: true}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				eventually(t, "before", db, call)
				fake.Silence()
				ExpectWithin(t, recovery, "the call under way", func() { _ = call(t.Context(), db) })
				if err := call(t.Context(), db); err != nil {
					t.Errorf("the next call: %v", err)
				}
			})
		})
	}
}

func TestTransactionOnASilentConnectionTellsItsCallerTheTruth(t *testing.T) {
	Faulty(t, fakeserver.Script{TellsState: true}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(insert); err != nil {
			t.Fatal(err)
		}
		fake.Silence()
		if err := tx.Commit(); !errors.Is(err, immudb.ErrOutcomeUnknown) {
			t.Errorf("Commit: %v, want ErrOutcomeUnknown", err)
		}
		time.Sleep(time.Minute)
		if open := fake.Transactions(); len(open) != 0 {
			t.Errorf("open on the server: %v", open)
		}
		ExpectCommitted(t, fake)
	})
}

// A dozen programs lose the network for three seconds.
func TestInterruptedNetworkCostsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fakeserver.New(fakeserver.Script{MaxSessions: 100, TellsState: true})
		defer fake.Close()
		var dbs []*sql.DB
		for range 12 {
			dbs = append(dbs, sql.OpenDB(Connector(t, fake)))
		}
		work := func(d time.Duration, failed func(err error)) {
			var wg sync.WaitGroup
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
				for _, db := range dbs {
					for range 8 {
						wg.Go(func() {
							ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
							defer cancel()
							if err := uses["a read-only transaction"](ctx, db); err != nil {
								failed(err)
							}
						})
					}
				}
			}
			wg.Wait()
		}
		began := time.Now()
		never := func(err error) { t.Errorf("after %v: %v", time.Since(began), err) }
		work(12*time.Second, never)
		before := len(fake.Sessions())
		fake.Down()
		work(3*time.Second, func(err error) {
			if errors.Is(err, immudb.ErrMaxSessions) {
				t.Error(err)
			}
		})
		fake.Up()
		time.Sleep(time.Second)
		work(6*time.Second, never)
		if after := len(fake.Sessions()); after > 96 {
			t.Errorf("%d sessions are open, %d before; the 12 programs may have 96", after, before)
		}
		for _, db := range dbs {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
		if left := fake.Sessions(); len(left) != 0 {
			t.Errorf("%d sessions are left after Close", len(left))
		}
	})
}

// Sessions are lost one after the other while eight callers write outside transactions:
// no caller gets an error.
func TestLostSessionsCauseNoErrorsOutsideTransactions(t *testing.T) {
	Faulty(t, fakeserver.Script{Rules: []fakeserver.Rule{{Method: "SQLExec", Do: fakeserver.Fault{Delay: 9 * time.Millisecond}}}},
		func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			ctx, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for ctx.Err() == nil {
						if _, err := db.Exec(insert); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			for range 50 {
				time.Sleep(301 * time.Millisecond)
				fake.Forget()
			}
			stop()
			wg.Wait()
		})
}

// Callers cancel each kind of call at every moment, while other callers use the same
// sessions: the others get no errors.
func TestCancelledCallersCauseNoErrorsForOthers(t *testing.T) {
	slow := fakeserver.Fault{Delay: 2 * time.Millisecond, AnswerDelay: 3 * time.Millisecond}
	Faulty(t, fakeserver.Script{Rules: []fakeserver.Rule{{Do: slow}}, TellsState: true}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		eventually(t, "before", db, uses["Exec"])
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { // the bystanders
				for ctx.Err() == nil {
					for name, call := range uses {
						if err := call(t.Context(), db); err != nil {
							t.Errorf("%s of a bystander: %v", name, err)
							stop()
							return
						}
					}
				}
			})
		}
		for name, call := range uses {
			for limit := range 30 {
				if ctx.Err() != nil {
					break
				}
				impatient, cancel := context.WithTimeout(t.Context(), time.Duration(limit)*time.Millisecond+500*time.Microsecond)
				_ = call(impatient, db)
				cancel()
				if n := len(fake.Sessions()); n > 8 {
					t.Errorf("%s given up: %d sessions are open, max_sessions is 8", name, n)
				}
			}
		}
		stop()
		wg.Wait()
		time.Sleep(time.Minute)
		if open := fake.Transactions(); len(open) != 0 {
			t.Errorf("open on the server: %v", open)
		}
	})
}

func TestBeginWaitsForOneOfTheServersSnapshots(t *testing.T) {
	full := fakeserver.Failure{Message: "max active snapshots limit reached"}
	var rules []fakeserver.Rule
	for n := 1; n <= 100; n++ {
		rules = append(rules, fakeserver.Rule{Method: "NewTx", Nth: n, Do: fakeserver.Fault{Fail: &full}})
	}
	Faulty(t, fakeserver.Script{Rules: rules}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	})
	Faulty(t, Rule("NewTx", 0, fakeserver.Fault{Fail: &full}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		ExpectWithin(t, 4*time.Second, "BeginTx", func() {
			if _, err := db.BeginTx(ctx, nil); !errors.Is(err, immudb.ErrOverloaded) {
				t.Errorf("err = %v, want ErrOverloaded", err)
			}
		})
	})
}

// A transaction fails if its open rows are too many to buffer.
func TestRowsLeftOpenInATransactionAreKeptUpToALimit(t *testing.T) {
	mib := []any{string(make([]byte, 1<<20))}
	column := []fakeserver.Column{{Name: "v", Type: "VARCHAR"}}
	messages := [][]byte{fakeserver.Result(column, mib)}
	for range 69 {
		messages = append(messages, fakeserver.More(column, mib))
	}
	Faulty(t, Rule("TxSQLQuery", 1, fakeserver.Fault{Messages: messages}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		rows, err := tx.Query("SELECT v FROM t")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(insert); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("err = %v, want the refusal that says to close the rows", err)
		}
		n := 0
		for ; rows.Next(); n++ {
		}
		if err := rows.Err(); err != nil || n != 70 {
			t.Errorf("%d rows, %v; want all 70", n, err)
		}
		if _, err := tx.Exec(insert); err != nil {
			t.Errorf("after the rows: %v", err)
		}
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		if n := len(fake.Committed()); n != 1 {
			t.Errorf("%d statements are committed, want 1", n)
		}
	})
}

func TestLeaseGoesToTheSecondHostWhileTheFirstIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := fakeserver.New(fakeserver.Script{UUID: "first"}), fakeserver.New(fakeserver.Script{UUID: "second"})
		defer first.Close()
		defer second.Close()
		db := sql.OpenDB(Connector(t, first, func(cfg *immudb.Config) {
			cfg.Hosts = []string{"first:3322", "second:3322"}
			cfg.SSL.Mode = "disable"
			cfg.DialContext = func(ctx context.Context, addr string) (net.Conn, error) {
				if addr == "first:3322" {
					return first.Dial(ctx, addr)
				}
				return second.Dial(ctx, addr)
			}
		}))
		defer db.Close()
		eventually(t, "before", db, uses["Exec"])
		first.Down()
		eventually(t, "without the first", db, uses["Exec"])
		if n := len(second.Committed()); n != 1 {
			t.Errorf("the second has %d statements, want 1", n)
		}
	})
}

func TestGroupThatWroteAnotherNumberOfRowsIsUnknown(t *testing.T) {
	wrong := fakeserver.Rule{Method: "SQLExec", Do: fakeserver.Fault{Messages: [][]byte{fakeserver.Executed(7, 3)}}}
	describe := fakeserver.Rule{Method: "SQLQuery", SQL: "COLUMNS(", Do: fakeserver.Fault{Messages: [][]byte{
		fakeserver.Result([]fakeserver.Column{{Name: "name", Type: "VARCHAR"}, {Name: "auto_increment", Type: "BOOLEAN"}, {Name: "primary", Type: "BOOLEAN"}, {Name: "type", Type: "VARCHAR"}, {Name: "max_length", Type: "INTEGER"}, {Name: "nullable", Type: "BOOLEAN"}},
			[]any{"id", false, true, "INTEGER", int64(8), false})}}}
	Faulty(t, fakeserver.Script{Rules: []fakeserver.Rule{wrong, describe}}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		if _, err := db.Exec("INSERT INTO t (id) VALUES (?)", 1); !errors.Is(err, immudb.ErrOutcomeUnknown) {
			t.Errorf("err = %v, want ErrOutcomeUnknown", err)
		}
	}, func(cfg *immudb.Config) { cfg.GroupCommit = 10 })
}

// The driver's own transaction around a write with RETURNING is lost with its
// session: nothing was committed, and it is run again.
func TestWriteWithReturningIsRunAgainInAnotherSession(t *testing.T) {
	gone := fakeserver.Failure{Message: "session not found"}
	for _, method := range []string{"TxSQLQuery", "Commit"} {
		Faulty(t, Rule(method, 1, fakeserver.Fault{Fail: &gone}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			if err := db.QueryRow(insert + " RETURNING id").Scan(new(int)); err != nil {
				t.Errorf("%s finds no session: %v", method, err)
			}
			if n := len(fake.Committed()); n != 1 {
				t.Errorf("%s finds no session: %d statements are committed, want 1", method, n)
			}
		})
	}
}

func TestCommitInfoIsSharedByGoroutines(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		var info immudb.CommitInfo
		ctx := immudb.WithCommitInfo(t.Context(), &info)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := db.ExecContext(ctx, insert); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if info.TxID == 0 || info.TxID > 8 {
			t.Errorf("tx %d, want one of the eight", info.TxID)
		}
	})
}
