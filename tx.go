package immudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/wire"
)

var _ driver.Tx = (*tx)(nil)

// tx is a transaction on the server, named by its tokens. The server lets go of
// it when a write in it fails; from then on err says why.
type tx struct {
	conn     *Conn
	tokens   TransactionTokens
	md       context.Context // as the session's, with the transaction's tokens too
	readOnly bool
	report   *CommitInfo // where the program wants the commit described, or nil

	err   error      // the failure that ended the transaction, or nil
	wrote bool       // it holds something to commit, for certain
	rows  *resultSet // rows that the server may still be sending, or nil

	changes int // how often the catalog had changed when it began

	// tables is what this transaction knows of tables once it has changed the
	// catalog, which others do not see yet; nil before.
	tables map[string]*table
}

// TxOptions are the server's own options for a transaction, beyond those of
// sql.TxOptions. They reach sql.DB.BeginTx through [WithTxOptions].
type TxOptions struct {
	// SnapshotMustIncludeTx is the id of a transaction that this one must see:
	// the server waits until it is indexed. 0: whatever is indexed; then a
	// transaction still sees all that was committed before it began, unless
	// SnapshotRenewalPeriod allows less.
	SnapshotMustIncludeTx uint64
	// SnapshotRenewalPeriod lets the transaction read from a shared snapshot up
	// to this old, in whole milliseconds. 0: the server's default.
	SnapshotRenewalPeriod time.Duration
	// UnsafeMVCC lets the commit go ahead without waiting for the server's index
	// to catch up: a conflict with a transaction committed a moment before may
	// then go unnoticed.
	UnsafeMVCC bool
}

type txOptionsKey struct{}

// WithTxOptions returns a context that makes sql.DB.BeginTx, [RunTx] and the
// transactions that the driver begins by itself use opts.
func WithTxOptions(ctx context.Context, opts TxOptions) context.Context {
	return context.WithValue(ctx, txOptionsKey{}, opts)
}

// BeginTx begins a transaction. LevelDefault, LevelSnapshot and
// LevelSerializable name what the server does: a snapshot for reading, and a
// commit that fails with [ErrConflict] if what was read has changed since. Other
// levels are refused. A read-only transaction cannot write.
func (c *Conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	switch level := sql.IsolationLevel(opts.Isolation); level {
	case sql.LevelDefault, sql.LevelSnapshot, sql.LevelSerializable:
	default:
		return nil, unsupported(fmt.Sprintf("isolation level %s is not supported: use sql.LevelSerializable, "+
			"which is what the server does, or sql.LevelDefault", level))
	}
	if c.tx != nil {
		return nil, unsupported("a transaction is open on this connection: the server does not nest them")
	}
	return c.begin(ctx, opts.ReadOnly)
}

func (c *Conn) begin(ctx context.Context, readOnly bool) (*tx, error) {
	opts, _ := ctx.Value(txOptionsKey{}).(TxOptions)
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
	var ans wire.NewTx
	for resumed := false; ; resumed = true {
		sent, err := wire.Call(c.session.context(ctx, c.session.md), c.session.cc, wire.MethodNewTx, req.Append(nil), &ans)
		if err == nil {
			break
		}
		// A transaction nobody can name lives as long as its session.
		c.lost = sent && answerLost(err)
		if again, err := c.resume(ctx, c.failed(ctx, err, sent, ""), resumed); !again {
			return nil, err
		}
	}
	t := &tx{conn: c, tokens: TransactionTokens{TransactionID: ans.ID}, readOnly: readOnly, changes: changes}
	t.md = metadata.NewOutgoingContext(context.Background(), c.session.tokens.metadata(t.tokens))
	t.report, _ = ctx.Value(commitInfoKey{}).(*CommitInfo)
	c.tx = t
	c.session.txs.Add(1)
	return t, nil
}

// endTimeout bounds Commit and Rollback, which run on a context of their own: a
// canceled request must not leave a commit half told.
const endTimeout = 30 * time.Second

// Commit commits. If it fails with [ErrOutcomeUnknown] the transaction may have
// been committed; with any other error it was not.
func (t *tx) Commit() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	_, err := t.commit(ctx)
	return err
}

