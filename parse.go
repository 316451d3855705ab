package immudb

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/wire"
)

// query is a query text as the driver understands it, of one or several
// statements. It is made once per distinct text, is immutable and shared.
type query struct {
	*sqltext.Query

	// statements are those of the text, without a BEGIN and COMMIT around it:
	// the server runs the statements of one Exec in one transaction anyway.
	statements []sqltext.Statement
	enclosed   bool // there was such a BEGIN and COMMIT

	// exec is what an Exec outside a transaction sends: the statements without
	// their RETURNING, which would make the server write nothing and say yes.
	exec string

	reads          bool // every statement is a query
	changesCatalog bool
	table          string // the tables that the statements write, with a comma between them; "" if not known

	// columns are those of the last answer to the only statement. They may change
	// with the schema; whoever uses them compares.
	columns atomic.Pointer[columns]
	// answers is what is known of how long the answers to the only statement are.
	answers atomic.Uint32
}

const (
	unknownAnswers uint32 = iota
	shortAnswers          // a single message each, so far
	longAnswers           // a short one was followed by one of more messages
)

// columns are the columns of a result and their names.
type columns struct {
	list  []wire.Column
	names []string
}

func newColumns(list []wire.Column) *columns {
	c := &columns{list: list, names: make([]string, len(list))}
	for i := range list {
		c.names[i] = list[i].Name
	}
	return c
}

// columnsOf returns list with the names it had before, if it is the same.
func (t *query) columnsOf(list []wire.Column) *columns {
	if len(t.statements) > 1 {
		return newColumns(list)
	}
	c := t.columns.Load()
	if c == nil || len(list) == 0 || len(list) != len(c.list) || &list[0] != &c.list[0] {
		c = newColumns(list)
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

// parseQuery reads a query text. Its error is final: the text is refused
// wherever it is used.
func parseQuery(text string) (*query, error) {
	if !utf8.ValidString(text) {
		return nil, &Error{Message: "the query text is not valid UTF-8; pass bytes as an argument or as a blob, x'…'", SQLState: "42601", kind: ErrSyntax}
	}
	q, err := sqltext.Parse(text)
	if err != nil {
		return nil, &Error{Message: err.Error(), SQLState: "42601", kind: ErrSyntax}
	}
	if len(q.Statements) == 0 {
		return nil, &Error{Message: "the query text holds no statement", SQLState: "42601", kind: ErrSyntax}
	}
	t := &query{Query: q, statements: q.Statements, reads: true}
	if n := len(t.statements); n > 2 && t.statements[0].Kind == sqltext.Begin && t.statements[n-1].Kind == sqltext.Commit {
		t.statements, t.enclosed = t.statements[1:n-1], true
	}
	for i := range t.statements {
		st := &t.statements[i]
		if err := refuse(st, len(t.statements) == 1); err != nil {
			return nil, err
		}
		t.reads = t.reads && st.Kind.IsQuery()
		t.changesCatalog = t.changesCatalog || st.Kind.ChangesCatalog()
	}
	if len(t.statements) == 1 {
		st := &t.statements[0]
		t.exec, t.table = st.Text[:st.Returning.End], st.Table
		return t, nil
	}
	var b strings.Builder
	for i := range t.statements {
		st := &t.statements[i]
		b.WriteString(st.Text[:st.Returning.End])
		b.WriteString(";\n")
	}
	t.exec, t.table = b.String(), tablesWritten(t.statements)
	return t, nil
}

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

// refuse returns the reason why a statement is not sent, or nil: these are the
// statements to which the server says yes and does something else.
func refuse(st *sqltext.Statement, alone bool) error {
	switch st.Kind {
	case sqltext.Savepoint, sqltext.RollbackToSavepoint, sqltext.ReleaseSavepoint:
		return unsupported("savepoints are not supported: the server accepts " + st.Kind.String() +
			" and undoes nothing; use a transaction of its own for what may have to be undone")
	case sqltext.AlterColumn:
		return unsupported("ALTER COLUMN is not supported: the server accepts it and changes nothing; " +
			"create a new table and copy the rows")
	case sqltext.Begin, sqltext.Commit, sqltext.Rollback:
		return unsupported(st.Kind.String() + " in a query text is not supported but as BEGIN; …; COMMIT around all of it: " +
			"use sql.DB.BeginTx and the methods of sql.Tx")
	case sqltext.UseDatabase, sqltext.CreateDatabase, sqltext.Access:
		if !alone {
			return unsupported(st.Kind.String() + " must be the only statement of its text: it is not part of a transaction")
		}
	}
	if st.SelfSelect && !alone {
		return errSelfSelect
	}
	if st.FatalList {
		return errFatalList
	}
	if r := &st.Returning; !r.Answerable() {
		for _, it := range r.Items {
			if it.Column == "" || it.Alias != "" {
				return unsupported(fmt.Sprintf("RETURNING %s is not supported: the server answers NULL for "+
					"anything but plain column names; return the columns and compute from them", describeItem(it)))
			}
		}
	}
	return nil
}

// errSelfSelect protects the server, which stops with a panic (seen in v1.11.1)
// when a transaction that has written a table inserts into it from itself.
var errSelfSelect = unsupported("INSERT … SELECT from the table itself is not supported in a transaction or beside other statements: " +
	"it can crash the server; run it alone, outside a transaction")

// errFatalList protects the server likewise, at any time.
var errFatalList = unsupported("a query or a function such as NOW() among the values of IN (…) is not supported: it can crash the server; " +
	"write IN (SELECT …) with one pair of parentheses, or = for a single value")

func describeItem(it sqltext.ReturnItem) string {
	if it.Alias == "" {
		return it.Text
	}
	return it.Text + " AS " + it.Alias
}

// queryCache keeps the texts used lately. Programs use a small number of
// distinct texts; one that builds them without end must not fill the memory.
type queryCache struct {
	mu sync.RWMutex
	m  map[string]*query
}

const (
	maxQueries     = 512
	maxQueryLength = 16 << 10 // bytes; longer ones are bulk writes, seldom repeated
)

// parse returns the parsed form of a query text, made now or before.
func (c *queryCache) parse(text string) (*query, error) {
	c.mu.RLock()
	t := c.m[text]
	c.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	// What is kept must not share memory with what the caller cut text from.
	if len(text) <= maxQueryLength {
		text = strings.Clone(text)
	}
	t, err := parseQuery(text)
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
