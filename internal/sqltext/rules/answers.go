package rules

import (
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// answerRules are about queries that the server answers with wrong rows, or in the
// wrong order, without an error. Most are rewritten so that the answer is right.
var answerRules = []*Rule{
	{
		Name:      "order-by-ordinal",
		Construct: "ORDER BY the number of a column",
		Reason:    "the server orders by that column of the table, not of the answer; name the column or its alias",
		Needs:     tree.HasOrdinal,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				switch n := n.(type) {
				case *tree.Select:
					l.ordinals(n.OrderBy, n, false)
				case *tree.SetOperation:
					l.ordinals(n.OrderBy, firstSide(n), true)
					if last, ok := n.Sides[len(n.Sides)-1].(*tree.Select); ok {
						// These stand behind the last side, and are meant for all rows.
						l.ordinals(last.OrderBy, firstSide(n), true)
						return false
					}
				}
				return true
			})
		},
	},
	{
		Name:      "group-by-alias",
		Construct: "GROUP BY the alias of an expression",
		Reason:    "the server makes one group of all rows; group by the expression in a subquery: SELECT k, COUNT(*) FROM (SELECT … AS k FROM t) GROUP BY k",
		Needs:     tree.HasGroupBy,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if s, ok := n.(*tree.Select); ok {
					l.groupByAlias(s)
				}
				return true
			})
		},
	},
	{
		Name:      "count-beside-distinct",
		Construct: "COUNT and COUNT(DISTINCT) of one column beside each other",
		Reason:    "the server answers the number of distinct values for both; ask for them in two queries",
		Needs:     tree.HasAggregate,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				s, ok := n.(*tree.Select)
				if !ok {
					return true
				}
				var counts []*tree.Aggregate
				for _, a := range aggregatesOf(s) {
					if a.Name == "COUNT" && a.Column != nil {
						for _, other := range counts {
							if other.Column.Name.Name == a.Column.Name.Name && other.Distinct != a.Distinct {
								l.refuse(a, "")
							}
						}
						counts = append(counts, a)
					}
				}
				return true
			})
		},
	},
	{
		Name:      "order-after-set-operation",
		Construct: "ORDER BY, LIMIT or OFFSET of a qualified column after UNION, EXCEPT or INTERSECT",
		Reason:    "the server applies it to the last query alone; order by the name of a column of the answer",
		Needs:     tree.HasSetOperation,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if s, ok := n.(*tree.SetOperation); ok {
					l.tailOfAll(s)
				}
				return true
			})
		},
	},
	{
		Name:      "order-beside-window",
		Construct: "ORDER BY of a qualified column beside a window function",
		Reason:    "the server leaves the rows in the order of the window; order by the name of a column of the answer",
		Needs:     tree.HasOver,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				s, ok := n.(*tree.Select)
				if ok && len(s.OrderBy) > 0 && slices.ContainsFunc(s.Targets, func(t tree.Target) bool { return t.Expr != nil && hasOver(t.Expr) }) {
					l.inSubquery(s, tree.Span{Start: s.OrderAt.Start, End: s.OrderAt.Start}, s.OrderBy)
				}
				return true
			})
		},
	},
	{
		Name:      "window-function-unknown",
		Construct: "a window function that the server does not know",
		Reason:    "the server answers NULL for each row; it knows ROW_NUMBER, RANK, DENSE_RANK, NTILE, LAG, LEAD, FIRST_VALUE, LAST_VALUE and the aggregates",
		Needs:     tree.HasOver,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				switch n := n.(type) {
				case *tree.Call:
					if n.Over == nil {
						return true
					}
					name := strings.ToUpper(n.Name.Name)
					most, known := windowArgs[name]
					switch {
					case !known:
						l.refuse(n, name+" OVER")
					case len(n.Args) > most:
						l.refuse(n, name+" with a default")
					}
				case *tree.Aggregate:
					if n.Over != nil && n.Name == "COUNT" && !n.Star {
						l.refuse(n, "COUNT of a column OVER, which counts NULL too,")
					}
				}
				return true
			})
		},
	},
	{
		Name:      "row-locks",
		Construct: "SKIP LOCKED",
		Reason:    "there are no row locks: transactions are serializable, and one of two that write the same fails at its commit",
		Needs:     tree.HasLocking,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if s, ok := n.(*tree.Select); ok && s.Locking.Given() {
					if s.Locking.SkipLocked {
						l.refuse(s.Locking, "")
					}
					l.replace(s.Locking.Span, "")
				}
				return true
			})
		},
	},
	{
		Name:      "brackets-around-side",
		Construct: "brackets around a query",
		Reason:    "the server takes them around a derived table only; the driver makes one of it",
		Needs:     tree.HasBrackets,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if b, ok := n.(*tree.Brackets); ok {
					l.replace(tree.Span{Start: b.Start, End: b.Start}, "SELECT * FROM ")
				}
				return true
			})
		},
	},
	{
		Name:      "table-star",
		Construct: "t.* of something that is no table",
		Reason:    "the server does not know t.*, and the driver spells out the columns of tables only; name the columns",
		Needs:     tree.HasTableStar,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				s, ok := n.(*tree.Select)
				if !ok {
					return true
				}
				for i := range s.Targets {
					switch {
					case !s.Targets[i].Star:
					case len(s.Targets) == 1 && len(s.Joins) == 0:
						l.replace(s.Targets[i].Span, "*")
					default:
						l.plan.Stars = true
					}
				}
				return true
			})
		},
	},
}

