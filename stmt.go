package immudb

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
	"github.com/immudb-go/immudb/internal/wire"
)

// query is a parsed query of one or several statements. There is one for each
// distinct query string; it is shared, and does not change apart from its atomic
// fields.
type query struct {
	*sqltext.Query

	// statements are those of the query, without BEGIN and COMMIT around them: the
	// server runs the statements of one Exec in one transaction anyway.
	statements []sqltext.Statement
	enclosed   bool // BEGIN and COMMIT were around them
	rolledBack bool // BEGIN and ROLLBACK were around them: all is undone at the end

	plan  *rules.Plan // the result of the rules
	names [][]string  // by statement, the names of its columns, if they differ from the server's

	aliases []map[string]string // by statement, names of columns by the server's names, if their positions are not known

	// exec is what an Exec outside a transaction sends: the statements without
	// RETURNING, because with it the server would write nothing and report success.
	exec string

	strict         bool // it was checked with the rules of [Config.Strict]
	reads          bool // every statement is a query
	readsOwn       bool // a statement may read what one before it wrote
	changesCatalog bool
	savepoints     bool   // it has savepoint statements, see [Conn.inSteps]
	table          string // the tables that the statements write, with a comma between them; "" if not known

	// columns are those of the last answer to the only statement. The schema may have
	// changed since, so they are compared with those of the next answer.
	columns atomic.Pointer[columns]
	// answers tells whether the answers to the only statement were single messages.
	answers atomic.Uint32
	// literals: the server does not fill in all arguments, see [query.unfilled].
	literals atomic.Bool
	// whole is the query as it was completed last, or nil.
	whole atomic.Pointer[query]
	// proof is how its rows are proven, or nil until that is asked for.
	proof atomic.Pointer[readPlan]
	// schema tells whether it reads the catalog, see [query.readsCatalog].
	schema atomic.Uint32
	// guarded is the query as it was guarded last, or nil, see [Conn.guard].
	guarded atomic.Pointer[query]
}

const (
	unknownAnswers uint32 = iota
	shortAnswers          // each answer so far was a single message
	longAnswers           // after a single message an answer had more
)

// columns are the columns of a result and their names.
type columns struct {
	list  []wire.Column
	names []string
	json  []int // the indexes of those of type JSON
}

// newColumns gives the columns their names: those of names where it has one, else
// those of the server.
func newColumns(list []wire.Column, names []string, aliases map[string]string) *columns {
	c := &columns{list: list, names: make([]string, len(list))}
	for i := range list {
		c.names[i] = list[i].Name
		if list[i].Type == "JSON" {
			c.json = append(c.json, i)
		}
		if len(names) == len(list) && names[i] != "" {
			c.names[i] = names[i]
		} else if name := aliases[list[i].Name]; name != "" {
			c.names[i] = name
		}
	}
	return c
}

// columnsOf returns list, which answers a statement, with the names it had before
// if it is the same.
func (t *query) columnsOf(st *sqltext.Statement, list []wire.Column) *columns {
	if len(t.statements) > 1 {
		for i := range t.statements {
			if st == &t.statements[i] {
				return newColumns(list, t.names[i], t.aliases[i])
			}
		}
		return newColumns(list, nil, nil)
	}
	c := t.columns.Load()
	if c == nil || len(list) == 0 || len(list) != len(c.list) || &list[0] != &c.list[0] {
		c = newColumns(list, t.names[0], t.aliases[0])
		t.columns.Store(c)
	}
	return c
}

// knownColumns returns what columnsOf remembered, or nil.
func (t *query) knownColumns() []wire.Column {
	if c := t.columns.Load(); c != nil {
		return c.list
	}
	return nil
}

// parseQuery parses a query and applies the rules for statements that the server
// runs wrongly, with strict those of [Config.Strict] too. A query that it refuses is
// refused on every connection.
func parseQuery(text string, strict bool) (*query, error) {
	if !utf8.ValidString(text) {
		return nil, &Error{Message: "the query text is not valid UTF-8; pass bytes as an argument or as a blob, x'…'", SQLState: "42601", kind: ErrSyntax}
	}
	q, err := sqltext.Parse(text)
	if err != nil {
		return nil, &Error{Message: "syntax error: " + err.Error(), SQLState: "42601", kind: ErrSyntax}
	}
	plan, refusal := rules.Check(q.Script, strict)
	if refusal != nil {
		return nil, refused(refusal)
	}
	if plan.Text != text {
		if q, err = sqltext.Parse(plan.Text); err != nil {
			return nil, fmt.Errorf("immudb: the driver has rewritten the query wrongly, please report it: %w", err)
		}
	}
	t := newQuery(q, plan)
	t.strict = strict
	return t, nil
}

