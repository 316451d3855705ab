package scripttest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// lease opens n connections at once.
func lease(t *testing.T, db *sql.DB, n int) []*sql.Conn {
	t.Helper()
	conns := make([]*sql.Conn, n)
	for i := range conns {
		var err error
		if conns[i], err = db.Conn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return conns
}

func giveBack(t *testing.T, conns []*sql.Conn) {
	t.Helper()
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWarmSessionIsLeasedWithoutARoundTrip(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		db.SetMaxIdleConns(-1)
		for range 3 {
			dbtest.List[int64](t, db, "SELECT id FROM t")
		}
		ExpectLog(t, fake, "OpenSession user defaultdb",
			"SQLQuery s1 SELECT id FROM t", "SQLQuery s1 SELECT id FROM t", "SQLQuery s1 SELECT id FROM t")
	})
}

// spread opens connections of db until they have n sessions, and returns them to the
// pool.
func spread(t *testing.T, fake *fakeserver.Server, db *sql.DB, n int) {
	t.Helper()
	for range 2 * n {
		if len(fake.Sessions()) == n {
			return
		}
		giveBack(t, lease(t, db, n+1))
		time.Sleep(2 * time.Second)
	}
	t.Fatalf("sessions %v are open, want %d", fake.Sessions(), n)
}

func TestABurstOpensOneSession(t *testing.T) {
	Faulty(t, Rule("OpenSession", 0, fakeserver.Fault{Delay: 60 * time.Millisecond}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				for range 3 {
					dbtest.List[int64](t, db, "SELECT id FROM t")
				}
			})
		}
		wg.Wait()
		if n := len(fake.Log("OpenSession")); n != 1 {
			t.Errorf("%d sessions were opened, want one that all share", n)
		}
	})
}

func TestConnectionsThatShareGetSessionsOfTheirOwn(t *testing.T) {
	for _, most := range []int{1, 3, 8} {
		t.Run(fmt.Sprint("up to ", most), func(t *testing.T) {
			Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				for range 20 {
					giveBack(t, lease(t, db, 5))
					time.Sleep(time.Second)
				}
				used := map[string]bool{}
				conns := lease(t, db, 5)
				for _, c := range conns {
					used[tokensOf(t, c).SessionID] = true
				}
				giveBack(t, conns)
				if want := min(most, 5); len(used) != want || len(fake.Sessions()) != want {
					t.Errorf("five connections use %d of the sessions %v, want %d", len(used), fake.Sessions(), want)
				}
			}, func(cfg *immudb.Config) { cfg.MaxSessions, cfg.SessionIdleTimeout = most, 0 })
		})
	}
}

func TestSessionsAreOpenedOneASecond(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		began := time.Now()
		for time.Since(began) < 3500*time.Millisecond {
			giveBack(t, lease(t, db, 8))
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(fake.Sessions()); n != 4 {
			t.Errorf("%d sessions after 3.5 s, want 4", n)
		}
	})
}

// If the server has no free session for a connection alone, the connection continues to
// share one.
func TestSharingNeedsNoFurtherSession(t *testing.T) {
	Faulty(t, fakeserver.Script{MaxSessions: 1}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		for range 5 {
			conns := lease(t, db, 4)
			for _, c := range conns {
				dbtest.Exec(t, c, insert)
			}
			giveBack(t, conns)
			time.Sleep(time.Second)
		}
	})
}

// Transactions of two connections do not affect each other, although they share a
// session.
func TestTransactionsOfOneSessionAreIndependent(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		first, second := dbtest.Begin(t, db, nil), dbtest.Begin(t, db, nil)
		dbtest.Exec(t, first, "INSERT INTO t (id) VALUES (1)")
		dbtest.Exec(t, second, "INSERT INTO t (id) VALUES (2)")
		if err := first.Rollback(); err != nil {
			t.Error(err)
		}
		dbtest.Exec(t, second, "INSERT INTO t (id) VALUES (3)")
		if err := second.Commit(); err != nil {
			t.Error(err)
		}
		ExpectCommitted(t, fake, `INSERT INTO t (id) VALUES (2) RETURNING "id"`, `INSERT INTO t (id) VALUES (3) RETURNING "id"`)
		if log := fake.Log("OpenSession"); len(log) != 1 {
			t.Errorf("%q, want one session", log)
		}
	})
}

