package immudb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immudb-go/immudb"
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
	faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		db.SetMaxIdleConns(-1)
		for range 3 {
			list[int64](t, db, "SELECT id FROM t")
		}
		expectLog(t, fake, "OpenSession user defaultdb",
			"SQLQuery s1 SELECT id FROM t", "SQLQuery s1 SELECT id FROM t", "SQLQuery s1 SELECT id FROM t")
	})
}

func TestPoolKeepsNoMoreThanMaxIdleSessions(t *testing.T) {
	for _, limit := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				db.SetMaxIdleConns(-1)
				giveBack(t, lease(t, db, 5))
				time.Sleep(time.Second)
				if got := len(fake.Sessions()); got != limit {
					t.Errorf("%d sessions are kept, want %d", got, limit)
				}
			}, func(cfg *immudb.Config) { cfg.MaxIdleSessions = limit })
		})
	}
}

func TestEveryCallCarriesTheTokensOfItsSession(t *testing.T) {
	faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		conns := lease(t, db, 2)
		for _, c := range conns {
			mustExec(t, c, insert)
			list[int64](t, c, "SELECT id FROM t")
			tx, err := c.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			mustExec(t, tx, insert)
			mustExec(t, tx, "CREATE TABLE u (id INTEGER, PRIMARY KEY id)")
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		giveBack(t, conns)
		db.Close()
		for _, c := range fake.Calls() {
			wantUUID := fakeserver.UUID
			if c.Method == "OpenSession" {
				wantUUID = ""
			}
			if c.UUID != wantUUID || (c.Session == "") != (c.Method == "OpenSession") {
				t.Errorf("%v came with server %q, session %q", c, c.UUID, c.Session)
			}
			inTx := strings.HasPrefix(c.Method, "TxSQL") || c.Method == "Commit" || c.Method == "Rollback"
			if (c.Tx != "") != inTx || inTx && c.Tx[1:] != c.Session[1:] {
				t.Errorf("%v came with transaction %q", c, c.Tx)
			}
		}
	})
}

// A restarted server knows none of the sessions. Only calls that it provably did
// not run were made in vain, so no caller is told.
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
				faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
					db.SetMaxIdleConns(idle)
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
					expectCommitted(t, fake, want...)
				})
			})
		}
	}
}

// When one session is gone the others probably are: they are asked, with
// KeepAlive, before a call is entrusted to them.
func TestSessionsAreAskedForAfterOneWasLost(t *testing.T) {
	faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		db.SetMaxIdleConns(10)
		giveBack(t, lease(t, db, 3))
		fake.Drop("s3") // database/sql takes the connection that came back last
		list[int64](t, db, "SELECT id FROM t")
		giveBack(t, lease(t, db, 3))
		asked := fake.Log("KeepAlive")
		slices.Sort(asked)
		if !slices.Equal(asked, []string{"KeepAlive s1", "KeepAlive s2"}) {
			t.Errorf("asked for %q, want s1 and s2, once each", asked)
		}
	})
}