func (t *tx) commit(ctx context.Context) (wire.CommittedTx, error) {
	var committed wire.CommittedTx
	if err := t.settle(ctx); err != nil {
		t.leave()
		return committed, err
	}
	if t.readOnly {
		// The server refuses to commit what cannot have written.
		return committed, t.rollback(ctx)
	}
	c := t.conn
	t.err = sql.ErrTxDone
	c.aboutToCommit()
	sent, err := wire.Call(c.session.context(ctx, t.md), c.session.cc, wire.MethodCommit, nil, &committed)
	if t.tables != nil {
		c.connector.catalog.forget() // also if nobody knows what became of it
	}
	if err != nil {
		c.lost = !sent || answerLost(err) // then it may still be open on the server
		err = c.failed(ctx, err, sent, "COMMIT")
		t.leave()
		if !sent {
			err = &Error{Message: "COMMIT could not be sent, nothing was committed", SQLState: "08003", kind: ErrSessionLost, cause: err, safe: true}
		}
		return committed, err
	}
	t.leave()
	t.report.add(committed)
	return committed, c.proveCommits(ctx, t.wrote, committed)
}

// Rollback ends the transaction and undoes what it did. It fails only if the
// server cannot be asked; then the transaction ends with its session.
func (t *tx) Rollback() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if t.err != nil {
		t.leave()
		return nil
	}
	if t.rows != nil {
		t.rows.ctx.cancel() // who reads on gets an error
		t.rows = nil
	}
	return t.rollback(ctx)
}

func (t *tx) rollback(ctx context.Context) error {
	c := t.conn
	t.err = sql.ErrTxDone
	sent, err := wire.Call(c.session.context(ctx, t.md), c.session.cc, wire.MethodRollback, nil, wire.Empty)
	if err != nil {
		lost := !sent || answerLost(err)
		err = c.failed(ctx, err, sent, "")
		t.leave()
		if errors.Is(err, ErrSessionLost) || errors.Is(err, ErrTxAborted) {
			return nil // gone already, which is what was asked for
		}
		c.lost = c.lost || lost
		return err
	}
	t.leave()
	return nil
}

// leave ends the transaction on its connection.
func (t *tx) leave() {
	if t.conn.tx == t {
		t.conn.tx = nil
		t.conn.connector.leaveTx(t.conn.session)
	}
}

// abandon ends a transaction that nobody will end.
func (t *tx) abandon() {
	if t.Rollback() != nil {
		t.conn.lost = true
	}
}

// giveUp is abandon for who cannot wait.
func (t *tx) giveUp(err error) {
	t.abort(err, false)
	t.leave()
}

// abort notes that err ended the transaction. The server is told unless it
// ended it itself: a failed write may have been done in part, and committing
// the rest must not remain possible. Nobody waits for that.
func (t *tx) abort(err error, serverKnows bool) {
	if t.err != nil {
		return
	}
	t.err = err
	if serverKnows || t.conn.lost {
		return
	}
	s := t.conn.session
	t.conn.connector.inBackground(func(ctx context.Context) {
		if _, err := wire.Call(s.context(ctx, t.md), s.cc, wire.MethodRollback, nil, wire.Empty); err != nil && answerLost(err) {
			t.conn.connector.retire(s) // the transaction ends with its session
		}
	})
}

// aborted is what every call on an ended transaction gets.
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

// settle makes the transaction ready for the next call, within ctx, or says why
// it is not: it receives the rest of the rows being read, if there are any,
// because the server must not work on two statements of one transaction at once.
func (t *tx) settle(ctx context.Context) error {
	if set := t.rows; set != nil && t.err == nil {
		t.rows = nil
		if err := set.buffer(ctx); err != nil {
			t.abort(err, false)
		}
	}
	if t.err != nil {
		return t.aborted()
	}
	return nil
}

