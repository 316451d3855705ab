package rules

import (
	"fmt"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// aggregatedRules are about expressions of aggregates: COUNT(*) + 1, COALESCE(MAX(n), 0).
var aggregatedRules = []*Rule{
	{
		Name:      "aggregate-in-expression",
		Construct: "a column of a SELECT without GROUP BY that is an expression of aggregates, or a constant beside one",
		Reason:    "of no rows the server returns no row instead of one; the driver computes the aggregates in a derived table",
		Needs:     tree.HasAggregate,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if s, ok := n.(*tree.Select); ok && computesAggregates(s) {
					l.aggregate(s)
				}
				return true
			})
		},
	},
}

// computesAggregates reports whether a query returns one row, computed from aggregates
// and nothing else, of which one is not returned as it is.
func computesAggregates(s *tree.Select) bool {
	if s.From == nil || s.Star || len(s.GroupBy) > 0 || s.Having != nil || s.Locking.Given() || hasWindow(s) {
		return false
	}
	has, computed := false, false
	for i := range s.Targets {
		x := s.Targets[i].Expr
		if x == nil {
			return false
		}
		if _, bare := x.(*tree.Aggregate); !bare {
			computed = true
		}
		ok := true
		tree.Inspect(x, func(n tree.Node) bool {
			switch n.(type) {
			case *tree.Aggregate:
				has = true
				return false
			case *tree.Column, *tree.Select, *tree.SetOperation:
				ok = false // a column that is not aggregated, or a subquery, which may name one
			}
			return ok
		})
		if !ok {
			return false
		}
	}
	return has && computed
}

// aggregate makes the aggregates of a query the columns of a derived table.
func (l *look) aggregate(s *tree.Select) {
	if len(s.OrderBy) > 0 {
		l.refuse(s.OrderBy[0].Expr, "ORDER BY beside an expression of aggregates, which is one row")
		return
	}
	text := l.script.Text
	var inner []string
	names := make(map[string]string)
	for i := range s.Targets {
		t := &s.Targets[i]
		tree.Inspect(t.Expr, func(n tree.Node) bool {
			a, ok := n.(*tree.Aggregate)
			if !ok {
				return true
			}
			spelling := spelled(a, text)
			name := names[spelling]
			if name == "" {
				name = fmt.Sprintf("g_%d", len(names))
				names[spelling] = name
				inner = append(inner, spelling+" AS "+name)
			}
			if t.Expr == tree.Expr(a) && !t.Alias.Given() {
				name += fmt.Sprintf(" AS col%d", i)
			}
			l.replace(a.Place(), name)
			return false
		})
	}
	distinct := ""
	if s.Where != nil && hasSubquery(s.Where) && len(s.Joins) == 0 && countsAll(names) {
		distinct = "DISTINCT " // see countsKeys
	}
	end := s.TargetsAt.End
	l.replace(tree.Span{Start: end, End: end}, " FROM (SELECT "+distinct+strings.Join(inner, ", "))
	end = s.End
	for _, tail := range []tree.Span{s.OffsetAt, s.LimitAt} {
		if tail.Given() {
			end = tail.Start
		}
	}
	l.replace(tree.Span{Start: end, End: end}, ") ")
	if tree.Node(s) != tree.Node(l.st) {
		l.literals(s) // where the query is a value, the server fills in nothing below FROM
	}
}

// countsAll reports whether COUNT(*) is the only aggregate.
func countsAll(spellings map[string]string) bool {
	for spelling := range spellings {
		if strings.ToUpper(strings.Join(strings.Fields(spelling), "")) != "COUNT(*)" {
			return false
		}
	}
	return true
}

// hasSubquery reports whether a condition has a subquery.
func hasSubquery(where tree.Expr) (found bool) {
	tree.Inspect(where, func(n tree.Node) bool {
		switch n.(type) {
		case *tree.Exists, *tree.InQuery, *tree.Subquery:
			found = true
		}
		return !found
	})
	return found
}
