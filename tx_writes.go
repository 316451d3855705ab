package immudb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
	"github.com/immudb-go/immudb/internal/wire"
)

// writes records the table that a statement is about to write to. It need not be undone
// if the statement fails, because then the transaction has ended.
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

// guard returns the query to send if it may read rows that its transaction has written.
// Through a secondary index the server would return wrong rows. So the query is changed
// to read these tables through the primary index, or refused if that would read too many
// rows.
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
			"the server's indexes do not show a transaction its own writes; read the view before the first write, or write its query instead of it", g.View))
	}
	if g.Deleted != "" {
		return nil, unsupported(fmt.Sprintf("INSERT … ON CONFLICT into table %s, from which the transaction has deleted rows: the server still treats them "+
			"as existing rows and would write nothing; use UPSERT, or commit first", g.Deleted))
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
		return nil, fmt.Errorf("immudb: the driver has rewritten the query wrongly, please report it: %w", err)
	}
	guarded := newQuery(q, t.plan)
	t.guarded.Store(guarded)
	return guarded, nil
}

// checkScan returns an error if the product of the tables' numbers of rows exceeds the
// option own_writes_scan.
func (c *Conn) checkScan(ctx context.Context, tables []string) error {
	limit := int64(c.connector.cfg.OwnWritesScan)
	total := int64(1)
	for _, name := range tables {
		n, err := c.rowsOf(ctx, name, limit+1)
		if err != nil {
			return err
		}
		if total *= max(n, 1); total > limit {
			return unsupported(fmt.Sprintf("the server's indexes do not show a transaction its own writes, so the statement would have to read "+
				"table %s row by row, more than %d rows (own_writes_scan) in all: run it before the first write, look rows up by primary key, "+
				"or commit first", name, limit))
		}
	}
	return nil
}

// rowsOf counts the rows of a table up to a limit, outside the transaction, whose own
// rows are few. It counts again when the table is looked up again.
func (c *Conn) rowsOf(ctx context.Context, name string, limit int64) (int64, error) {
	t, err := c.table(ctx, name)
	switch {
	case err != nil || len(t.Primary) == 0:
		return 0, nil // the statement itself will get this error
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
			return 0, nil // the transaction has created the table
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

// adds reports whether each row of a statement is new, so that it is a new entry of the
// transaction.
func adds(st *sqltext.Statement) bool {
	return st.Kind == sqltext.Insert && st.OnConflict == sqltext.ConflictFails
}

// added counts the rows that a statement has added.
func (t *tx) added(st *sqltext.Statement, rows int64) {
	if adds(st) {
		t.inserted += rows
	}
}

// hasRoom refuses an INSERT with more rows than the transaction can still hold, before it
// is sent, so that the transaction stays usable. The server would refuse it only at the
// commit.
func (t *tx) hasRoom(ctx context.Context, st *sqltext.Statement) error {
	if !adds(st) || t.inserted+int64(st.NumRows) <= defaultTxEntries {
		return nil
	}
	var settings wire.DatabaseSettings
	err := t.conn.call(ctx, reads, "", wire.MethodDatabaseSettings, nil, &settings)
	if err != nil && !refusesToTell(err) {
		return err
	}
	limit := int64(settings.MaxTxEntries)
	if err != nil || limit == 0 || t.inserted+int64(st.NumRows) <= limit {
		return nil // the server decides
	}
	return newError(ErrTooManyEntries, "54000", fmt.Sprintf("the transaction has added %d rows, and with the %d of this statement it would exceed the limit of %d: "+
		"commit in between, or write the rows with CopyFrom", t.inserted, st.NumRows, limit))
}