// exec runs the statements of a text, counting what they write.
func (t *tx) exec(ctx context.Context, txt *text, args []driver.NamedValue) (*result, error) {
	if err := t.admit(txt); err != nil {
		return nil, err
	}
	res := &result{idErr: errNoInsert}
	for i := range txt.statements {
		if err := t.execStatement(ctx, txt, &txt.statements[i], args, res); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// admit refuses a text that cannot be run in this transaction.
func (t *tx) admit(txt *text) error {
	if t.err != nil {
		return t.aborted()
	}
	if txt.enclosed {
		return unsupported("BEGIN in a transaction is not supported: the server does not nest them")
	}
	switch kind := txt.statements[0].Kind; kind {
	case sqltext.UseDatabase, sqltext.CreateDatabase:
		return unsupported(kind.String() + " is not supported in a transaction: it is not part of one")
	}
	if slices.ContainsFunc(txt.statements, func(st sqltext.Statement) bool { return st.SelfSelect }) {
		return errSelfSelect
	}
	return nil
}

// execStatement runs one statement and adds what it did to res.
//
// TxSQLExec answers with nothing, so rows are counted by a RETURNING clause of
// our own: RETURNING NULL gives a row per affected row, the AUTO_INCREMENT
// column also the keys.
func (t *tx) execStatement(ctx context.Context, txt *text, st *sqltext.Statement, args []driver.NamedValue, res *result) error {
	switch {
	case st.Kind.IsQuery():
		set, err := t.queryStatement(ctx, txt, st, args)
		if err != nil {
			return err
		}
		_, _, err = set.count()
		t.rows = nil
		return err
	case !st.Kind.IsDML():
		return t.execUncounted(ctx, txt, st, args, res)
	}
	column := ""
	if st.Kind == sqltext.Insert || st.Kind == sqltext.Upsert {
		tab, err := t.conn.table(ctx, st.Table)
		if err != nil && !errors.Is(err, ErrNoSuchTable) { // the statement will say so itself
			return t.writeFailed(err)
		}
		if tab != nil {
			column = tab.autoIncrement
		}
	}
	sql := st.Text[:st.Returning.End] + " RETURNING NULL"
	if column != "" {
		sql = st.Text[:st.Returning.End] + " RETURNING " + quoteName(column)
	}
	n, last, err := t.writeCounted(ctx, sql, txt, st, args)
	if errors.Is(err, ErrSyntax) && t.err == nil {
		// Either the statement is wrong, which this will tell, or the server is
		// older than RETURNING (1.11).
		return t.execUncounted(ctx, txt, st, args, res)
	}
	if err != nil {
		return err
	}
	res.rows += n
	if column == "" || n == 0 {
		return nil
	}
	if id, ok := last.(int64); ok {
		res.id, res.idErr = id, nil
	} else {
		t.conn.connector.catalog.forget() // another client has changed the table
		res.id, res.idErr = 0, newError(nil, "", "no last insert id: the table was changed by another client")
	}
	return nil
}

// execUncounted runs a statement through TxSQLExec, which answers with nothing.
func (t *tx) execUncounted(ctx context.Context, txt *text, st *sqltext.Statement, args []driver.NamedValue, res *result) error {
	err := t.call(ctx, wire.MethodTxSQLExec, st.Text[:st.Returning.End], txt, st, args, wire.Empty)
	if err != nil {
		t.abort(err, errors.Is(err, ErrTxAborted))
		return err
	}
	t.wrote = t.wrote || mustWrite(*st)
	if st.Kind.ChangesCatalog() {
		t.tables = make(map[string]*table)
	}
	if st.Kind != sqltext.DDL && st.Kind != sqltext.Access {
		res.rowsErr = errNotCounted
		if st.Kind.IsDML() {
			res.rowsErr, res.idErr = errNoReturning, errNoReturning
		}
	}
	return nil
}

var errNoReturning = newError(ErrUnsupported, "0A000", "this server does not count rows in a transaction: it is older than 1.11, "+
	"which brought RETURNING; run the statement outside a transaction to know")

// call runs one statement, as sql, by a unary call.
func (t *tx) call(ctx context.Context, method, sql string, txt *text, st *sqltext.Statement, args []driver.NamedValue, ans wire.Answer) error {
	req, err := appendRequest(make([]byte, 0, len(sql)+24*len(args)+8), sql, txt.Query, st, args)
	if err != nil {
		return err
	}
	if err := t.settle(ctx); err != nil {
		return err
	}
	c := t.conn
	sent, err := wire.Call(c.session.context(ctx, t.md), c.session.cc, method, req, ans)
	if err != nil {
		return c.failed(ctx, err, sent, "")
	}
	return nil
}

// writeCounted runs a statement with a RETURNING clause of one column and returns
// how many rows it answers, and the last one's value. A failure is write's.
func (t *tx) writeCounted(ctx context.Context, sql string, txt *text, st *sqltext.Statement, args []driver.NamedValue) (n int64, last driver.Value, err error) {
	if st.NumRows != 1 {
		set, err := t.write(ctx, sql, txt, st, args)
		if err != nil {
			return 0, nil, err
		}
		return set.count()
	}
	// One row is one message. A unary call has it without the goroutine and the
	// contexts of a stream: 2 to 3 % of the wall of a statement.
	var ans wire.Returned
	if err := t.call(ctx, wire.MethodTxSQLQuery, sql, txt, st, args, &ans); err != nil {
		return 0, nil, t.writeFailed(err)
	}
	t.wrote = t.wrote || ans.Rows > 0 || mustWrite(*st)
	return ans.Rows, ans.Last, nil
}

// write runs a statement with a RETURNING clause and receives all it answers. A
// failure ends the transaction: the server keeps it open with the statement half
// done, which is no use to anybody.
func (t *tx) write(ctx context.Context, sql string, txt *text, st *sqltext.Statement, args []driver.NamedValue) (*resultSet, error) {
	if err := t.settle(ctx); err != nil {
		return nil, err
	}
	set, err := t.conn.stream(ctx, t, sql, txt, st, args)
	if err == nil {
		err = set.buffer(ctx)
	}
	if err != nil {
		return nil, t.writeFailed(err)
	}
	t.wrote = t.wrote || set.batch.HasRow() || mustWrite(*st)
	return set, nil
}

// writeFailed ends the transaction, but for a syntax error, of which the caller
// finds out what it is. It returns err.
func (t *tx) writeFailed(err error) error {
	if !errors.Is(err, ErrSyntax) {
		t.abort(err, false)
	}
	return err
}

var errTooOldForReturning = unsupported("RETURNING is not supported by this server: it came with immudb 1.11; " +
	"run the statement with Exec and query for what it wrote")

// knowsReturning reports whether the server can read a RETURNING clause: then it
// finds something else wrong with this one.
func (c *Conn) knowsReturning(ctx context.Context) bool {
	q, err := c.connector.texts.parse("DELETE FROM no_table_of_this_name RETURNING id")
	if err != nil {
		return true
	}
	set, err := c.stream(ctx, nil, q.Text, q, &q.statements[0], nil)
	if err == nil {
		set.close()
	}
	return !errors.Is(err, ErrSyntax)
}

// queryStatement runs one statement that answers rows.
func (t *tx) queryStatement(ctx context.Context, txt *text, st *sqltext.Statement, args []driver.NamedValue) (*resultSet, error) {
	if st.Kind.IsDML() {
		if err := t.conn.checkReturning(ctx, st); err != nil {
			return nil, err
		}
		set, err := t.write(ctx, st.Text, txt, st, args)
		if errors.Is(err, ErrSyntax) {
			if !t.conn.knowsReturning(ctx) {
				err = errTooOldForReturning
			}
			t.abort(err, false)
		}
		return set, err
	}
	if err := t.settle(ctx); err != nil {
		return nil, err
	}
	set, err := t.conn.stream(ctx, t, st.Text, txt, st, args)
	if err != nil {
		t.queryFailed(ctx, err)
		return nil, err
	}
	t.rows = set
	set.tx = t
	return set, nil
}

// queryFailed ends the transaction if it must. A query that the server refuses or
// gives up leaves the transaction as it was. One whose answer broke, or could not
// be read, may still be running.
func (t *tx) queryFailed(ctx context.Context, err error) {
	switch {
	case errors.Is(err, ErrTxAborted) || t.conn.lost:
		t.abort(err, true)
	case ctx.Err() != nil || t.conn.session.suspect.Load():
		t.abort(err, false)
	}
}
