package immudb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// writes notes the table that a statement is about to write to. If the statement fails
// the transaction has ended, so that nothing is noted in vain.
func (t *tx) writes(st *sqltext.Statement) {
	t.written.Tables = withName(t.written.Tables, st.Table)
	switch st := st.Tree.(type) {
	case *tree.Delete:
		t.written.Deleted = withName(t.written.Deleted, st.Table.Name)
	case *tree.AlterTable:
		if st.Action == tree.RenameTable {
			t.written.Tables = withName(t.written.Tables, st.New.Name)
		}
	}
}

func withName(names []string, name string) []string {
	if name == "" || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// guard is the query as it has to be sent where it may read what its transaction has
// written. Through a secondary index the server would answer it wrongly, so that it is
// made to read the tables at hand through the primary index, unless that would be too
// many rows.
func (c *Conn) guard(ctx context.Context, t *query) (*query, error) {
	if !rules.Reads(t.Script) {
		return t, nil
	}
	var written rules.Written
	if c.tx != nil {
		written = c.tx.written
	}
	tables := &tablesOf{ctx: ctx, conn: c}
	g := rules.Guard(t.Script, written, tables)
	switch {
	case tables.err != nil:
		return nil, tables.err
	case g.View != "":
		return nil, unsupported(fmt.Sprintf("the view %s is read in a transaction that has written to a table with an index: "+
			"the server's indexes do not show a transaction what it has written; read the view before the first write, or write its query out", g.View))
	}
	if g.Deleted != "" {
		return nil, unsupported(fmt.Sprintf("INSERT … ON CONFLICT into table %s, of which the transaction has deleted rows: the server takes them "+
			"for rows that are there and would write nothing; use UPSERT, or commit first", g.Deleted))
	}
	for _, scan := range g.Scans {
		if err := c.checkScan(ctx, scan); err != nil {
			return nil, err
		}
	}
	if g.Text == t.Text {
		return t, nil
	}
	if known := t.guarded.Load(); known != nil && known.Text == g.Text {
		return known, nil
	}
	q, err := sqltext.Parse(g.Text)
	if err != nil {
		return nil, fmt.Errorf("immudb: the driver's own rewriting of the query is wrong, please report it: %w", err)
	}
	guarded := newQuery(q, t.plan)
	t.guarded.Store(guarded)
	return guarded, nil
}

// checkScan refuses to read as many rows as the tables' numbers of rows multiply to, if
// that is more than the program allows.
func (c *Conn) checkScan(ctx context.Context, tables []string) error {
	limit := int64(c.connector.cfg.OwnWritesScan)
	total := int64(1)
	for _, name := range tables {
		n, err := c.rowsOf(ctx, name, limit+1)
		if err != nil {
			return err
		}
		if total *= max(n, 1); total > limit {
			return unsupported(fmt.Sprintf("the server's indexes do not show a transaction what it has written, so that the statement would have to read "+
				"table %s row by row, more than %d rows (own_writes_scan) in all: run it before the first write, look rows up by primary key, "+
				"or commit first", name, limit))
		}
	}
	return nil
}

// rowsOf counts the rows of a table up to a limit, without its transaction: what that
// adds itself is little. They are counted again when the table is looked up again.
func (c *Conn) rowsOf(ctx context.Context, name string, limit int64) (int64, error) {
	t, err := c.table(ctx, name)
	switch {
	case err != nil || len(t.Primary) == 0:
		return 0, nil // the statement meets what kept us from looking by itself
	case t.rows.Load() > 0:
		return t.rows.Load() - 1, nil
	}
	q, err := c.connector.queries.parse(fmt.Sprintf("SELECT COUNT(*) FROM (SELECT %s FROM %s LIMIT %d) AS counted",
		quoteName(t.Primary[0]), quoteName(name), limit))
	if err != nil {
		return 0, err
	}
	set, err := c.read(ctx, q.bind(0, nil))
	if err != nil {
		if errors.Is(err, ErrNoSuchTable) {
			return 0, nil // the transaction has made the table
		}
		return 0, err
	}
	_, last, err := set.count()
	n, _ := last.(int64)
	if err == nil {
		t.rows.Store(n + 1)
	}
	return n, err
}
