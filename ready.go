package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
	"github.com/immudb-go/immudb/internal/value"
	"github.com/immudb-go/immudb/internal/wire"
)

// ready checks the arguments of a query, and applies the rules that depend on them,
// before anything is sent. It returns the query and the arguments to send, which
// may be rewritten because the server would not run the originals correctly.
func (c *Conn) ready(ctx context.Context, t *query, args []driver.NamedValue) (*query, []driver.NamedValue, error) {
	t, args, err := c.correct(ctx, t, args)
	if err == nil && (t.readsOwn || c.tx != nil && len(c.tx.written.Tables) > 0) {
		t, err = c.guard(ctx, t)
	}
	return t, args, err
}

// correct is ready without regard to the transaction that the query runs in.
func (c *Conn) correct(ctx context.Context, t *query, args []driver.NamedValue) (*query, []driver.NamedValue, error) {
	if err := checkArgs(t.Query, args); err != nil {
		return nil, nil, err
	}
	for _, r := range t.plan.Renamed {
		if err := c.checkRename(ctx, r); err != nil {
			return nil, nil, err
		}
	}
	if !t.plan.ChecksArguments() && !t.literals.Load() {
		return t, args, nil
	}
	values := t.arguments(args)
	if r := t.plan.CheckArguments(values); r != nil {
		return nil, nil, refused(r)
	}
	tables := &tablesOf{ctx: ctx, conn: c}
	if t.plan.NeedsTables(values) {
		if r := t.plan.CheckTables(tables, values); r != nil && tables.err == nil {
			return nil, nil, refused(r)
		}
	}
	if t.plan.MayFit(values) {
		args = t.with(args, t.plan.Fitted(tables, values))
		values = t.arguments(args)
	}
	if tables.err != nil {
		return nil, nil, tables.err
	}
	if t.plan.WantsLiterals(values) || t.literals.Load() && t.NumInput > 0 {
		filled, err := t.withLiterals(values)
		if err != nil {
			return nil, nil, err
		}
		return c.correct(ctx, filled, nil)
	}
	text, changed := t.plan.Complete(tables)
	if !changed || text == t.plan.Original() || tables.err != nil {
		return t, args, tables.err
	}
	whole, err := t.completed(text)
	if err != nil {
		return nil, nil, err
	}
	return c.correct(ctx, whole, args)
}

// completed is the query after a rewriting that depends on tables, to the given SQL.
// The last one is kept, because tables seldom change.
func (t *query) completed(text string) (*query, error) {
	if whole := t.whole.Load(); whole != nil && whole.plan.Original() == text {
		return whole, nil
	}
	whole, err := parseQuery(text, t.strict)
	if err == nil {
		t.whole.Store(whole)
	}
	return whole, err
}

// withLiterals is the query with its arguments written into the SQL as literals.
func (t *query) withLiterals(values rules.Args) (*query, error) {
	text, err := t.plan.WithLiterals(values)
	if err != nil {
		return nil, newError(ErrInvalidValue, "22023", err.Error())
	}
	return parseQuery(text, t.strict)
}

// unfilled reports whether err means that the server does not fill in an argument,
// in a place that the rules do not know: in a query of a view, for instance, which
// looks like a query of a table. From then on the query's arguments are written as
// literals.
func (t *query) unfilled(err error) bool {
	var e *Error
	if t.NumInput == 0 || !errors.As(err, &e) || !strings.Contains(e.Message, "missing parameter(") {
		return false
	}
	t.literals.Store(true)
	return true
}

// arguments finds the argument for a placeholder by its index.
func (t *query) arguments(args []driver.NamedValue) rules.Args {
	return func(index int) driver.Value {
		if t.Style == sqltext.Named {
			return namedArg(args, t.Names[index]).Value
		}
		return args[index].Value
	}
}

// with returns the arguments with other values for those with the indexes.
func (t *query) with(args []driver.NamedValue, values map[int]driver.Value) []driver.NamedValue {
	if len(values) == 0 {
		return args
	}
	args = slices.Clone(args)
	for at, v := range values {
		if t.Style == sqltext.Named {
			namedArg(args, t.Names[at]).Value = v
		} else {
			args[at].Value = v
		}
	}
	return args
}

// tablesOf looks tables up for the rules.
type tablesOf struct {
	ctx  context.Context
	conn *Conn
	err  error // the first failure that is not the absence of a table
}

func (t *tablesOf) Table(name string) *rules.Table {
	found, err := t.conn.table(t.ctx, name)
	if err != nil {
		if !errors.Is(err, ErrNoSuchTable) && t.err == nil {
			t.err = err
		}
		return nil
	}
	return &found.Table
}

func (t *tablesOf) IsView(name string) bool {
	if _, err := t.conn.table(t.ctx, name); !errors.Is(err, ErrNoSuchTable) {
		return false // after another error the statement itself will fail too
	}
	_, err := t.conn.names(t.ctx, "SELECT 1 FROM "+quoteName(name)+" LIMIT 1")
	return err == nil
}