// SpellStars writes the columns of tables in place of t.*.
func SpellStars(script *tree.Script, tables Tables) (string, *Refusal) {
	i := slices.IndexFunc(answerRules, func(r *Rule) bool { return r.Name == "table-star" })
	l := look{script: script, rule: answerRules[i], plan: &Plan{}}
	for _, st := range script.Statements {
		l.st = st
		l.each(func(n tree.Node) bool {
			if s, ok := n.(*tree.Select); ok {
				l.spellStars(s, tables)
			}
			return true
		})
	}
	text, _ := apply(script.Text, l.edits)
	return text, l.refusal
}

func (l *look) spellStars(s *tree.Select, tables Tables) {
	sources := scopeOf(s, nil).sources
	for i := range s.Targets {
		target := &s.Targets[i]
		if !target.Star {
			continue
		}
		var found *Table
		for _, source := range sources {
			t, ok := source.(*tree.Table)
			if ok && (t.Alias.Name == target.Table.Name || !t.Alias.Given() && t.Name.Name == target.Table.Name) {
				found = tables.Table(t.Name.Name)
			}
		}
		if found == nil {
			l.refuse(target, "")
			continue
		}
		of := target.Table.Of(l.script.Text)
		names := make([]string, len(found.Columns))
		for j := range found.Columns {
			names[j] = of + "." + quoted(found.Columns[j].Name)
		}
		l.replace(target.Span, strings.Join(names, ", "))
	}
}

// quoted writes a name that the catalog gave: one with capital letters is a keyword,
// which the server would fold in quotes.
func quoted(name string) string {
	if strings.ToLower(name) != name {
		return name
	}
	return `"` + name + `"`
}

// windowArgs are the window functions that the server knows, and the most arguments
// that it looks at.
var windowArgs = map[string]int{"ROW_NUMBER": 0, "RANK": 0, "DENSE_RANK": 0, "NTILE": 1, "LAG": 2, "LEAD": 2, "FIRST_VALUE": 1, "LAST_VALUE": 1}

func aggregatesOf(s *tree.Select) []*tree.Aggregate {
	var list []*tree.Aggregate
	for i := range s.Targets {
		if a, ok := s.Targets[i].Expr.(*tree.Aggregate); ok {
			list = append(list, a)
		}
	}
	return list
}

// firstSide is the query that names the columns of a set operation, or nil.
func firstSide(s *tree.SetOperation) *tree.Select {
	side := s.Sides[0]
	for {
		switch q := side.(type) {
		case *tree.Select:
			return q
		case *tree.Brackets:
			side = q.Query
		case *tree.SetOperation:
			side = q.Sides[0]
		default:
			return nil
		}
	}
}

// ordinals replaces numbers in ORDER BY by what they stand for among the targets of
// s: by the expression or, if byName, by the name of the column of the answer.
func (l *look) ordinals(orders []tree.Order, s *tree.Select, byName bool) {
	for i := range orders {
		x, ok := orders[i].Expr.(*tree.Literal)
		if !ok || x.Kind != tree.Integer {
			continue
		}
		if s == nil || s.Star || x.Int < 1 || x.Int > uint64(len(s.Targets)) || s.Targets[x.Int-1].Expr == nil {
			l.refuse(x, "")
			continue
		}
		t := &s.Targets[x.Int-1]
		column, isColumn := t.Expr.(*tree.Column)
		switch {
		case t.Alias.Given():
			l.replace(x.Span, t.Alias.Of(l.script.Text))
		case byName && isColumn:
			l.replace(x.Span, column.Name.Of(l.script.Text))
		case byName || len(l.script.ParamsOf(t.Expr)) > 0:
			l.refuse(x, "")
		default:
			l.replace(x.Span, t.Expr.Place().Of(l.script.Text))
		}
	}
}

// groupByAlias spells out aliases of columns.
func (l *look) groupByAlias(s *tree.Select) {
	for _, g := range s.GroupBy {
		if g.Table.Given() {
			continue
		}
		for i := range s.Targets {
			t := &s.Targets[i]
			if t.Expr == nil || t.Alias.Name != g.Name.Name || !t.Alias.Given() {
				continue
			}
			if column, ok := t.Expr.(*tree.Column); ok {
				l.replace(g.Span, column.Of(l.script.Text))
				break
			}
			sc := scopeOf(s, nil)
			l.refuseTables(g, "", nil, func(tables Tables, _ Args) bool { return sc.columnType(tables, g) != "" })
		}
	}
}

// tailOfAll makes ORDER BY, LIMIT and OFFSET behind the last side of a set operation
// apply to all rows.
func (l *look) tailOfAll(s *tree.SetOperation) {
	if s.TailAt.Given() {
		l.inSubquery(s, tree.Span{Start: s.TailAt.Start, End: s.TailAt.Start}, s.OrderBy)
		return
	}
	last, ok := s.Sides[len(s.Sides)-1].(*tree.Select)
	if !ok {
		return
	}
	for _, at := range []tree.Span{last.OrderAt, last.LimitAt, last.OffsetAt} {
		if at.Given() {
			l.inSubquery(s, tree.Span{Start: at.Start, End: at.Start}, last.OrderBy)
			return
		}
	}
}

// inSubquery puts what stands before tail into a derived table.
func (l *look) inSubquery(n tree.Node, tail tree.Span, orders []tree.Order) {
	for i := range orders {
		if c, ok := orders[i].Expr.(*tree.Column); ok && c.Table.Given() {
			l.refuse(c, "")
		}
	}
	start := n.Place().Start
	l.replace(tree.Span{Start: start, End: start}, "SELECT * FROM (")
	l.replace(tail, ") ")
}
