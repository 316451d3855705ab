package immudb

import (
	"context"
	"database/sql/driver"
	"slices"
	"sync"
	"time"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/wire"
)

// ExecContext runs a query of one or several statements. Outside a transaction they
// run in one of their own, all or nothing, and the driver runs them again after an
// error that proves that nothing was committed, up to max_retries times.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	t, err := c.connector.queries.parse(query)
	if err != nil {
		return nil, err
	}
	return c.exec(ctx, t, args)
}

func (c *Conn) exec(ctx context.Context, t *query, args []driver.NamedValue) (driver.Result, error) {
	if len(t.statements) == 0 {
		if a := askOf(ctx); a != nil {
			return driver.ResultNoRows, a.answer(c)
		}
	}
	ctx, op := c.trace(ctx, TraceExec, t.Text, "", 0, nil)
	res, err := c.execFilled(ctx, t, args)
	op.end(ctx, err)
	return res, err
}

func (c *Conn) execFilled(ctx context.Context, t *query, args []driver.NamedValue) (driver.Result, error) {
	if t.savepoints {
		return c.execInSteps(ctx, t, args)
	}
	res, err := c.execOnce(ctx, t, args)
	if err != nil && t.unfilled(err) && c.tx == nil {
		res, err = c.execOnce(ctx, t, args)
	}
	if err != nil {
		return nil, c.ifTooOld(ctx, err)
	}
	return res, nil
}

func (c *Conn) execOnce(ctx context.Context, t *query, args []driver.NamedValue) (res driver.Result, err error) {
	if tx := c.tx; tx != nil {
		defer func() { err = tx.confirm(err) }()
	}
	t, args, err = c.ready(ctx, t, args)
	if err != nil {
		return nil, err
	}
	if len(t.statements) == 0 {
		return &result{idErr: errNoInsert}, nil // blanks and comments
	}
	for i := range t.statements {
		if err := c.checkReturning(ctx, &t.statements[i]); err != nil {
			return nil, err
		}
	}
	switch {
	case c.tx != nil:
		res, err := c.tx.exec(ctx, t, args)
		if err != nil {
			return nil, err
		}
		return res, nil
	case t.rolledBack:
		return c.execMixed(ctx, t, args)
	case t.reads:
		// The server parses a query sent to SQLExec and does not run it.
		return c.discard(ctx, t, args)
	case slices.ContainsFunc(t.statements, func(st sqltext.Statement) bool { return st.Kind.IsQuery() }):
		return c.execMixed(ctx, t, args)
	}
	if m := c.groupMember(ctx, t, args); m != nil {
		res, err := c.connector.groups.exec(c, m)
		if err != nil {
			return nil, err
		}
		return res, nil
	}
	return c.autocommit(ctx, t, args)
}