// A session with a transaction that the driver cannot end is closed, but only after the
// other transactions in it have ended.
func TestSharedSessionIsClosedAfterItsLastTransaction(t *testing.T) {
	Faulty(t, Rule("NewTx", 2, fakeserver.Fault{AnswerDelay: time.Second, Deaf: true}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		other := lease(t, db, 2)
		tx, err := other[0].BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := db.BeginTx(ctx, nil); err == nil {
			t.Fatal("no error")
		}
		time.Sleep(2 * time.Second)
		dbtest.Exec(t, tx, insert)
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if left := fake.Transactions(); len(left) > 0 {
			t.Errorf("transactions %v are still open: %q", left, fake.Log())
		}
		for _, conn := range other {
			dbtest.List[int64](t, conn, "SELECT id FROM t") // in another session
		}
		giveBack(t, other)
	})
}

func tokensOf(t *testing.T, conn *sql.Conn) (tokens immudb.SessionTokens) {
	t.Helper()
	if err := conn.Raw(func(c any) error {
		tokens = c.(*immudb.Conn).SessionTokens()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestEveryCallCarriesTheTokensOfItsSession(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		spread(t, fake, db, 2)
		conns := lease(t, db, 2)
		for _, c := range conns {
			dbtest.Exec(t, c, insert)
			dbtest.List[int64](t, c, "SELECT id FROM t")
			tx, err := c.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			dbtest.Exec(t, tx, insert)
			dbtest.Exec(t, tx, "CREATE TABLE u (id INTEGER, PRIMARY KEY id)")
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		giveBack(t, conns)
		db.Close()
		began := map[string]string{} // the sessions of the transactions t1, t2, …
		for _, c := range fake.Calls() {
			if c.Method == "NewTx" {
				began[fmt.Sprint("t", len(began)+1)] = c.Session
			}
			wantUUID := fakeserver.UUID
			if c.Method == "OpenSession" {
				wantUUID = ""
			}
			if c.UUID != wantUUID || (c.Session == "") != (c.Method == "OpenSession") {
				t.Errorf("%v came with server %q, session %q", c, c.UUID, c.Session)
			}
			inTx := strings.HasPrefix(c.Method, "TxSQL") || c.Method == "Commit" || c.Method == "Rollback"
			if (c.Tx != "") != inTx || inTx && c.Session != began[c.Tx] {
				t.Errorf("%v came with transaction %q, which was begun on %s", c, c.Tx, began[c.Tx])
			}
		}
	})
}

// A restarted server has lost all sessions. It has provably not run the calls that it
// refuses because of that, so they are run again and no caller gets an error.
func TestRestartIsNotNoticedByCallers(t *testing.T) {
	for _, row := range []struct {
		reason string
		lose   func(fake *fakeserver.Server)
	}{
		{"the sessions are gone, the connection is not", func(fake *fakeserver.Server) { fake.Forget() }},
		{"the sessions are gone and the connection is cut", func(fake *fakeserver.Server) { fake.Cut(); fake.Forget() }},
		{"the connection is cut, the sessions are there", func(fake *fakeserver.Server) { fake.Cut() }},
		{"one session has expired", func(fake *fakeserver.Server) { fake.Drop("s3") }},
		{"the server was away for a while", func(fake *fakeserver.Server) {
			fake.Down()
			fake.Forget()
			time.Sleep(10 * time.Second)
			fake.Up()
		}},
	} {
		for _, idle := range []int{-1, 2, 10} {
			t.Run(fmt.Sprintf("%s, database/sql keeps %d", row.reason, idle), func(t *testing.T) {
				Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					db.SetMaxIdleConns(idle)
					spread(t, fake, db, 6)
					giveBack(t, lease(t, db, 6))
					row.lose(fake)
					synctest.Wait()
					var want []string
					for i := range 8 {
						text := fmt.Sprintf("INSERT INTO t (id) VALUES (%d)", i)
						want = append(want, text)
						if _, err := db.Exec(text); err != nil {
							t.Errorf("%s: %v", text, err)
						}
					}
					ExpectCommitted(t, fake, want...)
				})
			})
		}
	}
}

