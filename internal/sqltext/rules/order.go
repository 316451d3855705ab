package rules

import (
	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// orderRules are about ORDER BY and GROUP BY where the server compares only names, and
// so uses the order of an index or of another column.
var orderRules = []*Rule{
	{
		Name:      "sorted-by-name",
		Construct: "ORDER BY or GROUP BY with a joined table's column that has the name of a column of the first table, or with NULLS FIRST or LAST,",
		Reason: "if an index has a column of that name, the server leaves the rows in the order of the index, and splits groups; " +
			"the driver names the column twice, so that the server does not use the index",
		Needs: tree.HasJoin | tree.HasOrderBy,
		look: func(l *look) {
			l.selects(func(s *tree.Select, ordered bool) { l.keepIndexOut(s, ordered) })
		},
	},
	{
		Name:      "alias-hides-column",
		Construct: "ORDER BY with a column whose name is also the alias of something else",
		Reason:    "the server orders by the expression of the alias, even if the query says t.c or means another alias; the driver writes COALESCE(t.c, t.c), which is not a name",
		Needs:     tree.HasAlias,
		look: func(l *look) {
			l.selects(func(s *tree.Select, ordered bool) {
				for i := 0; ordered && i < len(s.OrderBy); i++ {
					if c := l.hidden(s, s.OrderBy[i].Expr); c != nil {
						text := spelled(c, l.script.Text)
						l.replace(s.OrderBy[i].Expr.Place(), "COALESCE("+text+", "+text+")")
					}
				}
			})
		},
	},
	{
		Name:      "order-by-subquery",
		Construct: "ORDER BY with a subquery in SELECT * or SELECT DISTINCT",
		Reason:    "the server returns the rows in another order; the driver orders a derived table that has the expression as a column",
		Needs:     tree.HasOrderBy,
		look: func(l *look) {
			if !l.script.Has.Any(tree.HasSubquery | tree.HasExists) {
				return
			}
			tails := l.tails()
			l.each(func(n tree.Node) bool {
				s, ok := n.(*tree.Select)
				switch {
				case !ok || tails[s] || len(s.GroupBy) > 0 || hasWindow(s) || !ordersBySubquery(s):
				case s.Star || s.Distinct:
					l.refuse(s.OrderBy[0].Expr, "")
				default:
					l.wrap(s, nil)
				}
				return true
			})
		},
	},
	{
		Name:      "order-by-constant",
		Construct: "ORDER BY with the alias of a number",
		Reason:    "the server orders by the column with that number; the driver removes it from ORDER BY",
		Needs:     tree.HasOrderBy,
		look: func(l *look) {
			l.selects(func(s *tree.Select, ordered bool) {
				for i := 0; ordered && i < len(s.OrderBy); i++ {
					x := s.OrderBy[i].Expr
					if key := l.sortedBy(s, x); key != x && isNumber(key) {
						l.replace(x.Place(), "NULL")
					}
				}
			})
		},
	},
	{
		Name:      "distinct-cut-short",
		Construct: "SELECT DISTINCT … ORDER BY … LIMIT",
		Reason:    "the server applies LIMIT before DISTINCT, so rows are missing; the driver adds OFFSET 0, which prevents that",
		Needs:     tree.HasLimit,
		look: func(l *look) {
			l.selects(func(s *tree.Select, ordered bool) {
				if ordered && s.Distinct && len(s.OrderBy) > 0 && s.LimitAt.Given() && !s.OffsetAt.Given() {
					l.replace(tree.Span{Start: s.LimitAt.End, End: s.LimitAt.End}, " OFFSET 0")
				}
			})
		},
	},
}

// selects calls f for each SELECT of the statement. ordered is false if its ORDER BY is
// applied elsewhere: by an outer query, or to all rows of a set operation.
func (l *look) selects(f func(s *tree.Select, ordered bool)) {
	tails := l.tails()
	l.each(func(n tree.Node) bool {
		if s, ok := n.(*tree.Select); ok {
			f(s, !tails[s] && !isWrapped(s))
		}
		return true
	})
}

// tails are the last sides of set operations: ORDER BY after one applies to all rows.
func (l *look) tails() map[*tree.Select]bool {
	if !l.script.Has.Any(tree.HasSetOperation) {
		return nil
	}
	tails := make(map[*tree.Select]bool)
	l.each(func(n tree.Node) bool {
		if s, ok := n.(*tree.SetOperation); ok {
			if last, ok := s.Sides[len(s.Sides)-1].(*tree.Select); ok {
				tails[last] = true
			}
		}
		return true
	})
	return tails
}

// isNumber reports whether the server reads an expression in ORDER BY as the number of
// a column.
func isNumber(x tree.Expr) bool {
	x = tree.Bare(x)
	for {
		sign, ok := x.(*tree.Unary)
		if !ok || sign.Operator != "-" {
			return isOrdinal(x)
		}
		x = tree.Bare(sign.Expr)
	}
}

// ordersBySubquery reports whether a query is ordered by an expression with a
// subquery.
func ordersBySubquery(s *tree.Select) bool {
	found := false
	for i := range s.OrderBy {
		x := s.OrderBy[i].Expr
		if n, ok := x.(*tree.Literal); ok && isOrdinal(x) && n.Int >= 1 && n.Int <= uint64(len(s.Targets)) && s.Targets[n.Int-1].Expr != nil {
			x = s.Targets[n.Int-1].Expr
		} else if t := aliased(s, x); t != nil {
			x = t.Expr
		}
		tree.Inspect(x, func(n tree.Node) bool {
			switch n.(type) {
			case *tree.Exists, *tree.InQuery, *tree.Subquery:
				found = true
			}
			return !found
		})
	}
	return found
}

// aliased returns the target that an expression of ORDER BY names by its alias, or
// nil.
func aliased(s *tree.Select, x tree.Expr) *tree.Target {
	c, ok := x.(*tree.Column)
	if !ok || c.Table.Given() {
		return nil
	}
	for i := range s.Targets {
		if t := &s.Targets[i]; t.Expr != nil && t.Alias.Given() && t.Alias.Name == c.Name.Name {
			return t
		}
	}
	return nil
}

// keepIndexOut makes the server sort and group the rows, if it would otherwise rely on
// the order of an index of other columns.
func (l *look) keepIndexOut(s *tree.Select, ordered bool) {
	from, ok := s.From.(*tree.Table)
	if !ok {
		return
	}
	isOther := func(x tree.Expr) bool {
		c, ok := x.(*tree.Column)
		return ok && len(s.Joins) > 0 && c.Table.Given() && c.Table.Name != nameOf(from)
	}
	text := l.script.Text
	for i := 0; ordered && i < len(s.OrderBy); i++ {
		o := &s.OrderBy[i]
		key := l.sortedBy(s, o.Expr)
		if l.hidden(s, o.Expr) != nil || !isOther(key) && !(o.Nulls && len(s.GroupBy) == 0) {
			continue
		}
		written, at := spelled(key, text), o.Expr.Place()
		if c, ok := o.Expr.(*tree.Column); ok && !c.Table.Given() && aliased(s, c) == nil {
			l.replace(at, written)
		}
		end := s.OrderBy[len(s.OrderBy)-1].End
		l.replace(tree.Span{Start: end, End: end}, ", "+written+text[at.End:o.End])
		break
	}
	for _, g := range s.GroupBy {
		if key := l.groupedBy(s, g); isOther(key) {
			l.replace(tree.Span{Start: s.GroupAt.End, End: s.GroupAt.End}, ", "+spelled(key, text))
			break
		}
	}
}

// sortedBy returns the expression that x in ORDER BY means.
func (l *look) sortedBy(s *tree.Select, x tree.Expr) tree.Expr {
	if n, ok := x.(*tree.Literal); ok && isOrdinal(x) && n.Int >= 1 && n.Int <= uint64(len(s.Targets)) && s.Targets[n.Int-1].Expr != nil {
		return s.Targets[n.Int-1].Expr
	}
	if t := aliased(s, x); t != nil {
		return t.Expr
	}
	if c := l.output(s, x); c != nil {
		return c // a column of the result takes precedence over one of a table
	}
	return x
}

func (l *look) groupedBy(s *tree.Select, c *tree.Column) tree.Expr {
	if t := aliased(s, c); t != nil {
		return t.Expr
	}
	return c
}

// output returns the only column without an alias among the targets that has the name
// x, if x is a name without a table.
func (l *look) output(s *tree.Select, x tree.Expr) *tree.Column {
	c, ok := x.(*tree.Column)
	if !ok || c.Table.Given() {
		return nil
	}
	var found *tree.Column
	for i := range s.Targets {
		t, ok := s.Targets[i].Expr.(*tree.Column)
		if !ok || s.Targets[i].Alias.Given() || t.Name.Name != c.Name.Name {
			continue
		}
		if found != nil {
			return nil
		}
		found = t
	}
	return found
}

// hidden returns the column that x in ORDER BY means, if something else has its name as
// an alias; else nil.
func (l *look) hidden(s *tree.Select, x tree.Expr) *tree.Column {
	c, ok := l.sortedBy(s, x).(*tree.Column)
	if !ok {
		return nil
	}
	t := aliased(s, &tree.Column{Name: c.Name})
	if t == nil {
		return nil
	}
	if same, ok := t.Expr.(*tree.Column); ok && same.Name.Name == c.Name.Name && same.Table.Name == c.Table.Name {
		return nil
	}
	return c
}

// nameOf is the name by which a query knows a table.
func nameOf(t *tree.Table) string {
	if t.Alias.Given() {
		return t.Alias.Name
	}
	return t.Name.Name
}
