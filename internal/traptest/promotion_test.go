package traptest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// errorLog keeps the records of level error.
type errorLog struct {
	slog.Handler
	mu      sync.Mutex
	records []slog.Record
}

func (l *errorLog) WithAttrs([]slog.Attr) slog.Handler { return l }

func (*errorLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (l *errorLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
	return nil
}

// find returns the attributes of the only record with the message, as text.
func (l *errorLog) find(t *testing.T, message string) map[string]string {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var found map[string]string
	for _, r := range l.records {
		if !strings.Contains(r.Message, message) {
			continue
		}
		if found != nil {
			t.Errorf("%q is logged twice", message)
		}
		found = map[string]string{}
		r.Attrs(func(a slog.Attr) bool {
			found[a.Key] = a.Value.String()
			return true
		})
	}
	return found
}

// A replica that was promoted before it had everything lacks writes that were acknowledged.
func TestAcknowledgedWritesThatAPromotedReplicaLacksAreNoticed(t *testing.T) {
	t.Parallel()
	a := testserver.Start(t)
	way := newGate(t, a.Addr())
	through, err := url.Parse(a.DSN())
	must(t, err)
	through.Host = way.Addr().String()
	b := testserver.Start(t, "-replica-of="+through.String())
	open := func(options string) (*sql.DB, *errorLog) {
		cfg, err := immudb.ParseDSN(dbtest.WithOptions(dsnOfHosts(t, a.DSN(), b.DSN(), ""), options))
		must(t, err)
		log := &errorLog{Handler: slog.DiscardHandler}
		cfg.Logger = slog.New(log)
		c, err := immudb.NewConnector(cfg)
		must(t, err)
		db := sql.OpenDB(c)
		t.Cleanup(func() { db.Close() })
		return db, log
	}
	plain, log := open("target_session_attrs=primary")
	proving, _ := open("verify=trust-first-use,commits")
	dbtest.Exec(t, plain, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, proving, "INSERT INTO t (id) VALUES (1)")
	dbtest.AwaitReplica(t, a, b)
	has := dbtest.NewestTx(t, b)
	way.set(true)
	for id := 2; id <= 4; id++ {
		dbtest.Exec(t, proving, "INSERT INTO t (id) VALUES (?)", 10*id)
		dbtest.Exec(t, plain, "INSERT INTO t (id) VALUES (?)", id)
	}
	const lacks = 6
	must(t, a.Kill())
	must(t, b.Promote())

	eventually(t, "an error that says that the promoted replica is older", func() error {
		if _, err := proving.Exec("INSERT INTO t (id) VALUES (100)"); !errors.Is(err, immudb.ErrServerOlder) || !strings.Contains(err.Error(), b.Addr()) {
			return fmt.Errorf("the answer was %w", err)
		}
		return nil
	})
	eventually(t, "a write that is not proven", func() error {
		_, err := plain.Exec("UPSERT INTO t (id) VALUES (200)")
		return err
	})
	got := log.find(t, "does not have transactions that were seen")
	if got["host"] != b.Addr() || got["seen_on"] != a.Addr() || got["ends_with_tx"] != fmt.Sprint(has) || got["seen_tx"] != fmt.Sprint(has+lacks) {
		t.Errorf("logged %v, want %s with tx %d and %s with tx %d", got, b.Addr(), has, a.Addr(), has+lacks)
	}

	// Its own transactions take the numbers of those that it lacks.
	for range lacks {
		dbtest.Exec(t, plain, "UPSERT INTO t (id) VALUES (200)")
	}
	if _, err := proving.Exec("INSERT INTO t (id) VALUES (100)"); !errors.Is(err, immudb.ErrTampered) || !strings.Contains(err.Error(), b.Addr()) {
		t.Errorf("a proven write, with as many transactions as were seen: %v, want ErrTampered that names %s", err, b.Addr())
	}
	if n := dbtest.Get[int](t, plain, "SELECT COUNT(*) FROM t"); n != 2 {
		t.Errorf("%d rows, want the 2 of the writes that were answered without an error", n)
	}
}
