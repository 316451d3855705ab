package immudb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/immudb-go/immudb/internal/moment"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/wire"
)

// The server (v1.11.1) takes no snapshot of a database when a transaction begins. It takes
// one of each index when the transaction first reads that index. What others commit in
// between shows in the second index and not in the first. A transaction that writes is
// safe: its commit fails if anything that it read has changed since. For the others, the
// driver compares the state of the server before the first snapshot with its state after
// the last one, and looks at what was committed between the two. If that may have torn the
// snapshots apart, it asks everything again in another transaction, whose snapshots are of
// one moment. The answers were right if they are the same there.

type snapshotKey struct{}

// WithSnapshot returns a context that makes sql.DB.BeginTx and [RunTx] begin a transaction
// that reads the named tables as they were at one moment. The names are those that TABLES()
// has; a view has no snapshot, its tables have.
//
// Transactions need that only on a busy server, because the driver checks by itself that what
// they have read is of one moment: those that are read-only after each query that reads
// another table or index, the others when they are committed and have written nothing. If it
// cannot be sure, the query or the commit fails with [ErrConflict], and [RunTx] begins the
// next try with WithSnapshot and the tables that the try has read.
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

// snapshots are what is known of the snapshots of a transaction.
type snapshots struct {
	moment.Snapshots
	exact bool             // since is asked for when the transaction begins
	since uint64           // the server's newest transaction before the first snapshot
	of    *session.Session // that was asked for it; nil: none was

	ran []*sqltext.Statement // in a transaction that may write: Snapshots gets them at its end
}

// onlyReadMemory is for how long a connector remembers that a transaction that could write has
// only read several tables. Others like it can then be checked with two calls.
const onlyReadMemory = time.Minute

// newSnapshots returns nil if the transaction may read older snapshots.
func (c *Conn) newSnapshots(ctx context.Context, opts TxOptions, readOnly bool) (*snapshots, error) {
	fixed := len(snapshotOf(ctx)) > 0
	if opts.SnapshotRenewalPeriod != 0 || opts.SnapshotMustIncludeTx != 0 {
		if fixed {
			return nil, unsupported("WithSnapshot beside TxOptions that allow an older snapshot: leave SnapshotMustIncludeTx and SnapshotRenewalPeriod at 0")
		}
		return nil, nil
	}
	recent := time.Since(time.Unix(0, c.connector.onlyRead.Load())) < onlyReadMemory
	return &snapshots{exact: readOnly || fixed || recent}, nil
}

// ask asks a server for its newest transaction, beside the call that begins the transaction
// there. The function that it returns waits for the answer.
func (m *snapshots) ask(ctx context.Context, s *session.Session) (wait func()) {
	var asked sync.WaitGroup
	if m == nil || !m.exact {
		return asked.Wait
	}
	asked.Go(func() {
		if tx, f := s.Head(ctx); f == nil {
			m.since, m.of = tx, s
		}
	})
	return asked.Wait
}

