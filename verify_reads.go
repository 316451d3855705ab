package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/served"
	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/selected"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
	"github.com/immudb-go/immudb/internal/wire"
)

// ReadProof tells what was proven of the queries that were run under a context of
// [WithReadProof]. Each query that has returned rows is counted once, in Proven, Unproven
// or Own, for every value of verify.
type ReadProof struct {
	Proven   int    // queries whose rows were all proven
	Unproven int    // queries that returned rows without a proof
	Reason   string // the reason for the last query that is not in Proven

	// Own counts the queries of transactions whose rows were all proven but for OwnRows
	// rows that differ from what is committed, in tables that the transaction has written
	// to: they may be its own, which the server alone says.
	Own, OwnRows int
}

// All reports whether there was a query and the rows of every query were proven.
func (p *ReadProof) All() bool { return p.Proven > 0 && p.Unproven+p.Own == 0 }

// readReport is a ReadProof that several goroutines may write to.
type readReport struct {
	mu   sync.Mutex
	info *ReadProof
}

type (
	readReportKey struct{}
	noProofKey    struct{}
)

// WithReadProof returns a context under which each query is counted in info when it
// returns. To know whether the rows of one result are proven, run the query under a
// context of its own:
//
//	var info immudb.ReadProof
//	rows, err := db.QueryContext(immudb.WithReadProof(ctx, &info), "SELECT …")
//	if err == nil && !info.All() {
//		log.Print("not proven: ", info.Reason)
//	}
//
// The rows cannot be asked themselves: sql.Rows keeps the rows of the driver to
// itself. Several goroutines may use one such context; read info when all their queries
// have returned. Of contexts within each other the innermost counts.
func WithReadProof(ctx context.Context, info *ReadProof) context.Context {
	return context.WithValue(ctx, readReportKey{}, &readReport{info: info})
}

// WithoutProof returns a context under which the rows of queries are not proven, for
// every value of verify.
func WithoutProof(ctx context.Context) context.Context {
	return context.WithValue(ctx, noProofKey{}, true)
}

// noteRead counts a query. unproven is the reason why it is not proven, or nil. If own is
// not 0, that is how many of its rows may be the transaction's own, and the others are
// proven.
func noteRead(ctx context.Context, own int, unproven error) {
	r, _ := ctx.Value(readReportKey{}).(*readReport)
	if r == nil || r.info == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if unproven == nil {
		r.info.Proven++
		return
	}
	if own > 0 {
		r.info.Own++
		r.info.OwnRows += own
	} else {
		r.info.Unproven++
	}
	r.info.Reason = strings.TrimPrefix(unproven.Error(), "immudb: ")
	var e *Error
	if errors.As(unproven, &e) {
		r.info.Reason = e.Message
	}
}

// queryOrProve runs a query, and proves its rows with verify=reads.
func (c *Conn) queryOrProve(ctx context.Context, t *query, args []driver.NamedValue) (driver.Rows, error) {
	ctx, op := c.trace(ctx, TraceQuery, t.Text, "", 0, nil)
	r, err := c.queryUntraced(ctx, t, args)
	op.end(ctx, err)
	return r, err
}

func (c *Conn) queryUntraced(ctx context.Context, t *query, args []driver.NamedValue) (driver.Rows, error) {
	if len(t.statements) == 0 {
		return orNil(c.query(ctx, t, args)) // blanks and comments
	}
	if why := c.notToProve(ctx, t); why != nil {
		return c.queryUnproven(ctx, t, args, why)
	}
	if err := checkArgs(t.Query, args); err != nil {
		return nil, err
	}
	var r driver.Rows
	var own int
	var unproven, err error
	if c.tx != nil {
		r, own, unproven, err = c.proveInTx(ctx, t, args)
	} else {
		r, unproven, err = c.prove(ctx, t, args)
	}
	switch {
	case err != nil:
		return nil, fromTrust(err)
	case unproven == nil:
		c.connector.tally.readsProven.Add(1)
		noteRead(ctx, 0, nil)
		return r, nil
	case c.connector.cfg.Verify.Strict:
		return nil, unproven
	}
	c.connector.tally.readsUnproven.Add(1)
	if r != nil {
		noteRead(ctx, own, unproven)
		return r, nil
	}
	return c.queryUnproven(ctx, t, args, unproven)
}

