package scripttest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// mute is a script for a server that stops answering: calls of the methods hang from the
// n-th on, for longer than every timeout.
func mute(methods map[string]int) fakeserver.Script {
	var script fakeserver.Script
	for method, from := range methods {
		for nth := 1; nth < from; nth++ {
			script.Rules = append(script.Rules, fakeserver.Rule{Method: method, Nth: nth})
		}
	}
	for method := range methods {
		script.Rules = append(script.Rules, fakeserver.Rule{Method: method, Do: fakeserver.Fault{Delay: hour, Deaf: false}})
	}
	return script
}

// A call must return when its context ends, even if the driver has to clean up after it.
// The server that does not answer the call does not answer the clean-up calls either.
func TestNoCallOutlastsItsContext(t *testing.T) {
	const patience, limit = 100 * time.Millisecond, 200 * time.Millisecond
	for _, row := range []struct {
		reason string
		mute   map[string]int
		call   func(ctx context.Context, t *testing.T, db *sql.DB) error
	}{
		{"opening a session", map[string]int{"OpenSession": 1, "CloseSession": 1},
			func(ctx context.Context, t *testing.T, db *sql.DB) error { return db.PingContext(ctx) }},
		{"a ping", map[string]int{"KeepAlive": 1, "CloseSession": 1},
			func(ctx context.Context, t *testing.T, db *sql.DB) error { return db.PingContext(ctx) }},
		{"a write outside a transaction", map[string]int{"SQLExec": 1, "CloseSession": 1},
			func(ctx context.Context, t *testing.T, db *sql.DB) error {
				_, err := db.ExecContext(ctx, insert)
				return err
			}},
		{"a query", map[string]int{"SQLQuery": 1, "CloseSession": 1},
			func(ctx context.Context, t *testing.T, db *sql.DB) error {
				_, err := db.QueryContext(ctx, "SELECT id FROM t")
				return err
			}},
		{"beginning a transaction, whose session must go with it", map[string]int{"NewTx": 1, "CloseSession": 1},
			func(ctx context.Context, t *testing.T, db *sql.DB) error {
				_, err := db.BeginTx(ctx, nil)
				return err
			}},
		{"a write in a transaction, which must be rolled back", map[string]int{"TxSQLQuery": 2, "Rollback": 1, "CloseSession": 1},
			func(ctx context.Context, t *testing.T, db *sql.DB) error {
				tx := dbtest.Begin(t, db, nil)
				_, err := tx.ExecContext(ctx, insert)
				return err
			}},
		{"a query that writes, in a transaction of the driver's", map[string]int{"TxSQLQuery": 1, "Rollback": 1, "CloseSession": 1},
			func(ctx context.Context, t *testing.T, db *sql.DB) error {
				_, err := db.QueryContext(ctx, insert+" RETURNING id")
				return err
			}},
		{"a session in doubt that is asked for", map[string]int{"KeepAlive": 1, "CloseSession": 1},
			func(ctx context.Context, t *testing.T, db *sql.DB) error {
				doubt(t, db)
				return db.PingContext(ctx)
			}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			Faulty(t, mute(row.mute), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				ExpectWithin(t, limit, row.reason, func() {
					if err := row.call(ctx, t, db); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("err = %v, want context.DeadlineExceeded", err)
					}
				})
			})
		})
	}
}

// doubt puts a session into the pool whose connection was cut. The connector must check
// with the server that the session exists before it uses it.
func doubt(t *testing.T, db *sql.DB) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	_ = conn.PingContext(ctx)
}

