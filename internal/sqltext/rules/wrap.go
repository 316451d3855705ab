package rules

import (
	"fmt"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// isWrapped reports whether a query becomes a derived table, so that an outer query
// orders its rows.
func isWrapped(s *tree.Select) bool {
	if hasWindow(s) {
		return len(s.OrderBy) > 0
	}
	if len(s.GroupBy) == 0 && !s.Star && !s.Distinct && ordersBySubquery(s) {
		return true
	}
	return len(s.GroupBy) > 0 && !s.Distinct && len(missing(s)) > 0
}

// wrap turns a query into a derived table with the expressions of ORDER BY among its
// columns, and orders that table. added are more expressions for its columns.
func (l *look) wrap(s *tree.Select, added []tree.Expr) {
	if s.Star {
		return // its columns are not known from the text
	}
	text := l.script.Text
	for i := range s.OrderBy {
		if l.literals(s.OrderBy[i]); l.has(s.OrderBy[i]) {
			return // done later, when the argument is a literal
		}
	}
	var outer, inner strings.Builder
	for i := range s.Targets {
		t := &s.Targets[i]
		if t.Star {
			return // another rule changes the text
		}
		end := t.Expr.Place().End
		l.replace(tree.Span{Start: end, End: t.End}, fmt.Sprintf(" AS w_%d", i))
		if i > 0 {
			outer.WriteString(", ")
		}
		fmt.Fprintf(&outer, "w_%d AS %s", i, outputName(t, i, text))
	}
	for i, x := range added {
		fmt.Fprintf(&inner, ", %s AS h_%d", spelled(x, text), i)
	}
	for i := range s.OrderBy {
		o := &s.OrderBy[i]
		key, ok := orderedBy(s, o.Expr, text)
		if !ok {
			if s.Distinct || isOrdinal(o.Expr) {
				l.refuse(o.Expr, "")
				return
			}
			key = fmt.Sprintf("o_%d", i)
			fmt.Fprintf(&inner, ", %s AS %s", spelled(o.Expr, text), key)
		}
		l.replace(o.Expr.Place(), key)
	}
	distinct := ""
	if s.Distinct {
		distinct = "DISTINCT "
	}
	l.replace(tree.Span{Start: s.Start, End: s.TargetsAt.Start}, "SELECT "+outer.String()+" FROM (SELECT "+distinct)
	l.replace(tree.Span{Start: s.TargetsAt.End, End: s.TargetsAt.End}, inner.String())
	end := s.End
	for _, tail := range []tree.Span{s.OffsetAt, s.LimitAt, s.OrderAt} {
		if tail.Given() {
			end = tail.Start
		}
	}
	l.replace(tree.Span{Start: end, End: end}, ") ")
}

func isOrdinal(x tree.Expr) bool {
	n, ok := x.(*tree.Literal)
	return ok && n.Kind == tree.Integer
}

// orderedBy returns the name of x as a column of the derived table.
func orderedBy(s *tree.Select, x tree.Expr, text string) (string, bool) {
	if isOrdinal(x) {
		n := x.(*tree.Literal).Int
		return fmt.Sprintf("w_%d", n-1), n >= 1 && n <= uint64(len(s.Targets))
	}
	c, isColumn := x.(*tree.Column)
	for i := range s.Targets {
		t := &s.Targets[i]
		named := isColumn && !c.Table.Given() && t.Alias.Given() && t.Alias.Name == c.Name.Name
		if target, ok := t.Expr.(*tree.Column); ok && isColumn && !t.Alias.Given() {
			named = named || target.Name.Name == c.Name.Name && (!c.Table.Given() || c.Table.Name == target.Table.Name)
		}
		if named || !isColumn && t.Expr.Place().Of(text) == x.Place().Of(text) {
			return fmt.Sprintf("w_%d", i), true
		}
	}
	return "", false
}

// outputName is the name of the i-th column of a result, as a query must write it.
func outputName(t *tree.Target, i int, text string) string {
	if t.Alias.Given() {
		if !plain(t.Alias.Name) {
			return `"` + invented(t.Alias.Name) + `"`
		}
		return `"` + t.Alias.Name + `"`
	}
	if c, ok := t.Expr.(*tree.Column); ok {
		return nameWritten(c.Name, text)
	}
	return fmt.Sprintf("col%d", i)
}
