package immudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
	"github.com/immudb-go/immudb/internal/wire"
	"github.com/immudb-go/immudb/internal/written"
)

var _ driver.Tx = (*tx)(nil)

// tx is a transaction. When a write in it fails, the server ends it; err is then
// the reason.
type tx struct {
	conn     *Conn
	server   *session.Tx
	replica  *session.Link // that it is on; nil: it is on the primary
	answered bool          // the replica has answered a query of it
	outdated *session.Link // the replica that it was on, if that may have an outdated catalog
	readOnly bool
	report   *commitReport // where the program wants the commit described, or nil

	// values is BeginTx's context without its end. Commit and Rollback get no context
	// from database/sql, and what traces them needs the values.
	values context.Context

	// trusted is a transaction that its snapshot must contain: the newest one that was
	// trusted when it began; 0: none.
	trusted uint64

	snapshots *snapshots // nil: they are not checked

	begin []byte // the request that began it
	log   *txLog // what its savepoints need; nil: it has none

	err   error      // the failure that ended the transaction, or nil
	ended bool       // server.End or server.Undo has been called
	wrote bool       // it has certainly written something
	rows  *resultSet // rows that the server may still be sending, or nil

	changes int       // how often the catalog had changed when it began
	lookups []*lookup // of tables that the statement being run relies on

	// tables caches this transaction's view of tables after it has changed the
	// catalog, which other transactions do not see yet; nil before.
	tables map[string]*table
	// written are the tables that this transaction has written to, see [Conn.guard].
	written rules.Written
	// inserted counts the rows that INSERTs have added, each an entry of its own.
	inserted int64
	// sent is what was sent to be written, with verify=writes.
	sent written.Writes
	// schema is how this transaction has changed the schema; nil: not at all.
	schema *schemaChange
}

// TxOptions are the server's own options for a transaction, beyond those of
// sql.TxOptions. They reach sql.DB.BeginTx through [WithTxOptions].
type TxOptions struct {
	// SnapshotMustIncludeTx is the id of a transaction that this one must see:
	// the server waits until it is indexed. 0: none; a transaction still sees all
	// that was committed before it began, unless SnapshotRenewalPeriod allows an
	// older snapshot.
	SnapshotMustIncludeTx uint64
	// SnapshotRenewalPeriod lets the transaction read from a shared snapshot up
	// to this old, in whole milliseconds. 0: the server's default.
	SnapshotRenewalPeriod time.Duration
	// UnsafeMVCC makes the commit not wait until the server's index is up to date.
	// A conflict with a transaction that was committed just before may then be
	// missed.
	UnsafeMVCC bool
}

type txOptionsKey struct{}

// WithTxOptions returns a context that makes sql.DB.BeginTx, [RunTx] and the
// transactions that the driver begins by itself use opts.
func WithTxOptions(ctx context.Context, opts TxOptions) context.Context {
	return context.WithValue(ctx, txOptionsKey{}, opts)
}

// BeginTx begins a transaction. All have one isolation, which is that of
// LevelSerializable: what is read is of one moment (see [WithSnapshot] for its limits),
// and a commit fails with [ErrConflict] if what was read has changed since. The weaker levels are taken for
// it, as the SQL standard allows: what they promise holds, and programs that name one
// need no change. LevelLinearizable is refused, because a replica may not have all that
// was committed. A read-only transaction cannot write.
func (c *Conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if level := sql.IsolationLevel(opts.Isolation); level > sql.LevelSerializable {
		return nil, unsupported(fmt.Sprintf("isolation level %s is not supported: use sql.LevelSerializable, "+
			"which is what every transaction has", level))
	}
	if c.tx != nil {
		return nil, unsupported("a transaction is open on this connection: the server does not nest them")
	}
	tracing, op := c.trace(ctx, TraceBegin, "", "", 0, nil)
	var t *tx
	err := c.waitForRoom(tracing, func() (err error) {
		t, err = c.beginAtOneMoment(tracing, opts.ReadOnly)
		return err
	})
	op.end(tracing, err)
	if err != nil {
		return nil, err
	}
	if op != nil {
		t.values = context.WithoutCancel(ctx) // the end is beside the beginning, not within it
	}
	t.log = c.newLog()
	return t, nil
}

