package rules

import "github.com/immudb-go/immudb/internal/sqltext/tree"

// aggregateRules are about COUNT, SUM and the other aggregates.
var aggregateRules = []*Rule{
	{
		Name:      "aggregates-of-one-column",
		Construct: "COUNT and COUNT(DISTINCT) of the same column, or STRING_AGG with different separators, in one query",
		Reason:    "the server returns the value of one of them for both; use two queries",
		Needs:     tree.HasAggregate,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if s, ok := n.(*tree.Select); ok {
					l.aggregatesApart(s)
				}
				return true
			})
		},
	},
	{
		Name:      "distinct-left-out",
		Construct: "DISTINCT in an aggregate other than COUNT, MIN and MAX",
		Reason:    "the server ignores it; aggregate the distinct values of a subquery: SELECT SUM(n) FROM (SELECT DISTINCT n FROM t)",
		Needs:     tree.HasAggregate,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if a, ok := n.(*tree.Aggregate); ok && a.Distinct && (a.Name == "SUM" || a.Name == "AVG" || a.Name == "STRING_AGG") {
					l.refuse(a, a.Name+"(DISTINCT …)")
				}
				return true
			})
		},
	},
	{
		Name:      "count-beside-subquery",
		Construct: "COUNT(*) with a subquery in WHERE",
		Reason: "the server reads only keys, so the columns that the subquery names are missing; " +
			"the driver writes DISTINCT COUNT(*), which makes it read the rows",
		Needs: tree.HasAggregate,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if s, ok := n.(*tree.Select); ok && countsKeys(s) {
					at := s.TargetsAt.Start
					l.replace(tree.Span{Start: at, End: at}, "DISTINCT ")
				}
				return true
			})
		},
	},
	{
		Name:      "aggregate-not-selected",
		Construct: "HAVING or ORDER BY of an aggregate that is not a column of the result",
		Reason:    "the server does not compute it; the driver makes a derived table that has it as a column",
		Needs:     tree.HasGroupBy,
		look: func(l *look) {
			l.selects(func(s *tree.Select, _ bool) {
				if !hasWindow(s) && len(s.GroupBy) > 0 && isWrapped(s) && !l.tails()[s] {
					l.wrap(s, missing(s))
				}
			})
		},
	},
}

// countsKeys reports whether a query is SELECT COUNT(*) FROM t WHERE … with a subquery
// in the condition, and nothing that keeps the server from counting keys.
func countsKeys(s *tree.Select) bool {
	if len(s.Targets) != 1 || s.Distinct || len(s.Joins) > 0 || len(s.GroupBy) > 0 || s.Having != nil || s.Where == nil {
		return false
	}
	if a, ok := s.Targets[0].Expr.(*tree.Aggregate); !ok || a.Name != "COUNT" || a.Column != nil || a.Over != nil {
		return false
	}
	return hasSubquery(s.Where)
}

// missing returns the aggregates of HAVING and ORDER BY that are not among the columns
// of a query.
func missing(s *tree.Select) []tree.Expr {
	var have []*tree.Aggregate
	var list []tree.Expr
	find := func(x tree.Expr, f func(*tree.Aggregate)) {
		if x == nil {
			return
		}
		tree.Inspect(x, func(n tree.Node) bool {
			switch n := n.(type) {
			case *tree.Aggregate:
				f(n)
			case *tree.Select:
				return false
			}
			return true
		})
	}
	for i := range s.Targets {
		find(s.Targets[i].Expr, func(a *tree.Aggregate) { have = append(have, a) })
	}
	add := func(a *tree.Aggregate) {
		for _, other := range have {
			if other.Name == a.Name && other.Star == a.Star && (a.Star || sameColumn(other.Column, a.Column)) {
				return
			}
		}
		have, list = append(have, a), append(list, a)
	}
	find(s.Having, add)
	for i := range s.OrderBy {
		find(s.OrderBy[i].Expr, add)
	}
	return list
}

// aggregatesApart checks that no two aggregates of one query have the same function
// and column, because the server does not distinguish them by anything else.
func (l *look) aggregatesApart(s *tree.Select) {
	var seen []*tree.Aggregate
	look := func(x tree.Expr) {
		if x == nil {
			return
		}
		tree.Inspect(x, func(n tree.Node) bool {
			a, ok := n.(*tree.Aggregate)
			if !ok {
				_, below := n.(*tree.Select)
				return !below
			}
			if a.Column == nil || a.Over != nil {
				return false
			}
			for _, other := range seen {
				if other.Name == a.Name && sameColumn(other.Column, a.Column) &&
					(a.Name == "COUNT" && other.Distinct != a.Distinct || separator(other) != separator(a)) {
					l.refuse(a, "")
				}
			}
			seen = append(seen, a)
			return false
		})
	}
	for i := range s.Targets {
		look(s.Targets[i].Expr)
	}
	look(s.Having)
	for i := range s.OrderBy {
		look(s.OrderBy[i].Expr)
	}
}

// sameColumn reports whether two columns may be the same one.
func sameColumn(a, b *tree.Column) bool {
	return a.Name.Name == b.Name.Name && (a.Table.Name == b.Table.Name || !a.Table.Given() || !b.Table.Given())
}

func separator(a *tree.Aggregate) string {
	if a.Separator == nil {
		return ", " // the server's default
	}
	return a.Separator.String()
}