var (
	errReadsNotVerified error = unsupported("verify=reads is not set")
	errWithoutProof     error = unsupported("it was run under WithoutProof")
	errWritesRows       error = unsupported("rows of a statement that writes are not proven when it runs; Verifier.Written proves them after the commit")
)

// notToProve returns the reason why no proof is wanted for a query, or nil.
func (c *Conn) notToProve(ctx context.Context, t *query) error {
	switch {
	case !c.connector.cfg.Verify.Reads:
		return errReadsNotVerified
	case ctx.Value(noProofKey{}) != nil:
		return errWithoutProof
	case !t.reads:
		return errWritesRows
	}
	return nil
}

// queryUnproven runs a query and counts it as unproven if it returns rows.
func (c *Conn) queryUnproven(ctx context.Context, t *query, args []driver.NamedValue, why error) (driver.Rows, error) {
	r, err := c.query(ctx, t, args)
	if err == nil && ctx.Value(readReportKey{}) != nil && t.returnsRows() {
		noteRead(ctx, 0, why)
	}
	return orNil(r, err)
}

// returnsRows reports whether a statement of the query returns rows.
func (t *query) returnsRows() bool {
	return slices.ContainsFunc(t.statements, func(st sqltext.Statement) bool { return st.Kind.IsQuery() || st.Returning.Has })
}