func TestConnectWaitsForASession(t *testing.T) {
	limit := fakeserver.Script{MaxSessions: 1}
	noIdle := func(cfg *immudb.Config) { cfg.MaxIdleSessions = 0 }
	t.Run("until one is released", func(t *testing.T) {
		faulty(t, limit, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			db.SetMaxIdleConns(-1)
			held := lease(t, db, 1)
			go func() {
				time.Sleep(3 * time.Second)
				giveBack(t, held)
			}()
			start := time.Now()
			giveBack(t, lease(t, db, 1))
			if took := time.Since(start); took < 3*time.Second || took > 4*time.Second {
				t.Errorf("it took %v, want little more than 3s", took)
			}
		}, noIdle)
	})
	t.Run("within the context", func(t *testing.T) {
		faulty(t, limit, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			held := lease(t, db, 1)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			expectWithin(t, 1100*time.Millisecond, "Conn", func() {
				_, err := db.Conn(ctx)
				if !errors.Is(err, immudb.ErrMaxSessions) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("err = %v, want ErrMaxSessions and context.DeadlineExceeded", err)
				}
			})
			giveBack(t, held)
		}, noIdle)
	})
	t.Run("within connect_timeout, and says what to set", func(t *testing.T) {
		faulty(t, limit, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			held := lease(t, db, 1)
			expectWithin(t, 5100*time.Millisecond, "Conn", func() {
				_, err := db.Conn(t.Context())
				var e *immudb.Error
				if !errors.Is(err, immudb.ErrMaxSessions) || !errors.As(err, &e) || !e.Retryable() {
					t.Errorf("err = %v, want ErrMaxSessions, retryable", err)
				}
				if errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("err = %v claims that a context ended", err)
				}
				for _, remedy := range []string{"SetMaxOpenConns", "max_idle_sessions"} {
					if !strings.Contains(err.Error(), remedy) {
						t.Errorf("err = %v does not name %s", err, remedy)
					}
				}
			})
			giveBack(t, held)
		}, noIdle, func(cfg *immudb.Config) { cfg.ConnectTimeout = 5 * time.Second })
	})
	t.Run("and leases one that comes back to the pool at once", func(t *testing.T) {
		faulty(t, limit, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			held := lease(t, db, 1)
			db.SetMaxIdleConns(-1)
			go func() {
				time.Sleep(2 * time.Second)
				giveBack(t, held)
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
	faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		held := lease(t, db, 2) // s1 is in use all the time, s2 in the pool
		db.SetMaxIdleConns(-1)
		giveBack(t, held[1:])
		for range 600 { // ten minutes; s1 is never silent
			list[int64](t, held[0], "SELECT id FROM t")
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
	faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		giveBack(t, lease(t, db, 2))
		time.Sleep(10 * hour)
		if got := fake.Log("KeepAlive", "CloseSession"); len(got) > 0 {
			t.Errorf("the server saw %q", got)
		}
	}, func(cfg *immudb.Config) { cfg.KeepAlive, cfg.SessionIdleTimeout = 0, 0 })
}

func TestUnusedSessionsAreClosed(t *testing.T) {
	faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		db.SetMaxIdleConns(-1)
		giveBack(t, lease(t, db, 5))
		time.Sleep(50 * time.Second)
		list[int64](t, db, "SELECT id FROM t") // makes one of them used
		time.Sleep(50 * time.Second)
		if left := fake.Sessions(); len(left) != 1 {
			t.Errorf("sessions %v are kept, want the one used lately", left)
		}
		time.Sleep(time.Minute)
		if left := fake.Sessions(); len(left) != 0 {
			t.Errorf("sessions %v are kept after their time", left)
		}
	}, func(cfg *immudb.Config) { cfg.SessionIdleTimeout = time.Minute })
}

// A mute server must not stop the goroutine that keeps the other hosts' sessions.
func TestKeepAliveGoesOnAfterAFailure(t *testing.T) {
	script := rule("KeepAlive", 1, fakeserver.Fault{Delay: hour})
	faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		giveBack(t, lease(t, db, 1))
		time.Sleep(10 * time.Minute)
		if got := len(fake.Log("KeepAlive")); got < 5 {
			t.Errorf("%d KeepAlive calls in ten minutes", got)
		}
	}, func(cfg *immudb.Config) { cfg.SessionIdleTimeout = 0 })
}

func TestOpenTransactionEndsWithItsConnection(t *testing.T) {
	faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, _ *sql.DB) {
		connector := fakeConnector(t, fake)
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
		expectLog(t, fake, "OpenSession user defaultdb", "NewTx s1 read-write", "Rollback s1 t1")
	})
}

func TestCloseEndsEverySession(t *testing.T) {
	for _, row := range []struct {
		reason string
		script fakeserver.Script
		work   func(db *sql.DB)
	}{
		{"after nothing but use", fakeserver.Script{}, func(*sql.DB) {}},
		{"after a call whose answer was lost", rule("SQLExec", 1, fakeserver.Fault{CutAfter: true}),
			func(db *sql.DB) { db.Exec(insert) }},
		{"after a transaction that could not be begun", rule("NewTx", 1, fakeserver.Fault{CutAfter: true}),
			func(db *sql.DB) { db.Begin() }},
		{"after a commit whose answer was lost", rule("Commit", 1, fakeserver.Fault{CutAfter: true}),
			func(db *sql.DB) {
				if tx, err := db.Begin(); err == nil {
					tx.Exec(insert)
					tx.Commit()
				}
			}},
		{"after a query that hangs", rule("SQLQuery", 1, fakeserver.Fault{Delay: hour}),
			func(db *sql.DB) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				db.QueryContext(ctx, "SELECT id FROM t")
			}},
		{"when closing one of them fails", rule("CloseSession", 1, fakeserver.Fault{Fail: &fakeserver.Failure{Message: "no"}}),
			func(*sql.DB) {}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			faulty(t, row.script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				giveBack(t, lease(t, db, 4))
				row.work(db)
				expectWithin(t, 6*time.Second, "Close", func() { db.Close() })
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