// beginAtOneMoment begins a transaction with the snapshots of [WithSnapshot].
func (c *Conn) beginAtOneMoment(ctx context.Context, readOnly bool) (*tx, error) {
	tables := snapshotOf(ctx)
	for try := 1; ; try++ {
		t, err := c.begin(ctx, readOnly)
		if err != nil || len(tables) == 0 {
			return t, err
		}
		if err = t.openSnapshots(ctx, tables); err == nil {
			return t, nil
		}
		t.giveUp(err)
		if !errors.Is(err, ErrConflict) || try > c.connector.cfg.MaxRetries {
			return nil, err
		}
	}
}

func (c *Conn) begin(ctx context.Context, readOnly bool) (*tx, error) {
	opts, _ := ctx.Value(txOptionsKey{}).(TxOptions)
	m, err := c.newSnapshots(ctx, opts, readOnly)
	if err != nil {
		return nil, err
	}
	req := wire.NewTxRequest{
		Mode:                  wire.ReadWrite,
		SnapshotMustIncludeTx: opts.SnapshotMustIncludeTx,
		SnapshotRenewalPeriod: opts.SnapshotRenewalPeriod,
		UnsafeMVCC:            opts.UnsafeMVCC,
	}
	if readOnly {
		req.Mode = wire.ReadOnly
	} else if err := c.readyToProve(ctx); err != nil {
		return nil, err
	}
	changes := c.connector.catalog.changed()
	bytes, host := req.Append(nil), c.Host()
	var server *session.Tx
	var replica *session.Link
	var trusted uint64
	if c.connector.cfg.Verify.Reads && m != nil {
		trusted = c.prover().Trusted().TxID
	}
	if readOnly && c.connector.replicas != nil {
		server, replica = c.beginOnReplica(ctx, req, m)
	}
	if server == nil {
		asked := m.ask(ctx, c.session())
		server, err = c.beginOnServer(ctx, bytes)
		asked()
		if err != nil {
			return nil, err
		}
	}
	c.tx = &tx{conn: c, server: server, replica: replica, values: context.WithoutCancel(ctx), snapshots: m, begin: bytes, trusted: trusted, readOnly: readOnly, changes: changes, report: reportOf(ctx)}
	if !readOnly {
		if err := c.checkHost(ctx, begins, host); err != nil {
			c.tx.abandon()
			return nil, err
		}
	}
	if f := m.begins(ctx, server.Session()); f != nil {
		err := c.callFailed(server.Session(), reads, "", f)
		c.tx.abandon()
		return nil, err
	}
	return c.tx, nil
}

// beginOnServer begins a transaction on the server.
func (c *Conn) beginOnServer(ctx context.Context, req []byte) (server *session.Tx, err error) {
	err = c.inSession(ctx, begins, "", func(*session.Session) (f *wire.Failure) {
		server, f = c.lease.Begin(ctx, req)
		return f
	})
	return server, err
}

// Commit commits. If it fails with [ErrOutcomeUnknown] the transaction may have
// been committed; with any other error it was not.
func (t *tx) Commit() error {
	ctx, cancel := context.WithTimeout(t.values, endTimeout)
	defer cancel()
	ctx, op := t.conn.trace(ctx, TraceCommit, "", "", 0, nil)
	_, err := t.commit(ctx)
	op.end(ctx, err)
	return err
}

func (t *tx) commit(ctx context.Context) (wire.CommittedTx, error) {
	var committed wire.CommittedTx
	if err := t.settle(ctx); err != nil {
		if t.err == nil {
			t.abort(err, txUndo) // unread rows prevent the commit
		}
		t.leave()
		return committed, err
	}
	if t.readOnly {
		// The server refuses to commit a read-only transaction.
		err := t.rollback(ctx)
		if t.replica != nil || errors.Is(err, ErrUnreachable) {
			err = nil // all was read, and a server that is gone has ended the transaction
		}
		return committed, err
	}
	c := t.conn
	if t.schema != nil {
		done, err := c.beforeSchemaChange(ctx)
		if err != nil {
			t.abort(err, txUndo)
			t.leave()
			return committed, err
		}
		defer done()
	}
	f, err := t.commitOnServer(ctx, &committed)
	if t.tables != nil {
		c.connector.catalog.forget() // also if the outcome is unknown
	}
	if f != nil {
		t.saw(f)
		err = t.failed(commits, "COMMIT", f)
	}
	if err != nil {
		c.schemaChanged(t.schema, err)
		t.err = sql.ErrTxDone
		t.leave()
		return committed, err
	}
	t.err = sql.ErrTxDone
	t.leave()
	t.report.add(committed)
	c.sawCommits(t.server.Session(), committed)
	c.schemaChanged(t.schema, nil)
	if err := c.proveCommits(ctx, t.wrote, t.sentWrites(), committed); err != nil {
		return committed, err
	}
	switch {
	case committed.TxID == 0:
		return committed, t.hasOnlyRead(ctx)
	case t.schema == nil:
		return committed, nil
	}
	return committed, c.showSchemaChange(ctx, t.schema)
}