// If one session is lost, the others probably are too: the driver checks them with
// KeepAlive before it uses them.
func TestSessionsAreCheckedAfterOneWasLost(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		db.SetMaxIdleConns(10)
		spread(t, fake, db, 3)
		conns := lease(t, db, 3)
		giveBack(t, conns[:2])
		lost := tokensOf(t, conns[2]).SessionID
		fake.Drop(lost)
		if err := conns[2].QueryRowContext(t.Context(), "SELECT id FROM t").Scan(new(int64)); err != nil {
			t.Fatal(err)
		}
		giveBack(t, conns[2:])
		giveBack(t, lease(t, db, 3))
		asked := fake.Log("KeepAlive")
		slices.Sort(asked)
		if len(asked) == 0 || len(slices.Compact(slices.Clone(asked))) < len(asked) || slices.Contains(asked, "KeepAlive "+lost) {
			t.Errorf("asked %q, want others than %s, once each", asked, lost)
		}
	})
}

// Another program has the only session of the server.
func TestConnectWaitsForASession(t *testing.T) {
	limit := fakeserver.Script{MaxSessions: 1}
	occupy := func(t *testing.T, fake *fakeserver.Server) (leave func()) {
		other := sql.OpenDB(Connector(t, fake))
		dbtest.List[int64](t, other, "SELECT id FROM t")
		return func() { _ = other.Close() }
	}
	t.Run("until one is free", func(t *testing.T) {
		Faulty(t, limit, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			leave := occupy(t, fake)
			go func() {
				time.Sleep(3 * time.Second)
				leave()
			}()
			start := time.Now()
			giveBack(t, lease(t, db, 1))
			if took := time.Since(start); took < 3*time.Second || took > 4*time.Second {
				t.Errorf("it took %v, want little more than 3s", took)
			}
		})
	})
	t.Run("within the context", func(t *testing.T) {
		Faulty(t, limit, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			defer occupy(t, fake)()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			ExpectWithin(t, 1100*time.Millisecond, "Conn", func() {
				_, err := db.Conn(ctx)
				if !errors.Is(err, immudb.ErrMaxSessions) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("err = %v, want ErrMaxSessions and context.DeadlineExceeded", err)
				}
			})
		})
	})
	t.Run("within connect_timeout, and says what to set", func(t *testing.T) {
		Faulty(t, limit, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			defer occupy(t, fake)()
			ExpectWithin(t, 5100*time.Millisecond, "Conn", func() {
				_, err := db.Conn(t.Context())
				var e *immudb.Error
				if !errors.Is(err, immudb.ErrMaxSessions) || !errors.As(err, &e) || !e.Retryable() {
					t.Errorf("err = %v, want ErrMaxSessions, retryable", err)
				}
				if errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("err = %v claims that a context ended", err)
				}
				if !strings.Contains(err.Error(), "lower max_sessions") {
					t.Errorf("err = %v does not name max_sessions", err)
				}
			})
		}, func(cfg *immudb.Config) { cfg.ConnectTimeout = 5 * time.Second })
	})
	t.Run("also for one that it does not share, which a connection that was moved gives up", func(t *testing.T) {
		Faulty(t, limit, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			db.SetMaxIdleConns(-1)
			moved := lease(t, db, 1)
			dbtest.Exec(t, moved[0], "USE DATABASE other")
			go func() {
				time.Sleep(2 * time.Second)
				giveBack(t, moved)
			}()
			start := time.Now()
			giveBack(t, lease(t, db, 1))
			if took := time.Since(start); took != 2*time.Second {
				t.Errorf("it took %v, want 2s", took)
			}
		})
	})
}

func TestSilentSessionsAreKeptAlive(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		spread(t, fake, db, 2)
		db.SetMaxIdleConns(-1)
		held := lease(t, db, 2)
		if tokensOf(t, held[0]).SessionID != "s1" {
			slices.Reverse(held)
		}
		// s1 is in use all the time, s2 in the pool
		giveBack(t, held[1:])
		for range 600 { // ten minutes; s1 is never silent
			dbtest.List[int64](t, held[0], "SELECT id FROM t")
			time.Sleep(time.Second)
		}
		got := map[string]int{}
		for _, line := range fake.Log("KeepAlive") {
			got[line]++
		}
		if got["KeepAlive s1"] != 0 || got["KeepAlive s2"] < 20 || got["KeepAlive s2"] > 30 {
			t.Errorf("KeepAlive calls %v, want none for s1, one each 20 to 30 s for s2", got)
		}
		giveBack(t, held[:1])
	}, func(cfg *immudb.Config) { cfg.SessionIdleTimeout = 0 })
}

