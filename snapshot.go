package immudb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
	"github.com/immudb-go/immudb/internal/wire"
)

// The server (v1.11.1) takes no snapshot of a database when a transaction begins. It takes
// one of each index when the transaction first reads that index. What others commit in
// between shows in the second index and not in the first. A transaction that writes is
// safe: its commit fails if anything that it read has changed since. For the others, the
// driver compares the state of the server before the first snapshot with its state after
// the last one, and reads what was committed between the two.

type snapshotKey struct{}

// WithSnapshot returns a context that makes sql.DB.BeginTx and [RunTx] begin a transaction
// that reads the named tables as they were at one moment. The names are those that TABLES()
// has; a view has no snapshot, its tables have.
//
// A read-only transaction needs that only on a busy server: it checks by itself that its
// tables are of one moment, and fails with [ErrConflict] if it cannot be sure. [RunTx] then
// begins the next try with WithSnapshot and the tables that the try has read. A transaction
// that writes needs it not at all. One that may write, and only reads, is not checked
// without WithSnapshot.
//
// The transaction begins with two or three calls more. They are repeated, as often as
// max_retries, while others commit changes of tables at the same moment; then BeginTx fails
// with [ErrConflict].
func WithSnapshot(ctx context.Context, tables ...string) context.Context {
	return context.WithValue(ctx, snapshotKey{}, slices.Concat(snapshotOf(ctx), tables))
}

func snapshotOf(ctx context.Context) []string {
	tables, _ := ctx.Value(snapshotKey{}).([]string)
	return tables
}

// moment is what is known of the snapshots of a transaction.
type moment struct {
	since uint64           // the server's newest transaction before the first snapshot
	of    *session.Session // that was asked for it; nil: none was

	statements map[string]bool // that were run
	indexes    map[string]int  // how many indexes of a table may have been read
	fixed      map[string]bool // tables of which WithSnapshot has read every index
}

func newMoment() *moment {
	return &moment{statements: make(map[string]bool), indexes: make(map[string]int), fixed: make(map[string]bool)}
}

// ask asks a server for its newest transaction, beside the call that begins the transaction
// there. The function that it returns waits for the answer.
func (m *moment) ask(ctx context.Context, s *session.Session) (wait func()) {
	if m == nil {
		return func() {}
	}
	var asked sync.WaitGroup
	asked.Go(func() {
		if tx, f := s.Head(ctx); f == nil {
			m.since, m.of = tx, s
		}
	})
	return asked.Wait
}

// begins asks the server on which the transaction has begun, unless it has been asked.
func (m *moment) begins(ctx context.Context, s *session.Session) (f *wire.Failure) {
	if m != nil && m.of != s {
		m.of = s
		m.since, f = s.Head(ctx)
	}
	return f
}

// opens records a query and reports whether it may have taken a snapshot when there was
// another one already. find describes a table, or returns nil if a name is not that of a
// table.
func (m *moment) opens(st *sqltext.Statement, find func(name string) *table) bool {
	if m.statements[st.Text] {
		return false // the server reads the same indexes
	}
	m.statements[st.Text] = true
	first, opened := len(m.indexes) == 0, 0
	tree.Inspect(st.Tree, func(n tree.Node) bool {
		if source, ok := n.(*tree.Table); ok {
			opened += m.opensTable(source.Name.Name, find)
		}
		return true
	})
	return opened > 1 || opened == 1 && !first
}

// opensTable records that a table is read, and returns how many snapshots that may take.
func (m *moment) opensTable(name string, find func(name string) *table) int {
	if m.fixed[name] {
		return 0
	}
	switch t := find(name); {
	case t == nil: // a view, which may read several tables
		m.indexes[name] += 2
		return 2
	case len(t.Indexes) == 0 && m.indexes[name] > 0:
		return 0
	default:
		m.indexes[name]++
		return 1
	}
}

// fix records that every index of a table has its snapshot.
func (m *moment) fix(name string, t *table) {
	m.fixed[name] = true
	m.indexes[name] = 1 + len(t.Indexes)
}

// torn reports whether the snapshots may be of different moments, if that many tables were
// changed since the first one. A change of one table can only be before all snapshots or
// after them, unless there are two of that table.
func (m *moment) torn(changed int) bool {
	for _, n := range m.indexes {
		if n > 1 {
			return changed > 0
		}
	}
	return changed > 1
}

// maxBetween is how many transactions between the first snapshot and the last are looked
// at. If there are more, the snapshots count as torn.
const maxBetween = 200

