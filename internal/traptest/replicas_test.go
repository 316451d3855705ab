package traptest

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// gate is a TCP proxy before a server, which can be shut.
type gate struct {
	net.Listener
	target string

	mu    sync.Mutex
	shut  bool
	conns []net.Conn
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	g := &gate{Listener: l, target: target}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { g.pass(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		g.set(true)
		running.Wait()
	})
	return g
}

func (g *gate) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", g.target)
	if err != nil {
		return
	}
	defer server.Close()
	g.mu.Lock()
	if g.shut {
		g.mu.Unlock()
		return
	}
	g.conns = append(g.conns, client, server)
	g.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(client, server)
		client.Close()
	})
	io.Copy(server, client)
	server.Close()
	back.Wait()
}

// set cuts the connections and lets none through, or lets new ones through.
func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut {
		for _, c := range g.conns {
			c.Close()
		}
		g.conns = nil
	}
}

// routed is a primary, a replica that follows it through a gate, and a database of both, that reads
// from the replica. Its tables are a, t with the row (1, 0), and probe.
type routed struct {
	primary, replica *testserver.Server
	gate             *gate
	*sql.DB
	connector *immudb.Connector
}

func newRouted(t *testing.T) *routed {
	t.Helper()
	r := &routed{primary: testserver.Start(t)}
	r.gate = newGate(t, r.primary.Addr())
	through, err := url.Parse(r.primary.DSN())
	must(t, err)
	through.Host = r.gate.Addr().String()
	r.replica = testserver.Start(t, "-replica-of="+through.String())
	// The replica keeps the catalog that it has when it is read first.
	setup := dbtest.OpenDSN(t, r.primary.DSN())
	dbtest.Exec(t, setup, "CREATE TABLE a (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, setup, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, setup, "CREATE TABLE probe (id INTEGER, PRIMARY KEY id)")
	dbtest.AwaitReplica(t, r.primary, r.replica)
	r.open(t)
	t.Cleanup(func() { r.Close() })
	dbtest.Exec(t, r.DB, "INSERT INTO t (id, v) VALUES (1, 0)")
	return r
}

func (r *routed) stats() immudb.ReplicaStats { return r.connector.Stats().Replicas }

// onReplica waits until the replica serves reads.
func (r *routed) onReplica(t *testing.T) {
	t.Helper()
	eventually(t, "a read on the replica", func() error {
		before := r.stats()
		dbtest.Get[int](t, r.DB, "SELECT COUNT(*) FROM probe")
		if now := r.stats(); now.Routed == before.Routed {
			return fmt.Errorf("the primary answers: %+v", now)
		}
		return nil
	})
}

func TestNoReadIsOlderThanWhatItsProgramHasSeen(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.onReplica(t)
	var newest atomic.Int64 // the largest v that a call has returned
	saw := func(v int64) {
		for old := newest.Load(); v > old && !newest.CompareAndSwap(old, v); old = newest.Load() {
		}
	}
	other := dbtest.OpenDSN(t, r.primary.DSN()) // what only reads can learn of
	var next atomic.Int64
	write := func(db *sql.DB, known bool) error {
		v := next.Add(1)
		if _, err := db.Exec("UPDATE t SET v = ? WHERE id = 1 AND v < ?", v, v); err != nil {
			return err
		}
		if known {
			saw(v)
		}
		return nil
	}
	read := func(i int) error {
		floor := newest.Load()
		var v int64
		var err error
		if i%2 == 0 {
			err = r.QueryRow("SELECT v FROM t WHERE id = 1").Scan(&v)
		} else {
			err = immudb.RunTx(t.Context(), r.DB, &sql.TxOptions{ReadOnly: true}, func(tx *sql.Tx) error {
				return tx.QueryRow("SELECT v FROM t WHERE id = 1").Scan(&v)
			})
		}
		if e, ok := errors.AsType[*immudb.Error](err); ok && e.Retryable() {
			return nil // the replica was killed while it sent rows
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if v < floor {
			return fmt.Errorf("a read returned %d after %d was seen", v, floor)
		}
		saw(v)
		return nil
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := read(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	defer readers.Wait()
	defer close(stop)
	burst := func() {
		var writers sync.WaitGroup
		for w := range 3 {
			writers.Go(func() {
				for range 10 {
					if err := write([]*sql.DB{r.DB, r.DB, other}[w], w < 2); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
	}
	again := func(what string) {
		before := r.stats().Routed
		eventually(t, "reads on the replica after "+what, func() error {
			if s := r.stats(); s.Routed < before+20 && !t.Failed() {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	}
	for range testserver.Rounds(t, 1, 10) {
		burst()
		again("writes")
		r.gate.set(true)
		burst()
		r.gate.set(false)
		again("the replica was cut off")
		must(t, r.replica.Kill())
		burst()
		must(t, r.replica.Restart())
		again("a restart of the replica")
	}
	if s := r.stats(); s.FellBack == 0 {
		t.Errorf("no read fell back: %+v", s)
	}
}

func TestALaggingReplicaDelaysNoRead(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.onReplica(t)
	r.gate.set(true)
	dbtest.Exec(t, r.DB, "UPDATE t SET v = 1 WHERE id = 1")
	before := r.stats()
	for range 50 {
		// The replica cannot have the change, so an answer with it did not wait.
		if v := dbtest.Get[int](t, r.DB, "SELECT v FROM t WHERE id = 1"); v != 1 {
			t.Fatalf("v = %d, want 1", v)
		}
	}
	if now := r.stats(); now.Routed != before.Routed || now.FellBack != before.FellBack+50 {
		t.Errorf("after 50 reads %+v, before %+v, want 50 more that fell back", now, before)
	}
	eventually(t, "the lag", func() error {
		if lag := r.stats().Lag; lag != 1 {
			return fmt.Errorf("%d transactions, want 1", lag)
		}
		return nil
	})

	stale := immudb.WithMaxStaleness(t.Context(), time.Hour)
	var v int
	must(t, r.QueryRowContext(stale, "SELECT v FROM t WHERE id = 1").Scan(&v))
	if v != 0 {
		t.Errorf("a read that may be an hour old: v = %d, want the replica's 0", v)
	}
	must(t, r.QueryRowContext(immudb.WithMaxStaleness(t.Context(), time.Nanosecond), "SELECT v FROM t WHERE id = 1").Scan(&v))
	if v != 1 {
		t.Errorf("a read that may be a nanosecond old: v = %d, want 1", v)
	}
}

func TestWritesAndWhatBelongsToThemAreNeverOnReplicas(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.onReplica(t)
	before := r.stats()
	id, err := dbtest.Exec(t, r.DB, "INSERT INTO a (v) VALUES (7)").LastInsertId()
	must(t, err)
	if id != 1 {
		t.Errorf("LastInsertId = %d, want 1", id)
	}
	if got := dbtest.Get[int](t, r.DB, "INSERT INTO a (v) VALUES (8) RETURNING id"); got != 2 {
		t.Errorf("RETURNING id: %d, want 2", got)
	}
	tx := dbtest.Begin(t, r.DB, nil)
	dbtest.Exec(t, tx, "UPDATE t SET v = 5 WHERE id = 1")
	if v := dbtest.Get[int](t, tx, "SELECT v FROM t WHERE id = 1"); v != 5 {
		t.Errorf("the transaction's own write: v = %d, want 5", v)
	}
	must(t, tx.Rollback())
	var v int
	must(t, r.QueryRowContext(immudb.WithPrimary(t.Context()), "SELECT v FROM t WHERE id = 1").Scan(&v))
	if now := r.stats(); now.Routed != before.Routed {
		t.Errorf("reads on the replica: %d, want none", now.Routed-before.Routed)
	}
}

func TestAChangeOfTheSchemaIsReadAtOnceBesideAReplica(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.onReplica(t)
	dbtest.Exec(t, r.DB, "CREATE TABLE u (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, r.DB, "INSERT INTO u (id) VALUES (1)")
	dbtest.Exec(t, r.DB, "ALTER TABLE t ADD COLUMN w INTEGER")
	dbtest.Exec(t, r.DB, "UPDATE t SET w = 3 WHERE id = 1")
	dbtest.Exec(t, r.DB, "CREATE TABLE gone (id INTEGER, PRIMARY KEY id)")
	before := r.stats()
	dbtest.AwaitReplica(t, r.primary, r.replica)
	check := func() {
		t.Helper()
		if n := dbtest.Get[int](t, r.DB, "SELECT COUNT(*) FROM u"); n != 1 {
			t.Errorf("%d rows of the new table, want 1", n)
		}
		if w := dbtest.Get[int](t, r.DB, "SELECT w FROM t WHERE id = 1"); w != 3 {
			t.Errorf("the new column is %d, want 3", w)
		}
	}
	for range 20 {
		check()
	}
	if now := r.stats(); now.Routed != before.Routed || now.Host != "" {
		t.Errorf("reads on a replica with an outdated catalog: %+v, before %+v", now, before)
	}

	must(t, r.replica.Restart())
	r.onReplica(t)
	check()

	// The catalog does not tell a table from one of the same name.
	dbtest.Exec(t, r.DB, "DROP TABLE gone")
	dbtest.Exec(t, r.DB, "CREATE TABLE gone (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, r.DB, "INSERT INTO gone (id) VALUES (1)")
	dbtest.AwaitReplica(t, r.primary, r.replica)
	for range 20 {
		if n := dbtest.Get[int](t, r.DB, "SELECT COUNT(*) FROM gone"); n != 1 {
			t.Fatalf("%d rows of the table made anew, want 1", n)
		}
	}
}

func TestAReadThatAReplicaCannotAnswerIsAnsweredByThePrimary(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.onReplica(t) // it has read its catalog
	count := func(q dbtest.Execer) int {
		return dbtest.Get[int](t, q, "SELECT COUNT(*) FROM TABLES() WHERE name = 'u'")
	}
	other := dbtest.OpenDSN(t, r.primary.DSN())
	dbtest.Exec(t, other, "CREATE TABLE u (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, other, "INSERT INTO u (id) VALUES (1)")
	dbtest.Exec(t, other, "ALTER TABLE t ADD COLUMN w INTEGER")
	dbtest.Exec(t, other, "UPDATE t SET v = 1, w = 1 WHERE id = 1")
	dbtest.AwaitReplica(t, r.primary, r.replica)
	for what, query := range map[string]string{
		"a new table":               "SELECT id FROM u",
		"a new column":              "SELECT w FROM t",
		"a row with the new column": "SELECT v FROM t",
	} {
		for _, inTx := range []bool{false, true} {
			r.Close()
			r.open(t) // what it learns of the replica is not to help the next one
			r.onReplica(t)
			var n int
			get := func() error { return r.QueryRow(query).Scan(&n) }
			if inTx {
				get = func() error {
					tx := dbtest.Begin(t, r.DB, &sql.TxOptions{ReadOnly: true})
					return errors.Join(tx.QueryRow(query).Scan(&n), tx.Commit())
				}
			}
			tables := dbtest.Begin(t, r.DB, &sql.TxOptions{ReadOnly: true})
			if a, b := count(r.DB), count(tables); a != 1 || b != 1 {
				t.Errorf("the new table is listed %d times, in a transaction %d, want 1", a, b)
			}
			must(t, tables.Rollback())
			before := r.stats()
			if err := get(); err != nil || n != 1 {
				t.Errorf("%s, inTx=%v: %d, %v, want 1", what, inTx, n, err)
			}
			if now := r.stats(); now.FellBack == before.FellBack || now.Host != "" {
				t.Errorf("%s, inTx=%v: %+v, want a read that fell back and no replica in use", what, inTx, now)
			}
		}
	}
}

// open makes a database of both servers, which knows nothing of the replica yet.
func (r *routed) open(t *testing.T, log ...*slog.Logger) {
	t.Helper()
	cfg, err := immudb.ParseDSN(dbtest.WithOptions(dsnOfHosts(t, r.primary.DSN(), r.replica.DSN(), ""), "read_routing=replica"))
	must(t, err)
	for _, l := range log {
		cfg.Logger = l
	}
	r.connector, err = immudb.NewConnector(cfg)
	must(t, err)
	r.DB = sql.OpenDB(r.connector)
}

func TestASynchronousReplicaIsNotReadFrom(t *testing.T) {
	t.Parallel()
	r := &routed{primary: testserver.Start(t, "-sync-replicas=1")}
	r.replica = testserver.Start(t, "-replica-of="+r.primary.DSN(), "-sync-replicas=1")
	logged := make(chan struct{}, 1)
	r.open(t, slog.New(slog.NewTextHandler(writer(func(line []byte) {
		if strings.Contains(string(line), "replicates synchronously, it is not read from") {
			select {
			case logged <- struct{}{}:
			default:
			}
		}
	}), nil)))
	t.Cleanup(func() { r.Close() })
	dbtest.Exec(t, r.DB, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.Get[int](t, r.DB, "SELECT COUNT(*) FROM t")
	select {
	case <-logged:
	case <-time.After(time.Minute):
		t.Fatal("the driver has not found in a minute that the replica is synchronous")
	}
	if n := dbtest.Get[int](t, r.DB, "SELECT COUNT(*) FROM t"); n != 0 || r.stats().Routed != 0 {
		t.Errorf("%d rows, %+v, want none, from the primary", n, r.stats())
	}
}

// writer makes an io.Writer of a function.
type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

func TestReadRoutingIsRefusedWhereItCannotBeRight(t *testing.T) {
	for dsn, valid := range map[string]bool{
		"immudb://u:p@127.0.0.1,127.0.0.2/d?read_routing=replica":                               true,
		"immudb://u:p@127.0.0.1,127.0.0.2/d?read_routing=replica&verify=trust-first-use,writes": true,
		"immudb://u:p@127.0.0.1,127.0.0.2/d?read_routing=primary":                               true,
		"immudb://u:p@127.0.0.1/d?read_routing=replica":                                         false,
		"immudb://u:p@127.0.0.1,127.0.0.2/d?read_routing=replica&target_session_attrs=any":      false,
		"immudb://u:p@127.0.0.1,127.0.0.2/d?read_routing=replica&verify=trust-first-use,reads":  false,
		"immudb://u:p@127.0.0.1,127.0.0.2/d?read_routing=both":                                  false,
	} {
		db, err := sql.Open("immudb", dsn)
		if (err == nil) != valid {
			t.Errorf("%s: %v", dsn, err)
		}
		if err == nil {
			db.Close()
		} else if !strings.Contains(err.Error(), "read_routing: ") {
			t.Errorf("%s: the error does not name the option: %v", dsn, err)
		}
	}
}
