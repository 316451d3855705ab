package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
	"github.com/immudb-go/immudb/internal/wire"
)

// exec runs a query of the program in its transaction.
func (t *tx) exec(ctx context.Context, q *query, args []driver.NamedValue) (*result, error) {
	if err := t.admit(q); err != nil {
		return nil, err
	}
	return t.run(ctx, q, args)
}

// run runs the statements of a query and counts the rows that they write.
func (t *tx) run(ctx context.Context, q *query, args []driver.NamedValue) (*result, error) {
	res := &result{idErr: errNoInsert}
	for i := range q.statements {
		if err := t.execStatement(ctx, q.bind(i, args), res); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// admit refuses a query that cannot run in this transaction.
func (t *tx) admit(q *query) error {
	if t.err != nil {
		return t.aborted()
	}
	if r := q.plan.InTx; r != nil {
		return refused(r)
	}
	return nil
}

// execStatement runs one statement and adds its counts to res.
//
// The answer of TxSQLExec holds no counts, so the driver adds a RETURNING clause of
// its own: RETURNING NULL gives a row for each affected row, RETURNING of the
// AUTO_INCREMENT column also the keys.
func (t *tx) execStatement(ctx context.Context, b bound, res *result) error {
	t.writes(b.st)
	switch kind := b.st.Kind; {
	case kind.IsQuery():
		set, err := t.queryStatement(ctx, b)
		if err != nil {
			return err
		}
		_, _, err = set.count()
		return err
	case !kind.IsDML():
		return t.execUncounted(ctx, b, res)
	}
	t.reads(b.st)
	if err := t.hasRoom(ctx, b.st); err != nil {
		return err
	}
	column, err := t.generatedColumn(ctx, b.st)
	if err != nil {
		if err != errRowsInTheWay {
			t.abort(err, txUndo) // as after any write that fails
		}
		return err
	}
	b.sql = b.st.Text[:b.st.Returning.End] + " RETURNING NULL"
	if column != "" {
		b.sql = b.st.Text[:b.st.Returning.End] + " RETURNING " + quoteName(column)
	}
	n, last, err := t.writeCounted(ctx, b)
	if errors.Is(err, ErrSyntax) && t.err == nil {
		// The statement has a syntax error, which this call reports, or the server is
		// older than 1.11 and does not know RETURNING.
		return t.execUncounted(ctx, b, res)
	}
	if err != nil {
		return err
	}
	res.rows += n
	t.added(b.st, n)
	sent := t.send(&b)
	if column == "" || n == 0 {
		return nil
	}
	if !res.returned(last) {
		t.conn.connector.catalog.forget()
	} else if sent != nil {
		sent.LastKey = res.id
	}
	return nil
}

// generatedColumn is the AUTO_INCREMENT column of the table that an INSERT or
// UPSERT writes, or "".
func (t *tx) generatedColumn(ctx context.Context, st *sqltext.Statement) (string, error) {
	if st.Kind != sqltext.Insert && st.Kind != sqltext.Upsert {
		return "", nil
	}
	tab, err := t.conn.tableWritten(ctx, st)
	switch {
	case errors.Is(err, ErrNoSuchTable): // the statement itself will fail with that
		return "", nil
	case err != nil:
		return "", err
	}
	return tab.autoIncrement, nil
}

// execUncounted runs a statement by TxSQLExec, whose answer holds no counts.
func (t *tx) execUncounted(ctx context.Context, b bound, res *result) error {
	b.sql = b.st.Text[:b.st.Returning.End]
	if b.st.Kind.ChangesCatalog() && t.schema == nil {
		if err := t.renewCatalog(ctx); err != nil {
			return err
		}
	}
	if err := t.call(ctx, writesInTx, wire.MethodTxSQLExec, b, wire.Empty); err != nil {
		return err
	}
	t.wrote = t.wrote || mustWrite(*b.st)
	t.send(&b)
	if b.st.Kind.ChangesCatalog() {
		if t.schema == nil {
			t.schema = &schemaChange{}
		}
		t.schema.add(b.st.Tree)
		t.tables = make(map[string]*table)
	}
	if b.st.Kind != sqltext.DDL && b.st.Kind != sqltext.Access {
		res.rowsErr = errNotCounted
		if b.st.Kind.IsDML() {
			res.rowsErr, res.idErr = errNoReturning, errNoReturning
		}
	}
	return nil
}

var errNoReturning = newError(ErrUnsupported, "0A000", "this server does not count rows in a transaction: it is older than 1.11, "+
	"which brought RETURNING; run the statement outside a transaction to know")

// call runs one statement by a unary call.
func (t *tx) call(ctx context.Context, kind callKind, method string, b bound, ans wire.Answer) error {
	req, err := b.request(nil)
	if err != nil {
		return err
	}
	if err := t.settle(ctx); err != nil {
		return err
	}
	f := t.server.Call(ctx, method, req, ans)
	t.saw(f)
	if f != nil {
		return t.failed(kind, "", f)
	}
	t.rememberUnary(kind, &b, method, req, ans)
	return nil
}

// writeCounted runs a statement with a RETURNING clause of one column and returns
// the number of rows and the value of the last one.
func (t *tx) writeCounted(ctx context.Context, b bound) (n int64, last driver.Value, err error) {
	if b.st.NumRows != 1 {
		set, err := t.write(ctx, b)
		if err != nil {
			return 0, nil, err
		}
		return set.count()
	}
	// One row is one message, so a unary call is enough. It needs no goroutine and no
	// contexts of a stream: 2 to 3 % of the time of a statement.
	var ans wire.Returned
	if err := t.call(ctx, returnsInTx, wire.MethodTxSQLQuery, b, &ans); err != nil {
		return 0, nil, err
	}
	t.wrote = t.wrote || ans.Rows > 0 || mustWrite(*b.st)
	return ans.Rows, ans.Last, nil
}

// write runs a statement with a RETURNING clause and receives all its rows. A
// failure other than a syntax error ends the transaction, because the server would
// keep it open with the statement half done.
func (t *tx) write(ctx context.Context, b bound) (*resultSet, error) {
	if err := t.settle(ctx); err != nil {
		return nil, err
	}
	set, err := t.conn.streamInTx(ctx, t, returnsInTx, b)
	if err != nil {
		return nil, err
	}
	if err := set.bufferAll(ctx); err != nil {
		t.abort(err, txUndo)
		return nil, err
	}
	t.wrote = t.wrote || set.batch.HasRow() || mustWrite(*b.st)
	return set, nil
}

// queryStatement runs one statement that returns rows.
func (t *tx) queryStatement(ctx context.Context, b bound) (*resultSet, error) {
	t.reads(b.st)
	if b.st.Kind.IsDML() {
		t.writes(b.st)
		return t.queryReturning(ctx, b)
	}
	if err := t.settle(ctx); err != nil {
		return nil, err
	}
	for tries := 1; ; tries++ {
		set, err := t.conn.streamInTx(ctx, t, readsInTx, b)
		if err != nil {
			return nil, err
		}
		moved, err := t.hasRead(ctx, set, b.st, tries)
		if err == nil && !moved {
			t.rows = set
			set.tx = t
			return set, nil
		}
		set.close()
		if err != nil {
			return nil, err
		}
	}
}

// queryReturning runs a write with a RETURNING clause of the program. If the clause
// names a column that the table does not have, the server answers NULL in a column
// of type ANY; the transaction is then rolled back.
func (t *tx) queryReturning(ctx context.Context, b bound) (*resultSet, error) {
	if err := t.hasRoom(ctx, b.st); err != nil {
		return nil, err
	}
	set, err := t.write(ctx, b)
	if errors.Is(err, ErrSyntax) {
		if !t.conn.knowsReturning(ctx) {
			err = errTooOldForReturning
		}
		t.abort(err, txUndo)
	}
	if err != nil {
		return nil, err
	}
	if err := checkReturned(b.st, set.columns.list); err != nil {
		set.close()
		t.abort(err, txUndo)
		return nil, err
	}
	t.added(b.st, int64(max(b.st.NumRows, 0)))
	t.send(&b)
	return set, nil
}

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
	limit := c.scanLimit()
	total := int64(1)
	for _, name := range tables {
		n, err := c.rowsOf(ctx, name)
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

// scanLimit is how many rows a statement may read one by one.
func (c *Conn) scanLimit() int64 { return int64(c.connector.cfg.OwnWritesScan) }

// rowsOf counts the rows of a table up to one more than may be read, outside the
// transaction, whose own rows are few. It counts again when the table is looked up again.
func (c *Conn) rowsOf(ctx context.Context, name string) (int64, error) {
	t, err := c.table(ctx, name)
	switch {
	case err != nil || len(t.Primary) == 0:
		return 0, nil // the statement itself will get this error
	case t.rows.Load() > 0:
		return t.rows.Load() - 1, nil
	}
	n, err := c.countRows(t, name, func(b bound) (*resultSet, error) { return c.read(ctx, b) })
	if err == nil {
		t.rows.Store(n + 1)
	}
	return n, err
}

// countRows counts the rows for rowsOf, by a query that read runs.
func (c *Conn) countRows(t *table, name string, read func(bound) (*resultSet, error)) (int64, error) {
	q, err := c.connector.queries.parse(fmt.Sprintf("SELECT COUNT(*) FROM (SELECT %s FROM %s LIMIT %d) AS counted",
		quoteName(t.Primary[0]), quoteName(name), c.scanLimit()+1))
	if err != nil {
		return 0, err
	}
	set, err := read(q.bind(0, nil))
	if err != nil {
		if errors.Is(err, ErrNoSuchTable) {
			return 0, nil // the transaction has created the table
		}
		return 0, err
	}
	_, last, err := set.count()
	n, _ := last.(int64)
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