// checkRename refuses to rename a column that a CHECK names. The server tells of
// such a column only when it is to be dropped, so that is tried, in a transaction
// that is never committed.
func (c *Conn) checkRename(ctx context.Context, r rules.Renamed) error {
	req := wire.AppendSQL(nil, "ALTER TABLE "+quoteName(r.Table)+" DROP COLUMN "+quoteName(r.Column))
	var refusal *wire.Failure
	err := c.inSession(ctx, begins, "", func(*session.Session) *wire.Failure {
		tx, f := c.lease.Begin(ctx, wire.NewTxRequest{Mode: wire.ReadWrite}.Append(nil))
		if f != nil {
			return f
		}
		refusal = tx.Call(ctx, wire.MethodTxSQLExec, req, wire.Empty)
		c.sawPrimary()
		tx.Undo()
		return nil
	})
	if err != nil {
		return err
	}
	if refusal != nil && refusal.Fate == wire.Refused && strings.Contains(refusal.Message, " constraint requires it") {
		return refused(r.Refusal)
	}
	return nil
}

// bound is a statement with its checked arguments, ready to be sent.
type bound struct {
	query *query
	st    *sqltext.Statement // nil: all statements of the text
	args  []driver.NamedValue
	sql   string // the statement as it is sent
}

// bind binds the i-th statement of the text.
func (q *query) bind(i int, args []driver.NamedValue) bound {
	st := &q.statements[i]
	return bound{query: q, st: st, args: args, sql: st.Text}
}

// bindAll binds all statements of a text that is sent to SQLExec.
func (q *query) bindAll(args []driver.NamedValue) bound {
	return bound{query: q, args: args, sql: q.exec}
}

// request returns the request that runs the statement, appended to memory, or in
// new memory if that is nil.
func (b *bound) request(memory []byte) ([]byte, error) {
	if memory == nil {
		memory = make([]byte, 0, len(b.sql)+24*len(b.args)+8)
	}
	req := wire.AppendSQL(memory, b.sql)
	names, args := b.query.Names, b.args
	if b.st != nil {
		names = b.st.Names
	}
	var err error
	if b.query.Style == sqltext.Named {
		for _, name := range names {
			if req, err = wire.AppendNamedParam(req, name, namedArg(args, name).Value); err != nil {
				return nil, err
			}
		}
		return req, nil
	}
	if b.st != nil {
		args = args[b.st.FirstArg : b.st.FirstArg+b.st.NumArgs]
	}
	for i := range args {
		if req, err = wire.AppendNumberedParam(req, i+1, args[i].Value); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// CheckNamedValue converts an argument to one of the types that can be sent:
// int64, float64, bool, string, []byte, time.Time or nil.
//
// Pointers are followed; a nil pointer, a nil []byte and a nil driver.Valuer are
// NULL. A named type is converted like its underlying basic type. A json.RawMessage
// and a [16]byte, the usual type for UUIDs, become strings, for JSON and UUID
// columns. A time.Time is sent as microseconds in UTC: finer digits are cut off, and
// the time zone is lost. For other types, and for values out of range, the error
// names the argument.
func (c *Conn) CheckNamedValue(arg *driver.NamedValue) error {
	v, err := value.Convert(arg.Value)
	if err != nil {
		name := fmt.Sprintf("$%d", arg.Ordinal)
		if arg.Name != "" {
			name = "@" + arg.Name
		}
		return newError(ErrInvalidValue, "22023", fmt.Sprintf("argument %s: %s", name, err))
	}
	arg.Value = v
	return nil
}

// checkArgs returns an error for arguments that do not fit the query's placeholders.
func checkArgs(q *sqltext.Query, args []driver.NamedValue) error {
	for i := range args {
		switch name := args[i].Name; {
		case name != "" && q.Style != sqltext.Named:
			return newError(ErrSyntax, "07001", fmt.Sprintf("argument @%s is named but the statement has no @name: "+
				"pass it without sql.Named, in the order of the placeholders", name))
		case name == "" && q.Style == sqltext.Named:
			return newError(ErrSyntax, "07001", fmt.Sprintf("argument $%d has no name but the statement takes @names: "+
				"pass it with sql.Named", args[i].Ordinal))
		case name != "" && !slices.ContainsFunc(q.Names, func(n string) bool { return strings.EqualFold(n, name) }):
			return newError(ErrSyntax, "07001", fmt.Sprintf("the statement has no placeholder @%s", name))
		}
	}
	if len(args) != q.NumInput {
		return newError(ErrSyntax, "07001", fmt.Sprintf("the statement takes %d arguments, got %d", q.NumInput, len(args)))
	}
	for _, name := range q.Names {
		if namedArg(args, name) == nil {
			return newError(ErrSyntax, "07001", fmt.Sprintf("no argument for placeholder @%s", name))
		}
	}
	return nil
}

// namedArg finds the argument for a placeholder. Case does not count, because the
// server folds names to lower case.
func namedArg(args []driver.NamedValue, name string) *driver.NamedValue {
	for i := range args {
		if strings.EqualFold(args[i].Name, name) {
			return &args[i]
		}
	}
	return nil
}