func TestKeepAliveNeverIsNever(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		giveBack(t, lease(t, db, 2))
		time.Sleep(10 * hour)
		if got := fake.Log("KeepAlive", "CloseSession"); len(got) > 0 {
			t.Errorf("the server saw %q", got)
		}
	}, func(cfg *immudb.Config) { cfg.KeepAlive, cfg.SessionIdleTimeout = 0, 0 })
}

func TestUnusedSessionsAreClosed(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		db.SetMaxIdleConns(-1)
		held := lease(t, db, 1) // without a connection all sessions would be closed earlier
		spread(t, fake, db, 5)
		giveBack(t, lease(t, db, 5))
		time.Sleep(50 * time.Second)
		dbtest.List[int64](t, db, "SELECT id FROM t") // makes one of them used
		time.Sleep(50 * time.Second)
		if left := fake.Sessions(); len(left) != 2 {
			t.Errorf("sessions %v are kept, want the one used lately and the one in use", left)
		}
		time.Sleep(time.Minute)
		if left := fake.Sessions(); len(left) != 1 {
			t.Errorf("sessions %v are kept, want the one in use", left)
		}
		giveBack(t, held)
	}, func(cfg *immudb.Config) { cfg.SessionIdleTimeout = time.Minute })
}

// A server that does not answer must not block the goroutine that keeps the sessions of
// the other hosts alive.
func TestKeepAliveGoesOnAfterAFailure(t *testing.T) {
	script := Rule("KeepAlive", 1, fakeserver.Fault{Delay: hour})
	Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		giveBack(t, lease(t, db, 1))
		time.Sleep(10 * time.Minute)
		if got := len(fake.Log("KeepAlive")); got < 5 {
			t.Errorf("%d KeepAlive calls in ten minutes", got)
		}
	}, func(cfg *immudb.Config) { cfg.SessionIdleTimeout = 0 })
}

func TestOpenTransactionEndsWithItsConnection(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, _ *sql.DB) {
		connector := Connector(t, fake)
		defer connector.Close()
		conn, err := connector.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.(driver.ConnBeginTx).BeginTx(t.Context(), driver.TxOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		ExpectLog(t, fake, "OpenSession user defaultdb", "NewTx s1 read-write", "Rollback s1 t1")
	})
}

func TestCloseEndsEverySession(t *testing.T) {
	for _, row := range []struct {
		reason string
		script fakeserver.Script
		work   func(db *sql.DB)
	}{
		{"after nothing but use", fakeserver.Script{}, func(*sql.DB) {}},
		{"after a call whose answer was lost", Rule("SQLExec", 1, fakeserver.Fault{CutAfter: true}),
			func(db *sql.DB) { db.Exec(insert) }},
		{"after a transaction that could not be begun", Rule("NewTx", 1, fakeserver.Fault{CutAfter: true}),
			func(db *sql.DB) { db.Begin() }},
		{"after a commit whose answer was lost", Rule("Commit", 1, fakeserver.Fault{CutAfter: true}),
			func(db *sql.DB) {
				if tx, err := db.Begin(); err == nil {
					tx.Exec(insert)
					tx.Commit()
				}
			}},
		{"after a query that hangs", Rule("SQLQuery", 1, fakeserver.Fault{Delay: hour}),
			func(db *sql.DB) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				db.QueryContext(ctx, "SELECT id FROM t")
			}},
		{"when closing one of them fails", Rule("CloseSession", 1, fakeserver.Fault{Fail: &fakeserver.Failure{Message: "no"}}),
			func(*sql.DB) {}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			Faulty(t, row.script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				spread(t, fake, db, 4)
				row.work(db)
				ExpectWithin(t, 6*time.Second, "Close", func() { db.Close() })
				closed := map[string]int{}
				for _, c := range fake.Calls() {
					if c.Method == "CloseSession" {
						closed[c.Session]++
					}
				}
				for i := 1; i <= 4; i++ {
					if id := fmt.Sprintf("s%d", i); closed[id] != 1 {
						t.Errorf("session %s was closed %d times", id, closed[id])
					}
				}
			})
		})
	}
}