// changedTables counts the tables whose rows were changed by the transactions after since
// up to last.
func changedTables(ctx context.Context, s *session.Session, since, last uint64) (int, *wire.Failure) {
	var msg wire.Raw
	if f := s.Call(ctx, wire.MethodTxScan, wire.TxScanRequest(since+1, int(last-since), wire.KeysOnly), &msg); f != nil {
		return 0, f
	}
	txs, err := wire.DecodeTxs(msg)
	if err != nil {
		return 0, wire.Malformed(err.Error())
	}
	if len(txs) == 0 || txs[0].Header.ID != since+1 || uint64(len(txs)) < last-since {
		return 0, wire.Malformed("the server has left out transactions")
	}
	changed := make(map[uint32]bool)
	for _, tx := range txs {
		for i := range tx.Entries {
			if id, ok := proof.TableOfRow(tx.Entries[i].Key); ok {
				changed[id] = true
			}
		}
	}
	return len(changed), nil
}

// atOneMoment checks that all snapshots of the transaction are of one moment.
func (t *tx) atOneMoment(ctx context.Context) error {
	m, s := t.moment, t.server.Session()
	now, f := s.Head(ctx)
	changed := 0
	if f == nil && now > m.since && now-m.since <= maxBetween {
		changed, f = changedTables(ctx, s, m.since, now)
	}
	switch {
	case f != nil:
		return t.conn.callFailed(s, readsInTx, "", f)
	case now < m.since || now-m.since > maxBetween || m.torn(changed):
		t.conn.connector.tally.conflicts.Add(1)
		return t.tornError(ctx)
	case changed == 0:
		m.since = now
	}
	return nil
}

// tornError is the conflict of a transaction whose snapshots may be of different moments.
func (t *tx) tornError(ctx context.Context) *Error {
	e := newError(ErrConflict, "40001", "other transactions have changed tables between the first reads of this one")
	for name := range t.moment.indexes {
		if t.describes(ctx, name) != nil {
			e.tables = append(e.tables, name)
		}
	}
	slices.Sort(e.tables)
	e.remedy = fmt.Sprintf("run it again with RunTx, or begin it with WithSnapshot of %s", strings.Join(e.tables, ", "))
	e.safe = true
	return e
}

// describes returns what is remembered of a table, or asks the server. It returns nil if
// there is none.
func (t *tx) describes(ctx context.Context, name string) *table {
	c := t.conn
	key := c.Database() + "." + name
	if known, _ := c.connector.catalog.get(key); known != nil {
		return known
	}
	changes := c.connector.catalog.changed()
	known, err := c.describe(name, func(b bound) (*resultSet, error) { return t.readBeside(ctx, b) })
	if err != nil {
		return nil // a view, or the query itself has failed
	}
	c.connector.catalog.put(key, known, changes)
	return known
}

// hasRead checks a read-only transaction after a query in it.
func (t *tx) hasRead(ctx context.Context, st *sqltext.Statement) error {
	if t.moment == nil || !t.readOnly || !t.moment.opens(st, func(name string) *table { return t.describes(ctx, name) }) {
		return nil
	}
	return t.atOneMoment(ctx)
}

// openSnapshots has the server take a snapshot of every index of some tables, and checks
// that all are of one moment.
func (t *tx) openSnapshots(ctx context.Context, names []string) error {
	var text strings.Builder
	for _, name := range names {
		known := t.describes(ctx, name)
		if known == nil {
			return newError(ErrNoSuchTable, "42P01", fmt.Sprintf("WithSnapshot: there is no table %s", name))
		}
		if t.moment.fixed[name] {
			continue
		}
		t.moment.fix(name, known)
		for _, index := range append([][]string{known.Primary}, known.Indexes...) {
			if text.Len() > 0 {
				text.WriteString(" UNION ALL ")
			}
			var columns []string
			for _, column := range index {
				columns = append(columns, quoteName(column))
			}
			fmt.Fprintf(&text, "SELECT COUNT(*) FROM (SELECT %s FROM %s USE INDEX ON (%s) ORDER BY %[1]s LIMIT 1) AS s",
				columns[0], quoteName(name), strings.Join(columns, ", "))
		}
	}
	if text.Len() == 0 {
		return nil // the same tables twice
	}
	req := wire.AppendAcceptStream(wire.AppendSQL(nil, text.String()))
	var ans wire.Returned
	f := t.server.Call(ctx, wire.MethodTxSQLQuery, req, &ans)
	t.saw(f)
	if f != nil {
		return t.conn.callFailed(t.server.Session(), readsInTx, "", f)
	}
	return t.atOneMoment(ctx)
}
