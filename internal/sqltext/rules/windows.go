package rules

import (
	"database/sql/driver"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// windowRules are about OVER (…).
var windowRules = []*Rule{
	{
		Name:      "window-outside-select-list",
		Construct: "OVER (…) as part of a larger expression",
		Reason: "the server supports window functions only as whole columns of a SELECT; elsewhere it returns NULL or crashes; " +
			"select the window function in a subquery and use its column",
		Needs: tree.HasOver,
		look: func(l *look) {
			whole := make(map[tree.Node]bool)
			l.each(func(n tree.Node) bool {
				if s, ok := n.(*tree.Select); ok {
					for i := range s.Targets {
						if x := s.Targets[i].Expr; x != nil {
							whole[x] = true
						}
					}
				}
				if hasOver(n) && !whole[n] {
					l.refuse(n, "")
				}
				return true
			})
		},
	},
	{
		Name:      "window-function-unknown",
		Construct: "a window function that the server does not support",
		Reason: "the server returns NULL for each row, or ignores the argument; it supports ROW_NUMBER, RANK, DENSE_RANK, LAG and LEAD of a column and a number, " +
			"FIRST_VALUE, LAST_VALUE and the aggregates",
		Needs: tree.HasOver,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if c, ok := n.(*tree.Call); ok && c.Over != nil {
					l.windowCall(c)
				}
				return true
			})
		},
	},
	{
		Name:      "window-of-whole-partition",
		Construct: "an aggregate or LAST_VALUE OVER (… ORDER BY …), or NTILE",
		Reason: "the server computes it from all rows of the partition, not from those up to the row, and NTILE gives uneven parts; " +
			"leave out ORDER BY for the whole partition, write FIRST_VALUE with the order reversed, or compute it in the program",
		Needs: tree.HasOver,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				switch n := n.(type) {
				case *tree.Aggregate:
					switch {
					case n.Over == nil:
					case len(n.Over.OrderBy) > 0:
						l.refuse(n, n.Name+" OVER (… ORDER BY …)")
					case n.Name == "COUNT" && !n.Star:
						l.refuse(n, "COUNT of a column OVER, which counts NULL too,")
					}
				case *tree.Call:
					name := strings.ToUpper(n.Name.Name)
					if n.Over != nil && (name == "NTILE" || name == "LAST_VALUE" && len(n.Over.OrderBy) > 0) {
						l.refuse(n, name)
					}
				}
				return true
			})
		},
	},
	{
		Name:      "window-of-no-column",
		Construct: "a column in OVER (…) that does not exist",
		Reason:    "the server ignores it without an error; name a column of the tables that the query reads, not an alias",
		Needs:     tree.HasOver,
		look: func(l *look) {
			l.scoped(func(n tree.Node, s scope) {
				w, ok := n.(*tree.Window)
				if !ok || w == nil {
					return
				}
				tree.Inspect(w, func(n tree.Node) bool {
					if c, ok := n.(*tree.Column); ok {
						l.refuseTables(c, "", nil, func(tables Tables, _ Args) bool {
							return strings.HasPrefix(c.Name.Name, "_") || !s.isKnown(tables) || s.columnType(tables, c) != ""
						})
					}
					return true
				})
			})
		},
	},
	{
		Name:      "order-beside-window",
		Construct: "ORDER BY of something that is not a column of the result, with SELECT DISTINCT and a window function",
		Reason:    "the server returns the rows in the order of the window; name the columns, or order in an outer query",
		Needs:     tree.HasOver,
		look: func(l *look) {
			l.selects(func(s *tree.Select, _ bool) {
				if hasWindow(s) && isWrapped(s) && !l.tails()[s] {
					l.wrap(s, nil)
				}
			})
		},
	},
}

func hasOver(n tree.Node) bool {
	switch n := n.(type) {
	case *tree.Aggregate:
		return n.Over != nil
	case *tree.Call:
		return n.Over != nil
	case *tree.TableFunction:
		return n.Over != nil
	}
	return false
}

// hasWindow reports whether a query has a window function among its columns.
func hasWindow(s *tree.Select) bool {
	for i := range s.Targets {
		if x := s.Targets[i].Expr; x != nil && hasOver(x) {
			return true
		}
	}
	return false
}

// windowArgs are the window functions that the server supports, with the number of
// arguments that it uses at most.
var windowArgs = map[string]int{"ROW_NUMBER": 0, "RANK": 0, "DENSE_RANK": 0, "NTILE": 1, "LAG": 2, "LEAD": 2, "FIRST_VALUE": 1, "LAST_VALUE": 1}

func (l *look) windowCall(c *tree.Call) {
	name := strings.ToUpper(c.Name.Name)
	most, known := windowArgs[name]
	switch {
	case !known:
		l.refuse(c, name+" OVER")
	case len(c.Args) > most:
		l.refuse(c, name+" with a default")
	case len(c.Args) == 2:
		switch x := tree.Bare(c.Args[1]).(type) {
		case *tree.Param:
			l.refuseArgument(x, name+" of a distance that is no number", func(v driver.Value) bool { _, ok := v.(int64); return ok })
		case *tree.Literal:
			if x.Kind != tree.Integer {
				l.refuse(x, name+" of a distance that is no number")
			}
		case *tree.Unary:
			if n, ok := tree.Bare(x.Expr).(*tree.Literal); !ok || n.Kind != tree.Integer || x.Operator != "-" {
				l.refuse(x, name+" of a computed distance")
			}
		default:
			l.refuse(x, name+" of a computed distance")
		}
	}
}
