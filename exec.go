package immudb

import (
	"context"
	"database/sql/driver"
	"slices"

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

func (c *Conn) execOnce(ctx context.Context, t *query, args []driver.NamedValue) (driver.Result, error) {
	t, args, err := c.ready(ctx, t, args)
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
	var ans wire.ExecResult
	err = c.retry(ctx, t.table, func() error {
		ans = wire.ExecResult{}
		return c.call(ctx, writes, "Exec", wire.MethodSQLExec, req, &ans)
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
	if err != nil {
		return nil, err
	}
	reportOf(ctx).add(ans.Txs...)
	c.sawCommits(c.session(), ans.Txs...)
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
