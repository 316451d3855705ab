package rules

import (
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
					if !isWrapped(n) {
						l.ordinals(n.OrderBy, n, false)
					}
				case *tree.SetOperation:
					l.ordinals(n.OrderBy, firstSide(n), true)
					if last, ok := n.Sides[len(n.Sides)-1].(*tree.Select); ok {
						// These follows the last side, and are meant for all rows.
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
}

// sideRules are about what the server does not read.
var sideRules = []*Rule{
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
		case t.Alias.Given() && unique(s, t) && (byName || !isNumber(t.Expr)):
			l.replace(x.Span, nameWritten(t.Alias, l.script.Text))
		case byName && isColumn && !t.Alias.Given():
			l.replace(x.Span, nameWritten(column.Name, l.script.Text))
		case byName:
			l.refuse(x, "")
		case l.has(t.Expr):
			l.literals(t.Expr) // then the literal is found again
		case isNumber(t.Expr):
			l.replace(x.Span, "NULL") // a number would be the number of a column
		default:
			l.replace(x.Span, spelled(t.Expr, l.script.Text))
		}
	}
}

// unique reports whether no other target has the alias of one.
func unique(s *tree.Select, t *tree.Target) bool {
	n := 0
	for i := range s.Targets {
		if s.Targets[i].Alias.Name == t.Alias.Name {
			n++
		}
	}
	return n == 1
}

// nameWritten is a name as another place of the text can have it.
func nameWritten(id tree.Ident, text string) string {
	switch raw := id.Of(text); {
	case id.Quoted && !plain(id.Name):
		return `"` + invented(id.Name) + `"`
	case id.Quoted, isAggregateName(raw):
		return `"` + id.Name + `"`
	default:
		return raw
	}
}

// isAggregateName reports whether a word is the name of an aggregate function for the
// server where it is not in quotes.
func isAggregateName(word string) bool {
	switch strings.ToUpper(word) {
	case "COUNT", "SUM", "MAX", "MIN", "AVG", "STRING_AGG":
		return true
	}
	return false
}

// spelled is an expression as another place of the text can have it.
func spelled(x tree.Expr, text string) string {
	c, ok := x.(*tree.Column)
	switch {
	case !ok:
		return strings.ReplaceAll(x.Place().Of(text), "`", `"`)
	case c.Table.Given():
		return nameWritten(c.Table, text) + "." + nameWritten(c.Name, text)
	}
	return nameWritten(c.Name, text)
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
				l.replace(g.Span, spelled(column, l.script.Text))
				break
			}
			sc := scopeOf(s, nil)
			l.refuseTables(g, "", nil, func(tables Tables, _ Args) bool { return sc.columnType(tables, g) != "" })
		}
	}
}

// tailOfAll makes ORDER BY, LIMIT and OFFSET after the last side of a set operation
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