func TestConnectTimeoutBoundsTheQuestionForASessionInDoubt(t *testing.T) {
	script := fakeserver.Script{Rules: []fakeserver.Rule{
		{Method: "KeepAlive", Do: fakeserver.Fault{Delay: hour}},
		{Method: "SQLQuery", Nth: 1, Do: fakeserver.Fault{CutBefore: true}},
	}}
	Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		db.SetMaxIdleConns(-1) // so that the next use leases the session anew
		if _, err := db.Query("SELECT id FROM t"); err == nil {
			t.Fatal("the query did not fail")
		}
		ExpectWithin(t, 3*time.Second, "a use of the session in doubt", func() {
			if got := dbtest.List[int64](t, db, "SELECT id FROM t"); len(got) != 1 {
				t.Errorf("rows %v", got)
			}
		})
	}, func(cfg *immudb.Config) { cfg.ConnectTimeout = time.Second })
}

// Rollback and Commit must end within their 30 s even if the rows being read in the
// transaction never end and have no deadline.
func TestEndingATransactionDoesNotWaitForItsRows(t *testing.T) {
	columns := fakeserver.ID
	script := Rule("TxSQLQuery", 1, fakeserver.Fault{
		Messages: [][]byte{fakeserver.Result(columns, fakeserver.Numbers(1, 2)...), fakeserver.More(columns, fakeserver.Numbers(3, 2)...)},
		Pause:    hour,
	})
	for _, row := range []struct {
		reason string
		end    func(tx driver.Tx, rows driver.Rows)
	}{
		{"Rollback", func(tx driver.Tx, _ driver.Rows) { _ = tx.Rollback() }},
		{"Commit", func(tx driver.Tx, _ driver.Rows) {
			if tx.Commit() == nil {
				t.Error("committed though the rows were never read to their end")
			}
		}},
		{"closing the rows, then Rollback", func(tx driver.Tx, rows driver.Rows) {
			_ = rows.Close()
			_ = tx.Rollback()
		}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, _ *sql.DB) {
				conn := Conn(t, fake)
				tx, err := conn.BeginTx(t.Context(), driver.TxOptions{})
				if err != nil {
					t.Fatal(err)
				}
				rows, err := conn.QueryContext(t.Context(), "SELECT id FROM t", nil)
				if err != nil {
					t.Fatal(err)
				}
				ExpectWithin(t, time.Minute, row.reason, func() { row.end(tx, rows) })
				_ = rows.Close()
			})
		})
	}
}

// Closing a database whose server hangs takes as long as closing one session, because
// all are closed at once.
func TestCloseOfManySessionsTakesAsLongAsOfOne(t *testing.T) {
	Faulty(t, mute(map[string]int{"CloseSession": 1}), func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		spread(t, fake, db, 8)
		ExpectWithin(t, 6*time.Second, "Close", func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	})
}

// A session that was being opened when the database was closed must not stay open on the
// server.
func TestSessionThatOpensDuringCloseIsClosed(t *testing.T) {
	Faulty(t, Rule("OpenSession", 1, fakeserver.Fault{AnswerDelay: time.Second, Deaf: true}),
		func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			failed := make(chan error)
			go func() {
				conn, err := db.Conn(t.Context())
				if err == nil {
					conn.Close()
				}
				failed <- err
			}()
			synctest.Wait()
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			if err := <-failed; err == nil {
				t.Error("a closed database gave a connection")
			}
			time.Sleep(5 * time.Second)
			if left := fake.Sessions(); len(left) > 0 {
				t.Errorf("sessions %v stay open until the server drops them", left)
			}
		})
}

// Connections may be used after Close. If two of them end at once, the first must not
// close the channel before the CloseSession of the other is answered.
func TestLastConnectionsOfAClosedDatabaseEndAtOnce(t *testing.T) {
	Faulty(t, Rule("CloseSession", 1, fakeserver.Fault{Delay: time.Second}),
		func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
			spread(t, fake, db, 2)
			conns := lease(t, db, 2)
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			slow := make(chan struct{})
			go func() {
				defer close(slow)
				conns[0].Close()
			}()
			synctest.Wait()
			conns[1].Close()
			<-slow
			if left := fake.Sessions(); len(left) > 0 {
				t.Errorf("sessions %v are still open", left)
			}
		})
}
