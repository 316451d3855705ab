package eval

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// Query is the WHERE, ORDER BY and LIMIT of a SELECT, compiled. It is immutable and
// may be shared between goroutines.
type Query struct {
	where node // nil: every row
	order []term
	limit node // nil: none

	columns     []columnUse
	patterns    int
	maxArgument int // -1: none
	// alongIndex: the server may take the order from an index. All columns must have the
	// same direction then.
	alongIndex bool
}

// columnUse is a column that occurs in the query.
type columnUse struct {
	name  string
	value bool // its value is needed, not only whether it is NULL
}

// compiler turns a tree into nodes.
type compiler struct {
	text  string
	table *tree.Table
	query *Query
	err   error // the first one
	// constants: only constants are allowed, because there is no row.
	constants bool
	// withoutNull are the lists from which the driver removes NULL. The flags mark the
	// values that it checks for NULL.
	withoutNull map[*tree.InList][]bool
}

// Compile compiles a SELECT of one table; text is the query text it was parsed from. The
// rows of the result must be rows of the table: grouping and joins are refused with an
// *Unsupported, like everything else that the client cannot evaluate.
func Compile(text string, s *tree.Select) (*Query, error) {
	c := compiler{text: text, query: &Query{maxArgument: -1}}
	if err := c.shape(s); err != nil {
		return nil, err
	}
	if s.Where != nil {
		c.leaveNullOut(s.Where)
		c.query.where = c.expr(s.Where)
	}
	c.orderBy(s)
	c.constants = true
	if s.Limit != nil {
		c.query.limit = c.expr(s.Limit)
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.query, nil
}

// leaveNullOut finds the lists from which the driver removes NULL by its rule
// null-in-list: those of a column in a condition that must hold.
func (c *compiler) leaveNullOut(x tree.Expr) {
	switch x := tree.Bare(x).(type) {
	case *tree.Chain:
		for _, part := range x.Operands {
			c.leaveNullOut(part)
		}
	case *tree.InList:
		if _, ok := tree.Bare(x.Expr).(*tree.Column); ok && !x.Not {
			given := make([]bool, len(x.Values))
			for i, v := range x.Values {
				switch v := tree.Bare(v).(type) {
				case *tree.Literal:
					given[i] = v.Kind == tree.Null
				case *tree.Param:
					given[i] = true
				}
			}
			if c.withoutNull == nil {
				c.withoutNull = make(map[*tree.InList][]bool)
			}
			c.withoutNull[x] = given
		}
	}
}

// shape refuses clauses that make other rows than those of one table.
func (c *compiler) shape(s *tree.Select) error {
	var ok bool
	if c.table, ok = s.From.(*tree.Table); !ok || len(s.Joins) > 0 {
		return &Unsupported{"FROM", "the client evaluates conditions on the rows of one table: ask for those of each table by itself"}
	}
	switch {
	case s.Distinct:
		return &Unsupported{"DISTINCT", "its rows are none of the table"}
	case len(s.GroupBy) > 0 || s.Having != nil:
		return &Unsupported{"GROUP BY", "its rows are none of the table"}
	}
	for _, t := range s.Targets {
		if t.Expr == nil {
			continue
		}
		tree.Inspect(t.Expr, func(n tree.Node) bool {
			switch n.(type) {
			case *tree.Aggregate, *tree.Window:
				c.refuse(t, "its rows are none of the table")
			}
			return true
		})
	}
	return c.err
}

func (c *compiler) refuse(n tree.Node, reason string) node {
	if c.err == nil {
		c.err = &Unsupported{c.of(n), reason}
	}
	return &constant{}
}

// orderBy compiles ORDER BY.
func (c *compiler) orderBy(s *tree.Select) {
	c.query.alongIndex = true
	for i := range s.OrderBy {
		o := &s.OrderBy[i]
		x := tree.Bare(standsFor(s, o.Expr))
		_, plain := x.(*tree.Column)
		if !plain || o.Nulls || o.Descending != s.OrderBy[0].Descending {
			c.query.alongIndex = false
		}
		t := term{x: c.expr(x), descending: o.Descending, nullsFirst: !o.Descending}
		if o.Nulls {
			t.nullsFirst = o.NullsFirst
		}
		switch t.x.(type) {
		case *constant, *argument:
			c.refuse(o, "name the column")
		}
		c.query.order = append(c.query.order, t)
	}
}

// standsFor returns the expression that x in ORDER BY means: a number is the number of
// a target, and a name without a table may be the alias of one.
func standsFor(s *tree.Select, x tree.Expr) tree.Expr {
	switch x := x.(type) {
	case *tree.Literal:
		if n := x.Int; x.Kind == tree.Integer && 1 <= n && n <= uint64(len(s.Targets)) && s.Targets[n-1].Expr != nil {
			return s.Targets[n-1].Expr
		}
	case *tree.Column:
		for i := range s.Targets {
			if t := &s.Targets[i]; !x.Table.Given() && t.Alias.Given() && t.Alias.Name == x.Name.Name {
				return t.Expr
			}
		}
	}
	return x
}

func (c *compiler) expr(x tree.Expr) node {
	switch x := x.(type) {
	case *tree.Paren:
		return c.expr(x.Expr)
	case *tree.Literal:
		return c.literal(x)
	case *tree.Param:
		c.query.maxArgument = max(c.query.maxArgument, x.Index)
		return &argument{x.Index}
	case *tree.Column:
		return c.column(x, true)
	case *tree.Unary:
		return c.unary(x)
	case *tree.Chain:
		return c.chain(x)
	case *tree.Compare:
		op, ok := operators[x.Operator]
		if !ok {
			return c.refuse(x, "the operator "+x.Operator+" is unknown")
		}
		return &comparison{op, c.expr(x.Left), c.expr(x.Right), c.of(x)}
	case *tree.Between:
		return &between{c.expr(x.Expr), c.expr(x.Low), c.expr(x.High), c.of(x)}
	case *tree.IsNull:
		if name, ok := tree.Bare(x.Expr).(*tree.Column); ok {
			return &isNull{c.column(name, false), x.Not}
		}
		return &isNull{c.expr(x.Expr), x.Not}
	case *tree.InList:
		return &inList{c.expr(x.Expr), c.exprs(x.Values), x.Not, c.withoutNull[x], c.of(x)}
	case *tree.Like:
		c.query.patterns++
		return &like{c.expr(x.Expr), c.expr(x.Pattern), x.Not, x.IgnoreCase, c.query.patterns - 1, c.of(x)}
	case *tree.Cast:
		to := typeNames[x.Type]
		if to == json || to == untyped {
			return c.refuse(x, "the client does not cast to "+x.Type)
		}
		operand := c.expr(x.Expr)
		if literal, ok := operand.(*constant); ok {
			if v, ok := convert(&literal.value, to); ok {
				return &constant{v}
			}
		}
		return &cast{operand, to, c.of(x)}
	}
	return c.refuse(x, reasonAgainst(x))
}

// reasonAgainst returns the reason and the remedy for an expression that cannot be
// evaluated from one row.
func reasonAgainst(x tree.Expr) string {
	switch x.(type) {
	case *tree.Subquery, *tree.InQuery, *tree.Exists:
		return "read the rows of the subquery by themselves, and pass their values as arguments"
	case *tree.Call:
		return "compute it in the program and pass the value as an argument, or filter the rows in the program"
	case *tree.Extract:
		return "compare the time with the ends of the period"
	case *tree.Case:
		return "write it with AND and OR"
	}
	return "filter the rows in the program"
}

// of returns the text of n for an error, with … in place of literals, which may be
// secrets.
func (c *compiler) of(n tree.Node) string {
	at := n.Place()
	var b strings.Builder
	tree.Inspect(n, func(n tree.Node) bool {
		if l, ok := n.(*tree.Literal); ok && (l.Kind == tree.String || l.Kind == tree.Blob) && l.Start >= at.Start {
			b.WriteString(c.text[at.Start:l.Start])
			b.WriteString("…")
			at.Start = l.End
		}
		return true
	})
	if b.Len() == 0 {
		return at.Of(c.text)
	}
	return b.String() + at.Of(c.text)
}

func (c *compiler) exprs(list []tree.Expr) []node {
	nodes := make([]node, len(list))
	for i, x := range list {
		nodes[i] = c.expr(x)
	}
	return nodes
}

func (c *compiler) literal(l *tree.Literal) node {
	v := value{}
	switch l.Kind {
	case tree.Null:
		v = null(untyped)
	case tree.Bool:
		v = truth(l.Int == 1)
	case tree.Integer:
		if l.Int > math.MaxInt64 {
			return c.refuse(l, "the number is larger than any INTEGER: pass it as an argument")
		}
		v = value{typ: integer, n: int64(l.Int)}
	case tree.Float:
		f, err := strconv.ParseFloat(l.Raw, 64)
		if err != nil {
			return c.refuse(l, "it is not a FLOAT")
		}
		v = value{typ: float, f: f}
	case tree.String:
		v = value{typ: varchar, s: l.String()}
	case tree.Blob:
		v = value{typ: blob, b: l.Bytes()}
	}
	return &constant{v}
}

// column finds the slot of a column. value is false if the column is only compared with
// NULL.
func (c *compiler) column(x *tree.Column, value bool) node {
	table := c.table.Name
	if c.table.Alias.Given() {
		table = c.table.Alias
	}
	switch {
	case c.constants:
		return c.refuse(x, "there is no row that could have this column")
	case x.Table.Given() && x.Table.Name != table.Name:
		return c.refuse(x, "the query reads no table or alias of this name")
	}
	columns := c.query.columns
	at := slices.IndexFunc(columns, func(u columnUse) bool { return u.name == x.Name.Name })
	if at < 0 {
		at = len(columns)
		columns = append(columns, columnUse{name: x.Name.Name})
	}
	columns[at].value = columns[at].value || value
	c.query.columns = columns
	return &column{at}
}

func (c *compiler) unary(x *tree.Unary) node {
	operand := c.expr(x.Expr)
	if x.Operator == "NOT" {
		return &not{operand, c.of(x)}
	}
	if n, ok := operand.(*constant); ok && n.value.typ == integer {
		return &constant{value{typ: integer, n: -n.value.n}}
	}
	zero := &constant{value{typ: integer}}
	return &arithmetic{[]node{zero, operand}, []byte{'-'}, c.of(x)}
}

func (c *compiler) chain(x *tree.Chain) node {
	operands := c.exprs(x.Operands)
	if op := x.Operators[0]; op == "AND" || op == "OR" {
		return &logic{op == "OR", operands, c.of(x)}
	}
	ops := make([]byte, len(x.Operators))
	for i, op := range x.Operators {
		ops[i] = op[0]
	}
	return &arithmetic{operands, ops, c.of(x)}
}
