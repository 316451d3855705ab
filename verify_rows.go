package immudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/served"
	"github.com/immudb-go/immudb/internal/sqltext/eval"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
	"github.com/immudb-go/immudb/internal/trust"
)

const (
	defaultConcurrency = 8
	// maxReadTries is how often the rows are read if they change between the query and
	// the proof.
	maxReadTries = 3
)

// errChanged: a row is not the same any more as in the result of the query.
var errChanged = errors.New("a row was changed while it was verified")

// Rows is like [VerifyRows].
func (v *Verifier) Rows(ctx context.Context, table, tail string, args ...any) ([]*ProvenRow, error) {
	table, err := tableName(table)
	if err != nil {
		return nil, err
	}
	query, err := newRowsQuery(table, tail)
	if err != nil {
		return nil, err
	}
	named, err := convertArgs(args)
	if err != nil {
		return nil, err
	}
	concurrency := v.Concurrency
	if concurrency <= 0 {
		concurrency = defaultConcurrency
	}
	var list []*queried
	err = onConn(ctx, v.db, func(c *Conn) (err error) {
		_, list, err = c.verifyRows(ctx, query, named, concurrency)
		return err
	})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	rows := make([]*ProvenRow, len(list))
	for i, q := range list {
		rows[i] = newProvenRow(q.proven)
	}
	return rows, nil
}

// convertArgs converts arguments as database/sql would.
func convertArgs(args []any) ([]driver.NamedValue, error) {
	named := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
		if n, ok := arg.(sql.NamedArg); ok {
			named[i].Name, named[i].Value = n.Name, n.Value
		}
		if err := (*Conn)(nil).CheckNamedValue(&named[i]); err != nil {
			return nil, err
		}
	}
	return named, nil
}

// queried is a row of the query's result, which is to be proven.
type queried struct {
	values []driver.Value // in the order of the table's columns
	pk     []any
	proven *proof.Row
}

// verifyRows runs a query and proves its rows. If they change meanwhile it starts again.
func (c *Conn) verifyRows(ctx context.Context, query *rowsQuery, args []driver.NamedValue, concurrency int) (*columns, []*queried, error) {
	for range maxReadTries {
		columns, list, err := c.verifyRowsOnce(ctx, query, args, concurrency)
		if !errors.Is(err, errChanged) {
			return columns, list, err
		}
	}
	e := newError(ErrConflict, "40001", fmt.Sprintf("rows of table %s changed during each of %d verifications: "+
		"verify fewer at once", query.table, maxReadTries))
	e.safe = true
	return nil, nil, e
}

func (c *Conn) verifyRowsOnce(ctx context.Context, query *rowsQuery, args []driver.NamedValue, concurrency int) (*columns, []*queried, error) {
	p := c.prover()
	before, err := p.CatchUp(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := p.FollowKnown(ctx, before); err != nil {
		return nil, nil, err
	}
	columns, list, err := c.collect(ctx, query.text, args)
	if err != nil || len(list) == 0 {
		return columns, nil, err
	}
	b := &queryProof{Prover: p, table: query.table, before: before.TxID, rows: list, recall: true}
	if err := b.begin(ctx, c, columns.names); err != nil {
		return nil, nil, err
	}
	if err := b.proveAll(ctx, concurrency, before); err != nil {
		return nil, nil, err
	}
	return columns, list, b.evaluate(ctx, c, query, args)
}

// proveAll proves the rows that are not known. They are then known as of a state that
// was trusted before.
func (b *queryProof) proveAll(ctx context.Context, concurrency int, asOf trust.State) error {
	var unknown []*queried
	for _, q := range b.rows {
		if q.proven == nil {
			unknown = append(unknown, q)
		}
	}
	// The first row is proven alone, because often one transaction wrote all rows.
	for at, most := 0, 1; at < len(unknown); most = concurrency {
		var wave []*queried
		for ; at < len(unknown) && len(wave) < most; at++ {
			if unknown[at].proven == nil {
				wave = append(wave, unknown[at])
			}
		}
		if err := b.prove(ctx, wave); err != nil {
			return err
		}
	}
	for _, q := range unknown {
		if q.proven != nil {
			b.Remember(q.proven, asOf)
		}
	}
	return nil
}

// collect runs the query and keeps its rows.
func (c *Conn) collect(ctx context.Context, query string, args []driver.NamedValue) (columns *columns, list []*queried, err error) {
	t, err := c.connector.queries.parse(query)
	if err != nil {
		return nil, nil, err
	}
	rows, err := c.query(ctx, t, args)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	list, err = collectRows(len(rows.set.columns.list), rows.Next)
	return rows.set.columns, list, err
}

// collectRows keeps rows of n columns.
func collectRows(n int, next func([]driver.Value) error) (list []*queried, err error) {
	for {
		q := &queried{values: make([]driver.Value, n)}
		switch err := next(q.values); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, err
		}
		for i, v := range q.values {
			if b, ok := v.([]byte); ok {
				q.values[i] = append([]byte{}, b...) // the next row overwrites it
			}
		}
		list = append(list, q)
	}
}