// orNil turns a nil *rows into a nil driver.Rows.
func orNil(r *rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// prove runs a query and proves its rows. If it cannot prove them, it does nothing and
// returns the reason in unproven.
func (c *Conn) prove(ctx context.Context, t *query, args []driver.NamedValue) (r driver.Rows, unproven, err error) {
	plan := t.provable()
	if plan.unproven != nil {
		return nil, plan.unproven, nil
	}
	if r, err := c.proveByKey(ctx, plan, args); r != nil || err != nil {
		return r, nil, err
	}
	columns, list, err := c.verifyRows(ctx, plan.rows, args, defaultConcurrency)
	switch {
	case errors.Is(err, ErrUnsupported):
		return nil, err, nil
	case errors.Is(fromTrust(err), ErrNoSuchTable) && c.prover().Relies(plan.rows.table):
		return nil, nil, err // else the server could end the proofs of a table by denying it
	case errors.Is(fromTrust(err), ErrNoSuchTable):
		return nil, c.notATable(ctx, t, args, plan.rows.table), nil
	case err != nil:
		return nil, nil, err
	}
	all := make([][]driver.Value, len(list))
	for i, q := range list {
		all[i] = q.values
	}
	r, err = plan.answer(columns, all)
	return r, nil, err
}

// notATable is the error for a query that reads from a name that is not a table. The query
// may succeed, as for a view, or fail itself.
func (c *Conn) notATable(ctx context.Context, t *query, args []driver.NamedValue, name string) error {
	r, err := c.query(ctx, t, args)
	if err != nil {
		return err
	}
	_ = r.Close() // always nil
	return unsupported("the rows of the query cannot be proven: " + name + " is not a table")
}

// readPlan says how the rows of a query are proven: the client proves the rows of SELECT *
// with the same condition, and then picks the columns that the query asks for.
type readPlan struct {
	unproven error // why they cannot be proven, or nil
	rows     *rowsQuery
	targets  []selected.Target // nil: all columns
	equal    map[string]tree.Expr
	paged    bool // there is an OFFSET
}

// provable returns the plan for a query. It is made at the first call.
func (t *query) provable() *readPlan {
	if plan := t.proof.Load(); plan != nil {
		return plan
	}
	plan, err := newReadPlan(t.plan.Original())
	if err != nil {
		plan = &readPlan{unproven: err}
	}
	t.proof.Store(plan)
	return plan
}

func newReadPlan(text string) (*readPlan, error) {
	script, err := tree.Parse(text)
	if err != nil {
		return nil, err
	}
	if err := checkTail(script); err != nil {
		return nil, unsupported("the rows of the query cannot be proven: " + err.Error())
	}
	s := script.Statements[0].(*tree.Select)
	from := s.From.(*tree.Table)
	plan := &readPlan{paged: s.Offset != nil}
	all := text
	if !s.Star {
		if plan.targets, err = selected.Targets(s, text); err != nil {
			return nil, notProvable(err.Error())
		}
		all = text[:s.TargetsAt.Start] + "*" + text[s.TargetsAt.End:]
		if script, err = tree.Parse(all); err != nil {
			return nil, err
		}
		s = script.Statements[0].(*tree.Select)
	}
	if plan.rows, err = compileRowsQuery(all, from.Name.Name, script); err != nil {
		return nil, err
	}
	plan.equal = selected.Equal(s.Where)
	return plan, nil
}

// proveByKey runs a query for the row with a given primary key in one call, instead of a
// call for the query and one for the proof. r is nil if the query is not of that kind, or
// if the client does not know it yet.
func (c *Conn) proveByKey(ctx context.Context, plan *readPlan, args []driver.NamedValue) (r driver.Rows, err error) {
	def := c.prover().Table(plan.rows.table)
	if def == nil || plan.paged {
		return nil, nil
	}
	var key []any
	for _, id := range def.PrimaryKey {
		at := slices.IndexFunc(def.Columns, func(c proof.Column) bool { return c.ID == id })
		v, ok := plan.rows.valueOf(plan.equal[def.Columns[at].Name], args)
		if !ok {
			return nil, nil
		}
		key = append(key, v)
	}
	if _, err := def.RowKey(key...); err != nil {
		return nil, nil // the server may still accept it as a key
	}
	bound, err := plan.rows.bind(def, args)
	if err != nil {
		return nil, nil
	}
	row, err := c.verifyRow(ctx, plan.rows.table, 0, key)
	switch {
	case errors.Is(err, errNoSuchKey), err == nil && row.Deleted:
		return plan.answer(columnsOf(def), nil)
	case err != nil:
		return nil, err
	case row.Table.Same(def) != nil:
		return nil, nil // the table was changed meanwhile
	}
	values := make([]driver.Value, len(row.Values))
	for i, v := range row.Values {
		values[i] = served.Value(v)
	}
	ok, err := bound.Satisfies(values)
	switch {
	case err != nil:
		return nil, nil
	case !ok:
		return plan.answer(columnsOf(def), nil)
	}
	return plan.answer(columnsOf(def), [][]driver.Value{values})
}

// valueOf returns the value of an expression of selected.Equal. ok is false for NULL.
func (q *rowsQuery) valueOf(x tree.Expr, args []driver.NamedValue) (any, bool) {
	switch x := x.(type) {
	case *tree.Param:
		v := args[x.Index].Value
		if q.script.Style == tree.Named {
			v = namedArg(args, q.script.Names[x.Index]).Value
		}
		return v, v != nil
	case *tree.Literal:
		switch x.Kind {
		case tree.Integer:
			n, err := strconv.ParseInt(x.Raw, 10, 64)
			return n, err == nil
		case tree.String:
			return x.String(), true
		case tree.Bool:
			return x.Int == 1, true
		case tree.Blob:
			return x.Bytes(), true
		}
	}
	return nil, false
}

// columnsOf describes the columns of a table as the result of a query does.
func columnsOf(def *proof.Table) *columns {
	list := make([]wire.Column, len(def.Columns))
	for i, c := range def.Columns {
		list[i] = wire.Column{Name: c.Name, Type: string(c.Type)}
	}
	return newColumns(list, nil, nil)
}

// answer gives the query the columns that it asks for.
func (p *readPlan) answer(all *columns, list [][]driver.Value) (driver.Rows, error) {
	r := &provenRows{list: list}
	r.set = &resultSet{columns: all}
	if p.targets == nil {
		return r, nil
	}
	picked, names, at := make([]wire.Column, len(p.targets)), make([]string, len(p.targets)), make([]int, len(p.targets))
	for i, t := range p.targets {
		if at[i] = slices.Index(all.names, t.Column); at[i] < 0 {
			return nil, newError(ErrNoSuchColumn, "42703", fmt.Sprintf("table %s has no column %s", p.rows.table, t.Column))
		}
		picked[i], names[i] = all.list[at[i]], t.Name
	}
	r.set.columns = newColumns(picked, names, nil)
	for i, values := range list {
		r.list[i] = make([]driver.Value, len(at))
		for j, from := range at {
			r.list[i][j] = values[from]
		}
	}
	return r, nil
}

// provenRows are rows that have been received and proven.
type provenRows struct {
	rows
	list [][]driver.Value
}

func (r *provenRows) Next(dest []driver.Value) error {
	if len(r.list) == 0 {
		return io.EOF
	}
	copy(dest, r.list[0])
	r.list = r.list[1:]
	return nil
}

// Close drops the rows that were not read.
func (r *provenRows) Close() error {
	r.list = nil
	return nil
}

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