// autocommit runs statements that write, in a transaction of the server's own.
func (c *Conn) autocommit(ctx context.Context, t *query, args []driver.NamedValue) (driver.Result, error) {
	b := t.bindAll(args)
	req, err := b.request(nil)
	if err != nil {
		return nil, err
	}
	if err := c.readyToProve(ctx); err != nil {
		return nil, err
	}
	moves := t.statements[0].Kind == sqltext.UseDatabase
	if moves {
		if err := c.lease.Isolate(ctx); err != nil {
			return nil, c.connector.leaseError(err)
		}
	}
	change := changeOf(t.statements)
	if change != nil {
		done, err := c.beforeSchemaChange(ctx)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	kind := writes
	if t.changesCatalog {
		kind = changesSchema
	}
	var ans wire.ExecResult
	err = c.retry(ctx, t.table, func() error {
		ans = wire.ExecResult{}
		return c.call(ctx, kind, "Exec", wire.MethodSQLExec, req, &ans)
	})
	if t.changesCatalog {
		c.connector.catalog.forget() // also if the outcome is unknown
	}
	switch {
	case moves && err != nil:
		c.breakSession() // it may have moved, or be about to
	case moves:
		c.database = t.statements[0].Database
	}
	if err == nil {
		c.sawCommits(c.session(), ans.Txs...)
	}
	c.schemaChanged(change, err)
	if err != nil {
		return nil, err
	}
	reportOf(ctx).add(ans.Txs...)
	res := committedResult(t.statements, ans.Txs)
	if err := c.proveCommits(ctx, slices.ContainsFunc(t.statements, mustWrite), c.sentBy(t, args, res), ans.Txs...); err != nil {
		return nil, err
	}
	if change != nil && slices.ContainsFunc(ans.Txs, func(tx wire.CommittedTx) bool { return tx.TxID != 0 }) {
		if err := c.showSchemaChange(ctx, change); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// execMixed runs statements of which some write and some query, in a transaction of
// their own: SQLExec would parse the queries but not run them.
func (c *Conn) execMixed(ctx context.Context, t *query, args []driver.NamedValue) (driver.Result, error) {
	var res *result
	err := c.inOwnTx(ctx, t, func(tx *tx) (err error) {
		res, err = tx.run(ctx, t, args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// discard runs queries and drops their rows; only their errors count.
func (c *Conn) discard(ctx context.Context, t *query, args []driver.NamedValue) (driver.Result, error) {
	for i := range t.statements {
		set, err := c.read(ctx, t.bind(i, args))
		if err != nil {
			return nil, err
		}
		if _, _, err := set.count(); err != nil {
			return nil, err
		}
	}
	return &result{idErr: errNoInsert}, nil
}

var _ driver.Result = (*result)(nil)

// result counts what an Exec wrote.
type result struct {
	rows    int64
	rowsErr error // why rows is not known, or nil

	id    int64
	idErr error // why id is not known, or nil
}

// RowsAffected is the number of rows that all statements of the query wrote or
// deleted. It is an error, not 0, if the server does not count them: after TRUNCATE,
// and in a transaction after statements that the driver does not know.
func (r *result) RowsAffected() (int64, error) { return r.rows, r.rowsErr }

// LastInsertId is the AUTO_INCREMENT key of the last row that the last INSERT
// or UPSERT of the query wrote (the last, as in SQLite, not the first as in
// MySQL: with n rows in one VALUES the first is n-1 lower). It is an error, not
// 0, if no such key was written or the server does not report it.
func (r *result) LastInsertId() (int64, error) { return r.id, r.idErr }

var (
	errNoInsert           = newError(nil, "", "no last insert id: the text wrote no row of a table with an AUTO_INCREMENT key")
	errIDUnknown          = newError(nil, "", "no last insert id: ON CONFLICT DO NOTHING may have skipped the row the server names; use RETURNING")
	errTableChanged       = newError(nil, "", "no last insert id: the table was changed by another client")
	errKeysNotConsecutive = newError(nil, "", "no last insert id: the server generated other keys than expected for a group; use RETURNING")
	errNotCounted         = newError(nil, "", "the server does not count the rows of this statement")
)

// There are three ways to write, and each has its source for the last insert id:
// committedResult takes the key from the answer of SQLExec, returned the one of a
// RETURNING clause in a transaction, and generated the one that is computed for a
// statement of a group, whose keys are consecutive.

// returned takes the AUTO_INCREMENT key of the last row written. ok is false if
// there is none any more.
func (r *result) returned(key driver.Value) (ok bool) {
	if r.id, ok = key.(int64); ok {
		r.idErr = nil
	} else {
		r.idErr = errTableChanged
	}
	return ok
}

// generated takes the last of the keys that the server generated, if they are
// known.
func (r *result) generated(key int64, known bool) {
	if r.id, r.idErr = key, nil; !known {
		r.id, r.idErr = 0, errKeysNotConsecutive
	}
}

// committedResult is the result of the statements, which committed as txs.
func committedResult(statements []sqltext.Statement, txs []wire.CommittedTx) *result {
	r := &result{idErr: errNoInsert}
	for i := range txs {
		r.rows += txs[i].UpdatedRows
	}
	if slices.ContainsFunc(statements, func(st sqltext.Statement) bool { return st.Kind == sqltext.Truncate }) {
		r.rows, r.rowsErr = 0, errNotCounted
	}
	last := lastInsert(statements)
	if last == nil || r.rows == 0 || len(txs) == 0 {
		return r
	}
	for _, key := range txs[len(txs)-1].Last {
		if key.Table != last.Table {
			continue
		}
		// For a row that it skipped, the server reports the key as if it had inserted
		// the row. If it wrote all rows, it has skipped none.
		if last.OnConflict == sqltext.ConflictNothing && (len(statements) > 1 || r.rows != int64(last.NumRows)) {
			r.idErr = errIDUnknown
		} else {
			r.id, r.idErr = key.Key, nil
		}
	}
	return r
}

// lastInsert returns the last INSERT or UPSERT, or nil.
func lastInsert(statements []sqltext.Statement) *sqltext.Statement {
	for i := range slices.Backward(statements) {
		if st := &statements[i]; st.Kind == sqltext.Insert || st.Kind == sqltext.Upsert {
			return st
		}
	}
	return nil
}

// CommitInfo describes a committed transaction. Time travel takes its id.
type CommitInfo struct {
	TxID uint64    // of the last transaction committed; 0 if nothing was written
	Time time.Time // when the server committed it, UTC, in whole seconds
}

// commitReport is a CommitInfo that several goroutines may describe commits in.
type commitReport struct {
	mu   sync.Mutex
	info *CommitInfo
}

type commitReportKey struct{}

// WithCommitInfo returns a context that makes the driver fill info: with the commit
// of an Exec or Query outside a transaction that is called with the context, or of a
// transaction that is begun with it. info is filled before the call that commits
// returns, and only if the transaction wrote something. If several goroutines commit
// with one such context, info holds the commit that was answered last; it must not
// be read before all have returned.
//
//	var commit immudb.CommitInfo
//	_, err := db.ExecContext(immudb.WithCommitInfo(ctx, &commit), "UPDATE …")
//	…
//	db.QueryContext(ctx, fmt.Sprintf("SELECT … FROM t BEFORE TX %d", commit.TxID))
func WithCommitInfo(ctx context.Context, info *CommitInfo) context.Context {
	return context.WithValue(ctx, commitReportKey{}, &commitReport{info: info})
}

// reportOf returns the commitReport of WithCommitInfo in ctx, or nil.
func reportOf(ctx context.Context) *commitReport {
	report, _ := ctx.Value(commitReportKey{}).(*commitReport)
	return report
}

// add describes transactions; r may be nil.
func (r *commitReport) add(txs ...wire.CommittedTx) {
	if r == nil || r.info == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range txs {
		if txs[i].TxID != 0 {
			r.info.TxID, r.info.Time = txs[i].TxID, txs[i].Time
		}
	}
}
