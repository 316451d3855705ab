package traptest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// eventually calls try until it returns nil, and fails the test after a minute.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// must fails the test for an error of a server.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair is a primary with table t and a replica that has it, and a database on both.
func pair(t *testing.T) (a, b *testserver.Server, db *sql.DB, split <-chan string) {
	t.Helper()
	a = testserver.Start(t)
	b = testserver.Start(t, "-replica-of="+a.DSN())
	db, split = watched(t, dsnOfHosts(t, a.DSN(), b.DSN(), ""))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
	dbtest.AwaitReplica(t, a, b)
	return a, b, db, split
}

// watched is a database of the DSN, and a channel that is told of each host that the
// driver finds to be a second primary.
func watched(t *testing.T, dsn string) (*sql.DB, <-chan string) {
	t.Helper()
	cfg, err := immudb.ParseDSN(dsn)
	must(t, err)
	split := make(chan string, 100)
	cfg.Logger = slog.New(splitLog{slog.DiscardHandler, split})
	c, err := immudb.NewConnector(cfg)
	must(t, err)
	db := sql.OpenDB(c)
	t.Cleanup(func() { _ = db.Close() })
	return db, split
}

type splitLog struct {
	slog.Handler
	hosts chan<- string
}

func (l splitLog) WithAttrs([]slog.Attr) slog.Handler { return l }

func (splitLog) Enabled(_ context.Context, level slog.Level) bool { return level == slog.LevelError }

func (l splitLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if strings.Contains(r.Message, "second primary") && a.Key == "host" {
			l.hosts <- a.Value.String()
		}
		return true
	})
	return nil
}

// awaitSplit waits until the driver has found the server to be a second primary.
func awaitSplit(t *testing.T, split <-chan string, s *testserver.Server) {
	t.Helper()
	select {
	case host := <-split:
		if host != s.Addr() {
			t.Errorf("the second primary is %s, want %s", host, s.Addr())
		}
	case <-time.After(time.Minute):
		t.Fatal("the driver has not found the second primary in a minute")
	}
}

func TestAnOldPrimaryThatComesBackIsNotWrittenTo(t *testing.T) {
	a, b, db, split := pair(t)
	must(t, a.Kill())
	must(t, b.Promote())
	eventually(t, "a write after the promotion", func() error {
		_, err := db.Exec("UPSERT INTO t (id) VALUES (2)")
		return err
	})
	must(t, a.Restart())

	awaitSplit(t, split, a)
	dbtest.Exec(t, db, "UPSERT INTO t (id) VALUES (3)")
	if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); n != 3 {
		t.Errorf("%d rows, want the 3 of the promoted server", n)
	}
	must(t, b.Stop())
	eventually(t, "an error that says split brain", func() error {
		_, err := db.Exec("INSERT INTO t (id) VALUES (4)")
		if !errors.Is(err, immudb.ErrSplitBrain) {
			return fmt.Errorf("the answer was %w", err)
		}
		return nil
	})
	old := dbtest.OpenDSN(t, a.DSN())
	if n := dbtest.Get[int](t, old, "SELECT COUNT(*) FROM t"); n != 1 {
		t.Errorf("%d rows on the old primary, want the 1 from before the promotion", n)
	}

	// The writes go on when the newer primary is back.
	must(t, b.Restart())
	eventually(t, "a write after the newer primary came back", func() error {
		_, err := db.Exec("UPSERT INTO t (id) VALUES (5)")
		return err
	})
}

func TestTheFirstHostIsNotGoneBackToIfItLacksWhatTheSecondHas(t *testing.T) {
	a := testserver.Start(t)
	other := testserver.Start(t)
	db, split := watched(t, dsnOfHosts(t, a.DSN(), other.DSN(), ""))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	must(t, a.Stop())
	// Another table than on the first server: the same one, made in the same second, would be the same history.
	eventually(t, "a statement on the other server", func() error {
		_, err := db.Exec("CREATE TABLE IF NOT EXISTS t (id INTEGER, v INTEGER, PRIMARY KEY id)")
		return err
	})
	must(t, a.Restart())
	awaitSplit(t, split, a)
	dbtest.Exec(t, db, "UPSERT INTO t (id) VALUES (1)")
	if n := dbtest.Get[int](t, dbtest.OpenDSN(t, a.DSN()), "SELECT COUNT(*) FROM t"); n != 0 {
		t.Errorf("%d rows on the first server, want none", n)
	}
}
