package outagetest

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// These tests cut the connection to a real server after every number of bytes, and compare
// the rows in the table with the results that the callers got. A cut can leave sessions that
// the client cannot close, so each test starts a separate server.

// limit is how many bytes a connection carries in one direction before it breaks.
type limit struct {
	received bool
	left     atomic.Int64
}

// cutConn is the connection that breaks.
type cutConn struct {
	net.Conn
	*limit
}

func (c cutConn) Write(b []byte) (int, error) {
	if c.received {
		return c.Conn.Write(b)
	}
	if left := c.left.Add(-int64(len(b))); left < 0 {
		if part := len(b) + int(left); part > 0 {
			_, _ = c.Conn.Write(b[:part])
		}
		c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

func (c cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if !c.received || err != nil {
		return n, err
	}
	if left := c.left.Add(-int64(n)); left < 0 {
		c.Close()
		if n = max(n+int(left), 0); n == 0 {
			return 0, net.ErrClosed
		}
	}
	return n, nil
}

// cutDB opens a database whose first connection breaks at the limit. Later connections work;
// with refused they fail.
func cutDB(t *testing.T, dsn string, l *limit, refused bool) *sql.DB {
	t.Helper()
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	var dials atomic.Int64
	cfg.DialContext = func(ctx context.Context, addr string) (net.Conn, error) {
		first := dials.Add(1) == 1
		if !first && refused && l.left.Load() < 0 {
			return nil, net.ErrClosed
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if first && err == nil {
			conn = cutConn{conn, l}
		}
		return conn, err
	}
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return sql.OpenDB(connector)
}

// everywhere runs work with limits that grow until the connection holds, by step bytes, or by less where tests are long.
func everywhere(t *testing.T, step int64, work func(l *limit)) {
	step = max(1, step/int64(testserver.Rounds(t, 1, 2)))
	for _, received := range []bool{false, true} {
		broke := 0
		for after := int64(100); ; after += step {
			l := &limit{received: received}
			l.left.Store(after)
			if work(l); l.left.Load() >= 0 {
				break
			}
			broke++
		}
		if broke < 5 {
			t.Errorf("only %d places to break at were tried", broke)
		}
		t.Logf("%d places, of what was received: %v", broke, received)
	}
}

func TestCopyFromOutcomeIsTrueAtEveryConnectionBreak(t *testing.T) {
	for _, writers := range []int{1, 3} {
		t.Run(fmt.Sprint(writers, " writers"), func(t *testing.T) {
			dsn := testserver.Start(t, "-synced=false").DSN()
			db := dbtest.OpenDSN(t, dsn)
			everywhere(t, 440, func(l *limit) {
				dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
				cut := cutDB(t, dsn, l, true)
				n, err := immudb.CopyFrom(t.Context(), cut, "t", nil, dbtest.NumberedRows(0, 400), &immudb.CopyOptions{BatchRows: 40, Writers: writers})
				expectTold(t, db, n, err, 400)
				broke := l.left.Swap(1<<40) < 0 // the connection must not break while the sessions are closed
				cut.Close()
				if broke {
					l.left.Store(-1)
				}
				dbtest.Exec(t, db, "DROP TABLE t")
			})
		})
	}
}

func TestWriteOutcomeIsTrueAtEveryConnectionBreak(t *testing.T) {
	insert := func(ctx context.Context, db *sql.DB, id int) error {
		_, err := db.ExecContext(ctx, "INSERT INTO t (id, v) VALUES (?, 1)", id)
		return err
	}
	for _, mode := range []struct {
		name, option string
		callers      int
		step         int64
		write        func(ctx context.Context, db *sql.DB, id int) error
	}{
		{"autocommit", "group_commit=0", 1, 100, insert},
		{"group commit", "group_commit=16", 4, 300, insert},
		{"RunTx", "group_commit=0", 1, 300, func(ctx context.Context, db *sql.DB, id int) error {
			return immudb.RunTx(ctx, db, nil, func(tx *sql.Tx) error {
				if _, err := tx.ExecContext(ctx, "INSERT INTO t (id, v) VALUES (?, 0)", id); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, "UPDATE t SET v = 1 WHERE id = ?", id)
				return err
			})
		}},
		{"RETURNING", "group_commit=0", 1, 200, func(ctx context.Context, db *sql.DB, id int) error {
			return db.QueryRowContext(ctx, "INSERT INTO t (id, v) VALUES (?, 1) RETURNING id", id).Scan(new(int))
		}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			dsn := testserver.Start(t, "-synced=false").DSN()
			db := dbtest.OpenDSN(t, dsn)
			everywhere(t, mode.step, func(l *limit) {
				dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
				cut := cutDB(t, dbtest.WithOptions(dsn, mode.option), l, false)
				var outcome told
				var wg sync.WaitGroup
				for caller := range mode.callers {
					wg.Go(func() {
						for i := range 4 {
							id := caller*10 + i
							outcome.note(id, mode.write(t.Context(), cut, id))
						}
					})
				}
				wg.Wait()
				cut.Close()
				outcome.check(t, db)
				if half := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t WHERE v <> 1"); half != 0 {
					t.Errorf("%d rows are half written", half)
				}
				dbtest.Exec(t, db, "DROP TABLE t")
			})
		})
	}
}
