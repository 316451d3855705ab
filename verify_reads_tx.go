package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
)

// knownFrom is the number of rows from which on a query in a transaction asks for what
// was written lately, to find out which rows are known.
const knownFrom = 8

// proveInTx runs a query in the open transaction and proves its rows: each must be the
// last committed revision of the row. own is how many rows may be the transaction's own
// instead, because it has written to their table. unproven is the reason why rows are
// not proven, these or others; r then has the rows nevertheless, or is nil if the query
// was not run.
func (c *Conn) proveInTx(ctx context.Context, t *query, args []driver.NamedValue) (r driver.Rows, own int, unproven, err error) {
	plan := t.provable()
	switch {
	case plan.unproven != nil:
		return nil, 0, plan.unproven, nil
	case c.tx.schema != nil:
		return nil, 0, errSchemaInTx, nil
	}
	columns, list, err := c.collect(ctx, plan.rows.text, args)
	if err != nil {
		return nil, 0, nil, err
	}
	own, err = c.proveSnapshot(ctx, plan.rows, columns, list, args)
	switch {
	case errors.Is(err, errChanged) && slices.Contains(c.tx.written.Tables, plan.rows.table):
		unproven = errOwnInTx
	case errors.Is(err, errChanged):
		unproven = errChangedInTx
	case errors.Is(err, ErrUnsupported):
		unproven = err
	case errors.Is(fromTrust(err), ErrNoSuchTable) && !c.prover().Relies(plan.rows.table):
		unproven = notProvable(plan.rows.table + " is not a table")
	case err != nil:
		return nil, 0, nil, err
	case own > 0:
		unproven = unsupported(fmt.Sprintf("rows of table %s differ from what is committed: the transaction has written to the table, and its own rows "+
			"are proven when it is committed, with verify=writes; read them under WithoutProof", plan.rows.table))
	}
	all := make([][]driver.Value, len(list))
	for i, q := range list {
		all[i] = q.values
	}
	r, err = plan.answer(columns, all)
	return r, own, unproven, err
}

var (
	errSchemaInTx error = notProvable("the transaction has changed tables")
	errOwnInTx    error = notProvable("the transaction has written to the table, and they do not tell which of them are its own")
	// errChangedInTx: another transaction may have written the row after the snapshot.
	errChangedInTx error = notProvable("another transaction has written some of them since this transaction began; begin it again")
)

func notProvable(why string) error {
	return unsupported("the rows of the query cannot be proven: " + why)
}

// proveSnapshot proves rows of a query in the open transaction, and returns how many may
// be its own. It returns errChanged if rows cannot be proven.
func (c *Conn) proveSnapshot(ctx context.Context, query *rowsQuery, columns *columns, list []*queried, args []driver.NamedValue) (own int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	p := c.prover()
	asOf, err := p.Establish(ctx)
	if err != nil {
		return 0, err
	}
	b := &queryProof{Prover: p, table: query.table, before: c.tx.trusted, rows: list, inTx: true,
		own: slices.Contains(c.tx.written.Tables, query.table)}
	if len(list) >= knownFrom {
		if asOf, err = p.CatchUp(ctx); err != nil {
			return 0, err
		}
		if err := p.FollowKnown(ctx, asOf); err != nil {
			return 0, err
		}
		b.recall = true
	}
	if err := b.begin(ctx, c, columns.names); err != nil {
		return 0, err
	}
	if err := b.proveAll(ctx, defaultConcurrency, asOf); err != nil {
		return 0, err
	}
	for _, q := range list {
		if q.proven == nil {
			own++
		}
	}
	if own > 0 && !b.own {
		return 0, errChanged
	}
	return own, b.evaluate(ctx, c, query, args)
}