// queryProof proves the rows of a query together.
type queryProof struct {
	*trust.Prover
	table  string
	before uint64 // a transaction that the query must have seen: the newest one before it
	recall bool   // rows that are known need no proof
	// inTx: rows that differ from the last revision stay without a proof.
	inTx  bool
	own   bool // the open transaction has written to the table
	def   *proof.Table
	rows  []*queried
	byKey map[string]*queried
	read  map[uint64]bool // transactions that were read as a whole
}

// begin learns the definition of the table and prepares the rows.
func (b *queryProof) begin(ctx context.Context, c *Conn, columns []string) error {
	b.def = b.Table(b.table)
	if b.def == nil || !slices.Equal(columns, b.def.ColumnNames()) {
		// With a row the server sends the table's definition. Until then the columns of
		// the key are only a hint.
		hint, err := c.primaryKey(ctx, b.table)
		if err != nil {
			return err
		}
		var pk []any
		for _, name := range hint {
			i := slices.Index(columns, name)
			if i < 0 {
				return errChanged
			}
			pk = append(pk, b.rows[0].values[i])
		}
		if _, _, err := b.Row(ctx, b.table, 0, pk); err != nil {
			return changedIfGone(err)
		}
		if b.def = b.Table(b.table); b.def == nil || !slices.Equal(columns, b.def.ColumnNames()) {
			return errChanged
		}
	}
	b.byKey, b.read = make(map[string]*queried, len(b.rows)), make(map[uint64]bool)
	for _, q := range b.rows {
		for _, id := range b.def.PrimaryKey {
			q.pk = append(q.pk, q.values[slices.IndexFunc(b.def.Columns, func(c proof.Column) bool { return c.ID == id })])
		}
		key, err := b.def.RowKey(q.pk...)
		if b.own && b.byKey[string(key)] != nil {
			return errChanged // the server's indexes do not show a transaction its own writes
		}
		if err != nil || b.byKey[string(key)] != nil {
			return b.Tampering(&proof.Error{Check: "each row of the query has a primary key of its own"})
		}
		b.byKey[string(key)] = q
		if !b.recall {
			continue
		}
		if row := b.Known(key); row != nil && row.Table.Same(b.def) == nil && differentColumn(q, row) < 0 {
			q.proven = row
		}
	}
	return nil
}

// changedIfGone turns the error for a missing row into errChanged: the row was deleted
// between the query and the proof.
func changedIfGone(err error) error {
	if errors.Is(err, errNoSuchKey) {
		return errChanged
	}
	return err
}