func newQuery(q *sqltext.Query, plan *rules.Plan) *query {
	t := &query{Query: q, plan: plan, statements: q.Statements, reads: true, readsOwn: rules.ReadsOwn(q.Script), names: make([][]string, len(q.Statements)),
		aliases: make([]map[string]string, len(q.Statements))}
	for i, names := range plan.Names {
		t.names[i] = names
	}
	for i, aliases := range plan.Aliases {
		t.aliases[i] = aliases
	}
	if t.enclosed, t.rolledBack = rules.Enclosed(q.Script), rules.RolledBack(q.Script); t.enclosed || t.rolledBack {
		t.statements = t.statements[1 : len(t.statements)-1]
		t.names, t.aliases = t.names[1:], t.aliases[1:]
	}
	for i := range t.statements {
		st := &t.statements[i]
		t.reads = t.reads && st.Kind.IsQuery()
		t.savepoints = t.savepoints || st.Kind.IsSavepoint()
		t.changesCatalog = t.changesCatalog || st.Kind.ChangesCatalog()
	}
	if len(t.statements) == 1 {
		st := &t.statements[0]
		t.exec, t.table = st.Text[:st.Returning.End], st.Table
		return t
	}
	var b strings.Builder
	for i := range t.statements {
		st := &t.statements[i]
		b.WriteString(st.Text[:st.Returning.End])
		b.WriteString(";\n")
	}
	t.exec, t.table = b.String(), tablesWritten(t.statements)
	return t
}

// refused is the error of a construct that a rule refuses.
func refused(r *rules.Refusal) error { return unsupported(r.Error()) }

// tablesWritten names the tables that statements write, each once.
func tablesWritten(statements []sqltext.Statement) string {
	var tables []string
	for i := range statements {
		if t := statements[i].Table; t != "" {
			tables = append(tables, t)
		}
	}
	slices.Sort(tables)
	return strings.Join(slices.Compact(tables), ",")
}

// queryCache keeps parsed queries. Programs use few distinct queries; the cache is
// bounded for programs that build new ones all the time.
type queryCache struct {
	strict bool
	mu     sync.RWMutex
	m      map[string]*query
}

const (
	maxQueries     = 512
	maxQueryLength = 16 << 10 // bytes; longer ones are bulk writes, seldom repeated
)

// parse returns the parsed form of a query, from the cache if it is there.
func (c *queryCache) parse(text string) (*query, error) {
	c.mu.RLock()
	t := c.m[text]
	c.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	// The cached string must not keep a larger string of the caller in memory.
	if len(text) <= maxQueryLength {
		text = strings.Clone(text)
	}
	t, err := parseQuery(text, c.strict)
	if err != nil || len(text) > maxQueryLength {
		return t, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = make(map[string]*query)
	}
	if len(c.m) >= maxQueries {
		for victim := range c.m { // at random, so that no access pattern is pathological
			delete(c.m, victim)
			break
		}
	}
	c.m[text] = t
	return t, nil
}

var (
	_ driver.Stmt             = (*stmt)(nil)
	_ driver.StmtExecContext  = (*stmt)(nil)
	_ driver.StmtQueryContext = (*stmt)(nil)
)

// stmt is a parsed query on a connection. The server does not know it, so it stays
// valid when the session is lost.
type stmt struct {
	conn  *Conn
	query *query
}

func (s *stmt) Close() error  { return nil }
func (s *stmt) NumInput() int { return s.query.NumInput }

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.exec(ctx, s.query, args)
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.queryOrProve(ctx, s.query, args)
}

// Exec implements driver.Stmt; database/sql calls ExecContext.
func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), namedValues(args))
}

// Query implements driver.Stmt; database/sql calls QueryContext.
func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), namedValues(args))
}

func namedValues(args []driver.Value) []driver.NamedValue {
	named := make([]driver.NamedValue, len(args))
	for i, v := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return named
}
