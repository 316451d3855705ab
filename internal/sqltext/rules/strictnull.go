package rules

import (
	"database/sql/driver"
	"slices"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// comparisons refuses conditions in WHERE that are true for NULL on the server but not
// in standard SQL: c < 1, c <> 1 and NOT (c = 1) of a column that may be NULL, and
// c > NULL. Comparisons with = NULL and <> NULL are allowed: programs mean IS NULL and
// IS NOT NULL by them, and so does the server.
func (l *look) comparisons() {
	switch st := l.st.(type) {
	case *tree.Update:
		l.compared(st.Where, scope{target: changed(st)}, nil)
	case *tree.Delete:
		l.compared(st.Where, scope{target: changed(st)}, nil)
	case *tree.Select:
		l.compared(st.Where, scopeOf(st, nil), st.Joins)
	}
	l.scoped(func(n tree.Node, s scope) {
		if sel, ok := n.(*tree.Select); ok {
			l.compared(sel.Where, s.within(sel), sel.Joins)
		}
	})
}

func (l *look) compared(where tree.Expr, s scope, joins []*tree.Join) {
	if where == nil {
		return
	}
	w := condition{
		column: func(c *tree.Column, at tree.Node, with tree.Expr) {
			var when func(Args) bool
			switch x := tree.Bare(with).(type) {
			case *tree.Literal:
				if x.Kind == tree.Null {
					return // c <> NULL is c IS NOT NULL
				}
			case *tree.Param:
				when = func(args Args) bool { return args(x.Index) != nil }
			}
			l.refuseTables(at, "a comparison that "+l.quote(c)+" meets where it is NULL", when,
				func(tables Tables, _ Args) bool { return !s.mayBeNull(tables, c, joins) })
		},
		null: func(x tree.Expr) {
			const construct = "a comparison with NULL"
			switch x := tree.Bare(x).(type) {
			case *tree.Literal:
				if x.Kind == tree.Null {
					l.refuse(x, construct)
				}
			case *tree.Param:
				l.refuseArgument(x, construct, func(v driver.Value) bool { return v != nil })
			}
		},
	}
	w.walk(where, false, nil)
}

// condition looks for comparisons that are true for NULL.
type condition struct {
	// column is called for a comparison that is true if the column is NULL. with is the
	// other operand of the operator, or nil.
	column func(c *tree.Column, at tree.Node, with tree.Expr)
	null   func(x tree.Expr) // called for the other operand of a comparison that is true if that operand is NULL
}

// walk checks a condition. negated: it is under a NOT. The columns of sure need no check:
// another part of the condition excludes NULL, or selects rows with NULL on purpose.
func (w *condition) walk(x tree.Expr, negated bool, sure []*tree.Column) {
	meets := func(side tree.Expr, null bool, with tree.Expr) {
		c, ok := tree.Bare(side).(*tree.Column)
		if ok && null && !slices.ContainsFunc(sure, func(s *tree.Column) bool { return isSame(s, c) }) {
			w.column(c, x, with)
		}
	}
	switch x := tree.Bare(x).(type) {
	case *tree.Unary:
		if x.Operator == "NOT" {
			w.walk(x.Expr, !negated, sure)
		}
	case *tree.Chain:
		if x.Operators[0] != "AND" && x.Operators[0] != "OR" {
			return
		}
		all := (x.Operators[0] == "AND") != negated
		sure = slices.Clone(sure)
		for _, part := range x.Operands {
			sure = append(sure, known(part, negated, all)...)
		}
		for _, part := range x.Operands {
			w.walk(part, negated, sure)
		}
	case *tree.Compare:
		operator := operatorOf(x, negated)
		meets(x.Left, operator == "<" || operator == "<=" || operator == "!=", x.Right)
		meets(x.Right, operator == ">" || operator == ">=" || operator == "!=", x.Left)
		if operator != "=" && operator != "!=" { // = and != mean IS NULL and IS NOT NULL here
			w.null(x.Left)
			w.null(x.Right)
		}
	case *tree.Like:
		meets(x.Expr, x.Not != negated, nil)
	case *tree.Between:
		meets(x.Expr, negated, nil)
		w.null(x.Low)
		w.null(x.High)
	case *tree.InList:
		meets(x.Expr, x.Not != negated, nil)
	case *tree.InQuery:
		meets(x.Expr, x.Not != negated, nil)
	}
}

// operatorOf is the operator of a comparison, or the opposite one under a NOT.
func operatorOf(x *tree.Compare, negated bool) string {
	switch {
	case negated:
		return opposite[x.Operator]
	case x.Operator == "<>":
		return "!="
	}
	return x.Operator
}

var opposite = map[string]string{"=": "!=", "!=": "=", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}

// known returns the columns for which a part of a condition decides about NULL. If all
// parts must be true, these are the columns that are not NULL when this part is true;
// else the columns that are NULL when it is true.
func known(part tree.Expr, negated, all bool) []*tree.Column {
	var columns []*tree.Column
	add := func(x tree.Expr, holds bool) {
		if c, ok := tree.Bare(x).(*tree.Column); ok && holds {
			columns = append(columns, c)
		}
	}
	switch x := tree.Bare(part).(type) {
	case *tree.Unary:
		if x.Operator == "NOT" {
			return known(x.Expr, !negated, all)
		}
	case *tree.IsNull:
		add(x.Expr, (x.Not != negated) == all)
	case *tree.Chain:
		if x.Operators[0] == "AND" && !negated && all {
			for _, operand := range x.Operands {
				columns = append(columns, known(operand, negated, all)...)
			}
		}
	case *tree.Compare:
		operator := operatorOf(x, negated)
		add(x.Left, all && (operator == "=" || operator == ">" || operator == ">="))
		add(x.Right, all && (operator == "=" || operator == "<" || operator == "<="))
	case *tree.Between:
		add(x.Expr, all && !negated)
	case *tree.InList:
		add(x.Expr, all && x.Not == negated)
	case *tree.Like:
		add(x.Expr, all && x.Not == negated)
	}
	return columns
}

// isSame reports whether two names may mean the same column.
func isSame(a, b *tree.Column) bool {
	return a.Name.Name == b.Name.Name && (!a.Table.Given() || !b.Table.Given() || a.Table.Name == b.Table.Name)
}

// mayBeNull reports whether a column may be NULL: its table allows it, or an outer join
// may have no row of its table. joins are those of the scope's query.
func (s *scope) mayBeNull(tables Tables, c *tree.Column, joins []*tree.Join) bool {
	if s.target != "" && (!c.Table.Given() || c.Table.Name == s.target) {
		if found := tables.Table(s.target).Column(c.Name.Name); found != nil {
			return found.Nullable
		}
	}
	for i, source := range s.sources {
		if s.typeIn(tables, source, c) == "" {
			continue
		}
		for at, j := range joins {
			if j.Kind == "FULL" || j.Kind == "RIGHT" && i <= at || j.Kind == "LEFT" && i == at+1 {
				return true
			}
		}
		t, ok := source.(*tree.Table)
		if !ok || s.isCommon(t.Name.Name) {
			return false // a column of a derived table: not known
		}
		found := tables.Table(t.Name.Name).Column(c.Name.Name)
		return found != nil && found.Nullable
	}
	return s.outer != nil && s.outer.mayBeNull(tables, c, nil)
}
