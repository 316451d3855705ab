package immudb

import (
	"context"
	"database/sql/driver"
	"slices"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/wire"
)

// ExecContext runs a text. Outside a transaction its statements run in one of
// their own, all or nothing, and are run again by themselves after an error that
// proves that nothing was committed, up to max_retries times.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	t, err := c.connector.texts.parse(query)
	if err != nil {
		return nil, err
	}
	return c.exec(ctx, t, args)
}

func (c *Conn) exec(ctx context.Context, t *text, args []driver.NamedValue) (driver.Result, error) {
	if err := checkArgs(t.Query, args); err != nil {
		return nil, err
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
	case t.reads:
		// The server parses a query sent to SQLExec and does not run it.
		return c.discard(ctx, t, args)
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

// autocommit runs a writing text in a server transaction of its own.
func (c *Conn) autocommit(ctx context.Context, t *text, args []driver.NamedValue) (driver.Result, error) {
	req, err := appendRequest(make([]byte, 0, len(t.exec)+24*len(args)+8), t.exec, t.Query, nil, args)
	if err != nil {
		return nil, err
	}
	if err := c.readyToProve(ctx); err != nil {
		return nil, err
	}
	if t.statements[0].Kind == sqltext.UseDatabase {
		if err := c.isolate(ctx); err != nil {
			return nil, err
		}
	}
	var ans wire.ExecResult
	err = c.retry(ctx, t.table, func() error {
		ans = wire.ExecResult{}
		return c.call(ctx, "Exec", wire.MethodSQLExec, req, &ans)
	})
	if t.changesCatalog {
		c.connector.catalog.forget() // also if nobody knows what became of it
	}
	if err != nil {
		if t.statements[0].Kind == sqltext.UseDatabase {
			c.lost = true // the session may have moved, or be about to
		}
		return nil, err
	}
	c.noteChanges(ctx, t, ans.Txs)
	if err := c.proveCommits(ctx, slices.ContainsFunc(t.statements, mustWrite), ans.Txs...); err != nil {
		return nil, err
	}
	return committedResult(t.statements, ans.Txs), nil
}

// noteChanges takes note of what a text that was carried out has changed beside
// rows.
func (c *Conn) noteChanges(ctx context.Context, t *text, txs []wire.CommittedTx) {
	if st := &t.statements[0]; st.Kind == sqltext.UseDatabase {
		c.database = st.Database
	}
	if info, _ := ctx.Value(commitInfoKey{}).(*CommitInfo); info != nil {
		for i := range txs {
			info.add(txs[i])
		}
	}
}

// discard runs queries for the sake of their errors.
func (c *Conn) discard(ctx context.Context, t *text, args []driver.NamedValue) (driver.Result, error) {
	for i := range t.statements {
		set, err := c.read(ctx, t, &t.statements[i], args)
		if err != nil {
			return nil, err
		}
		if _, _, err := set.count(); err != nil {
			return nil, err
		}
	}
	return &result{idErr: errNoInsert}, nil
}