// Rollback ends the transaction and undoes what it did. If the server cannot be
// reached it returns an error, and the driver repeats the rollback in the background.
func (t *tx) Rollback() (err error) {
	ctx, cancel := context.WithTimeout(t.values, endTimeout)
	defer cancel()
	ctx, op := t.conn.trace(ctx, TraceRollback, "", "", 0, nil)
	defer func() { op.end(ctx, err) }()
	if t.err != nil {
		t.leave()
		return nil
	}
	if t.rows != nil {
		t.rows.ctx.Cancel() // further reads of the rows fail
		t.rows = nil
	}
	return t.rollback(ctx)
}

func (t *tx) rollback(ctx context.Context) (err error) {
	if f := t.server.Call(ctx, wire.MethodRollback, nil, wire.Empty); f != nil {
		err = t.failed(rollsBack, "", f)
	}
	t.err = sql.ErrTxDone
	t.leave()
	return err
}

// leave detaches the transaction from its connection, which can then begin another.
func (t *tx) leave() {
	if !t.ended {
		t.ended = true
		t.server.End()
	}
	if t.conn.tx == t {
		t.conn.tx = nil
	}
}

// abandon rolls back a transaction that its caller has not ended.
func (t *tx) abandon() { _ = t.Rollback() } // after a failure the driver repeats it in the background

// giveUp is abandon without waiting for the server.
func (t *tx) giveUp(err error) {
	t.abort(err, txUndo)
	t.leave()
}

// failed applies the outcome of a failed call to the transaction and returns the
// caller's error.
func (t *tx) failed(kind callKind, name string, f *wire.Failure) error {
	if f.Fate == wire.NoSession {
		t.server.Session().Lost()
	}
	err := t.conn.callFailed(t.server.Session(), kind, name, f)
	if f.Class == wire.Replica && t.server.Session().SetAside() {
		if e, ok := err.(*Error); ok {
			e.safe = true // the next transaction begins on another server
		}
	}
	t.abort(err, outcomeOf(kind, f).tx)
	return err
}

// abort records that err ended the transaction, unless fate is txStays. With txUndo
// it also rolls the transaction back on the server, in the background: a failed
// write may have been done in part, and that part must never be committed.
func (t *tx) abort(err error, fate txFate) {
	if t.err != nil || fate == txStays {
		return
	}
	t.err = err
	if fate == txUndo && !t.ended {
		t.ended = true
		t.server.Undo()
	}
}

// aborted is the error of every call in an ended transaction.
func (t *tx) aborted() error {
	if t.err == sql.ErrTxDone {
		return sql.ErrTxDone
	}
	return &Error{
		Message:  "the transaction was aborted by an earlier error, nothing of it is committed",
		SQLState: "25P02",
		kind:     ErrTxAborted,
		cause:    t.err,
		safe:     isRetryable(t.err),
	}
}

// settle makes the transaction ready for the next call, within ctx. It receives
// the remaining rows of the query being read, because the server must not run two
// statements of one transaction at once. If they are too large to keep, settle
// returns errRowsInTheWay, and the rows can still be read.
func (t *tx) settle(ctx context.Context) error {
	if set := t.rows; set != nil && t.err == nil {
		err := set.buffer(ctx)
		switch {
		case err == errRowsInTheWay:
			return err
		case err != nil:
			t.abort(err, txUndo)
		}
		t.rows = nil
	}
	if t.err != nil {
		return t.aborted()
	}
	return nil
}