// begins asks the server on which the transaction has begun, unless it has been asked.
func (m *snapshots) begins(ctx context.Context, s *session.Session) (f *wire.Failure) {
	if m != nil && m.exact && m.of != s {
		m.of = s
		m.since, f = s.Head(ctx)
	}
	return f
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

// isTorn reports whether the snapshots of the transaction may be of different moments.
func (t *tx) isTorn(ctx context.Context) (bool, error) {
	m, s := t.snapshots, t.server.Session()
	now, f := s.Head(ctx)
	changed := 0
	if f == nil && now > m.since && now-m.since <= maxBetween {
		changed, f = changedTables(ctx, s, m.since, now)
	}
	if f != nil {
		return false, t.conn.callFailed(s, readsInTx, "", f)
	}
	if now < m.since || now-m.since > maxBetween || m.Torn(changed) {
		return true, nil
	}
	if changed == 0 {
		m.since = now
	}
	return false, nil
}

// atOneMoment returns a conflict if the snapshots of the transaction may be of different
// moments.
func (t *tx) atOneMoment(ctx context.Context) error {
	torn, err := t.isTorn(ctx)
	if torn {
		t.conn.connector.tally.conflicts.Add(1)
		tables, _ := t.tablesRead(ctx)
		e := newError(ErrConflict, "40001", "other transactions have changed tables between the first reads of this one")
		e.remedy = fmt.Sprintf("run it again with RunTx, or begin it with WithSnapshot of %s", strings.Join(tables, ", "))
		e.safe, e.tables = true, tables
		return e
	}
	return err
}

// tablesRead returns the tables that the transaction has read, and other names, of views.
func (t *tx) tablesRead(ctx context.Context) (tables, views []string) {
	for _, name := range t.snapshots.Read() {
		if t.describes(ctx, name) != nil {
			tables = append(tables, name)
		} else {
			views = append(views, name)
		}
	}
	return tables, views
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

// indexes counts the indexes of tables.
func (t *tx) indexes(ctx context.Context) moment.Indexes {
	return func(name string) (n int, ok bool) {
		known := t.describes(ctx, name)
		if known == nil {
			return 0, false
		}
		return 1 + len(known.Indexes), true
	}
}

// reads records a statement of a transaction that may write, and has not.
func (t *tx) reads(st *sqltext.Statement) {
	if t.snapshots != nil && !t.readOnly && !t.wrote {
		t.snapshots.ran = append(t.snapshots.ran, st)
	}
}

// lateAhead is how many bytes of an answer the driver receives, before the caller gets the first row,
// if the server may take a snapshot until the last one. An answer that is not longer can be
// asked for again, and the caller does not notice.
const lateAhead = 64 << 10

// hasRead checks a read-only transaction after the beginning of an answer. moved reports that the
// query must be run again, because the transaction has got other snapshots: up to maxMoves times,
// because a view reads tables that the driver does not know.
func (t *tx) hasRead(ctx context.Context, set *resultSet, st *sqltext.Statement, tries int) (moved bool, err error) {
	if t.snapshots == nil || !t.readOnly {
		return false, nil
	}
	switch t.snapshots.Run(st, t.indexes(ctx)) {
	case moment.None:
		return false, nil
	case moment.Late:
		set.tx = t
		if err := set.receiveAll(ctx, lateAhead); err == errRowsInTheWay {
			set.late = true
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	err = t.atOneMoment(ctx)
	if errors.Is(err, ErrConflict) && t.canAskAgain() && tries <= maxMoves {
		t.log.Drop()
		moved, err = true, t.move(ctx, err)
	}
	if err != nil {
		t.abort(err, txUndo)
	}
	return moved, err
}

// hasReadAll checks a read-only transaction at the end of a long answer, until which the server
// may have taken a snapshot.
func (t *tx) hasReadAll(ctx context.Context) error {
	err := t.atOneMoment(ctx)
	if errors.Is(err, ErrConflict) && t.canAskAgain() {
		err = t.move(ctx, err)
	}
	if err != nil {
		t.abort(err, txUndo)
	}
	return err
}

// move asks everything again in another transaction, and goes on with that one.
func (t *tx) move(ctx context.Context, torn error) error {
	fresh, err := t.again(ctx, torn)
	if err != nil {
		return err
	}
	t.server.Undo()
	t.server, t.replica, t.answered, t.snapshots, t.changes = fresh.server, fresh.replica, fresh.answered, fresh.snapshots, fresh.changes
	return nil
}

// hasOnlyRead checks a transaction that could write, after its commit has written nothing.
func (t *tx) hasOnlyRead(ctx context.Context) error {
	m := t.snapshots
	if m == nil {
		return nil
	}
	several := false
	for _, st := range m.ran {
		several = m.Run(st, t.indexes(ctx)) != moment.None || several
	}
	if !several {
		return nil
	}
	t.conn.connector.onlyRead.Store(time.Now().UnixNano())
	var torn error
	if m.of == t.server.Session() {
		if torn = t.atOneMoment(ctx); torn == nil || !errors.Is(torn, ErrConflict) {
			return torn
		}
	}
	if torn == nil {
		torn = errManyReads
	}
	if !t.canAskAgain() {
		return torn
	}
	fresh, err := t.again(ctx, torn)
	if err == nil {
		fresh.giveUp(sql.ErrTxDone)
	}
	return err
}

var errManyReads = &Error{Message: "the transaction has read several tables, and the driver does not remember enough to find out whether others have changed them meanwhile: " +
	"begin it with WithSnapshot of them, or as a read-only one", SQLState: "40001", kind: ErrConflict, safe: true}

// maxAskedAgain is how many messages of answers are asked for again: rows come in messages of
// 2,048, so that takes less than a second.
const maxAskedAgain = 64

func (t *tx) canAskAgain() bool {
	return t.log != nil && !t.log.Full() && t.log.Messages() <= maxAskedAgain
}

// afterTornReads is why a transaction runs again, for errors.
const afterTornReads = "other transactions changed tables between the first reads of this one, and the driver asked everything again"

// again makes another transaction, whose snapshots are of one moment, and asks in it
// everything that this one has asked. It fails if an answer differs.
func (t *tx) again(ctx context.Context, torn error) (fresh *tx, err error) {
	c := t.conn
	tables, views := t.tablesRead(ctx)
	open := c.tx
	c.tx = nil
	fresh, err = c.beginAtOneMoment(WithSnapshot(ctx, tables...), t.readOnly)
	c.tx = open
	if err != nil {
		if errors.Is(err, ErrConflict) {
			err = torn
		}
		return nil, err
	}
	err = t.compare(ctx, fresh.server, afterTornReads, t.log.Calls())
	for _, name := range views {
		fresh.snapshots.ReadView(name)
	}
	if err == nil && len(views) > 0 {
		err = fresh.atOneMoment(ctx)
	}
	if err != nil {
		fresh.giveUp(err)
		c.tx = open
		return nil, err
	}
	return fresh, nil
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
		if t.snapshots.Fixed(name) {
			continue
		}
		t.snapshots.Fix(name, 1+len(known.Indexes))
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