// prove proves a few rows at once, together with all rows that the same transactions
// wrote.
func (b *queryProof) prove(ctx context.Context, wave []*queried) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	keys := make([][][]byte, len(wave))
	rows := make([]*proof.Row, len(wave))
	for i, q := range wave {
		wg.Go(func() {
			row, written, err := b.Row(ctx, b.table, 0, q.pk)
			if err == nil {
				err = b.judge(q, row)
			}
			if err = changedIfGone(err); b.inTx && errors.Is(err, errChanged) {
				return
			}
			if err != nil {
				cancel(err) // only the first error is kept
				return
			}
			rows[i], keys[i] = row, written
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for i, q := range wave {
		q.proven = rows[i]
	}
	for i := range wave {
		if rows[i] == nil {
			continue
		}
		tx := rows[i].TxID
		if !b.read[tx] && slices.ContainsFunc(keys[i], b.isPending) {
			b.read[tx] = true
			if err := b.proveAllOf(ctx, tx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *queryProof) isPending(key []byte) bool {
	q := b.byKey[string(key)]
	return q != nil && q.proven == nil
}

// judge compares a row of the query's result with the latest proven revision.
func (b *queryProof) judge(q *queried, row *proof.Row) error {
	if row.Table.Same(b.def) != nil {
		return errChanged
	}
	column := differentColumn(q, row)
	switch {
	case column < 0 && !row.Deleted:
		return nil
	case row.TxID > b.before, b.own:
		return errChanged
	case row.Deleted:
		return b.Tampering(&proof.Error{Check: "a row that the query gave was not deleted before", TxID: row.TxID})
	}
	return b.Tampering(&proof.Error{Check: "the query gave the proven value of column " + b.def.Columns[column].Name, TxID: row.TxID})
}

// differentColumn returns the first column that differs, or -1.
func differentColumn(q *queried, row *proof.Row) int {
	for i, v := range row.Values {
		if !served.Equal(q.values[i], v) {
			return i
		}
	}
	return -1
}

// proveAllOf proves the pending rows that transaction id wrote. A row that it wrote with
// other values was written again later and stays pending.
func (b *queryProof) proveAllOf(ctx context.Context, id uint64) error {
	rows, err := b.RowsOf(ctx, id, b.def)
	if err != nil {
		return err
	}
	for _, row := range rows {
		pk := make([]any, 0, len(b.def.PrimaryKey))
		for _, id := range b.def.PrimaryKey {
			pk = append(pk, row.Values[slices.IndexFunc(b.def.Columns, func(c proof.Column) bool { return c.ID == id })])
		}
		key, err := b.def.RowKey(pk...)
		if err != nil {
			return b.Tampering(err)
		}
		if b.isPending(key) && !row.Deleted {
			if q := b.byKey[string(key)]; differentColumn(q, row) < 0 {
				q.proven = row
			}
		}
	}
	return nil
}

// primaryKey asks the server for the columns of a table's primary key, in their order.
func (c *Conn) primaryKey(ctx context.Context, table string) ([]string, error) {
	t, err := c.describe(table, c.reader(ctx))
	if err == nil && len(t.Primary) == 0 {
		err = newError(ErrNoSuchTable, "42P01", fmt.Sprintf("the server returned no primary key for table %s", table))
	}
	if err != nil {
		return nil, err
	}
	return t.Primary, nil
}

// rowsQuery is a query for whole rows of one table whose result the client can check.
type rowsQuery struct {
	table, text string
	script      *tree.Script
	query       *eval.Query
}

// newRowsQuery refuses a tail that selects other rows than the present ones of the table,
// and a tail that the client cannot evaluate.
func newRowsQuery(table, tail string) (*rowsQuery, error) {
	text := "SELECT * FROM " + quoteName(table) + " " + tail
	script, err := tree.Parse(text)
	if err == nil {
		err = checkTail(script)
	}
	if err == nil {
		err = checkClauses(script.Statements[0].(*tree.Select))
	}
	if err != nil {
		return nil, &Error{Message: fmt.Sprintf("what follows SELECT * FROM %s: %v", table, err), SQLState: "42601", kind: ErrSyntax}
	}
	return compileRowsQuery(text, table, script)
}

// compileRowsQuery refuses a query that the client cannot evaluate.
func compileRowsQuery(text, table string, script *tree.Script) (*rowsQuery, error) {
	query, err := eval.Compile(text, script.Statements[0].(*tree.Select))
	if err != nil {
		return nil, unsupported("rows are verified against their condition: " + err.Error())
	}
	return &rowsQuery{table: table, text: text, script: script, query: query}, nil
}

// checkTail returns an error unless the text is a SELECT of one table with WHERE, ORDER
// BY, LIMIT and OFFSET only.
func checkTail(script *tree.Script) error {
	if len(script.Statements) != 1 || script.Has.Any(tree.HasEmptyStatement) {
		return errors.New("it holds more than one statement")
	}
	s, ok := script.Statements[0].(*tree.Select)
	if !ok {
		return errors.New("a set operation makes rows that are not rows of the table")
	}
	t, ok := s.From.(*tree.Table)
	switch {
	case !ok || len(s.Joins) > 0:
		return errors.New("it reads another table")
	case t.Kind != tree.Plain:
		return errors.New("it does not read from a table")
	case s.Distinct:
		return errors.New("DISTINCT makes rows that are not rows of the table")
	case t.Since != nil || t.Until != nil:
		return errors.New("it reads rows as of another time")
	case len(s.GroupBy) > 0 || s.Having != nil:
		return errors.New("GROUP BY makes rows that are not rows of the table")
	}
	return nil
}

// checkClauses refuses other clauses than WHERE, ORDER BY, LIMIT and OFFSET.
func checkClauses(s *tree.Select) error {
	switch {
	case s.From.(*tree.Table).Alias.Given():
		return errors.New("it gives the table an alias")
	case len(s.Index) > 0 || s.Locking.Given():
		return errors.New("it may only hold WHERE, ORDER BY, LIMIT and OFFSET")
	}
	return nil
}

// bind binds the query to a definition of the table and to arguments that fit the
// query.
func (q *rowsQuery) bind(def *proof.Table, args []driver.NamedValue) (*eval.Bound, error) {
	columns := make([]eval.Column, len(def.Columns))
	for i, c := range def.Columns {
		columns[i] = eval.Column{Name: c.Name, Type: string(c.Type)}
	}
	values := make([]driver.Value, q.script.NumInput)
	for i := range values {
		if q.script.Style == tree.Named {
			values[i] = namedArg(args, q.script.Names[i]).Value
		} else {
			values[i] = args[i].Value
		}
	}
	return q.query.Bind(columns, values)
}

// evaluate checks the proven rows: each must meet the condition of the query, and they
// must be in its order and not more than its limit.
func (b *queryProof) evaluate(ctx context.Context, c *Conn, query *rowsQuery, args []driver.NamedValue) error {
	bound, err := query.bind(b.def, args)
	for i := 0; err == nil && i < len(b.rows); i++ {
		err = bound.Check(b.rows[i].values)
	}
	var wrong *eval.Contradiction
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &wrong):
		return unsupported("rows are verified against their condition: " + err.Error())
	}
	if b.own {
		return errChanged // by a row of the transaction's own
	}
	version, err := c.ServerVersion(ctx)
	switch {
	case err != nil:
		return err
	case evaluatesOtherwise(version):
		return unsupported(fmt.Sprintf("%s, by the rules of immudb 1.11; the server is immudb %s: filter and order the rows in the program",
			wrong, version))
	}
	return b.Tampering(&proof.Error{Check: promises[wrong.Clause]})
}

// evaluatesOtherwise reports whether the server may evaluate conditions differently from
// the client. Servers up to 1.10 read the pattern of LIKE as a regular expression; 1.9
// gives AND and OR the same precedence. A server without a version is embedded in a
// program, as in this driver's tests.
func evaluatesOtherwise(version string) bool {
	return version != "" && !strings.HasPrefix(strings.TrimPrefix(version, "v"), "1.11.")
}

// promises are the statements that must be true, by clause.
var promises = map[string]string{
	"WHERE":    "each row of the query meets its WHERE condition",
	"ORDER BY": "the rows of the query are in the order that it asks for",
	"LIMIT":    "the query returns at most as many rows as its LIMIT",
}
