package rules

import (
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// answerRules are about queries for which the server returns wrong rows, or rows in
// the wrong order, without an error. Most are rewritten so that the result is right.
var answerRules = []*Rule{
	{
		Name:      "order-by-ordinal",
		Construct: "ORDER BY with the number of a column",
		Reason:    "the server orders by that column of the table, not of the result; write the column's name or alias",
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
						// ORDER BY follows the last side but applies to all rows.
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
		Construct: "GROUP BY with the alias of an expression",
		Reason:    "the server puts all rows into one group; group by the expression in a subquery: SELECT k, COUNT(*) FROM (SELECT … AS k FROM t) GROUP BY k",
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
		Reason:    "the server applies it only to the last query; order by the name of a column of the result",
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

// sideRules are about syntax that the server does not accept.
var sideRules = []*Rule{
	{
		Name:      "row-locks",
		Construct: "SKIP LOCKED",
		Reason:    "the server has no row locks: transactions are serializable, and if two write the same row, the second commit fails",
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
		Construct: "parentheses around a query",
		Reason:    "the server allows them only around a derived table; the driver turns the query into one",
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

// wordRules are about what other databases accept and the server does not.
var wordRules = []*Rule{
	{
		Name:      "select-without-from",
		Construct: "SELECT with WHERE, ORDER BY or LIMIT, but without FROM",
		Reason:    "the server does not accept it; the driver adds FROM (VALUES (1))",
		Needs:     tree.HasNoFrom,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if s, ok := n.(*tree.Select); ok && s.From == nil && s.End > s.TargetsAt.End {
					l.replace(tree.Span{Start: s.TargetsAt.End, End: s.TargetsAt.End}, " FROM (VALUES (1))")
				}
				return true
			})
		},
	},
	{
		Name:      "current-timestamp",
		Construct: "CURRENT_TIMESTAMP",
		Reason:    "the server takes it for a column; the driver writes NOW(), unless a table of the query may have a column with that name",
		Needs:     tree.HasCurrentTime,
		look:      (*look).currentTime,
	},
}

// currentTime replaces CURRENT_TIMESTAMP where it cannot be a column.
func (l *look) currentTime() {
	const name = "current_timestamp"
	if slices.Contains(l.aliases(), name) {
		return
	}
	var edits []edit
	var common, read []string
	switch l.st.(type) {
	case *tree.Insert, *tree.Update, *tree.Delete:
		read = append(read, changed(l.st))
	}
	l.each(func(n tree.Node) bool {
		switch n := n.(type) {
		case *tree.With:
			for _, t := range n.Tables {
				common = append(common, t.Name.Name)
			}
		case *tree.Table:
			read = append(read, n.Name.Name)
		case *tree.Select:
			if len(n.GroupBy) > 0 {
				return false
			}
			for i := range n.Targets { // the result keeps the name
				if c, ok := n.Targets[i].Expr.(*tree.Column); ok && c.IsCurrentTime() && !n.Targets[i].Alias.Given() {
					edits = append(edits, edit{tree.Span{Start: c.End, End: c.End}, " AS " + name})
				}
			}
		case *tree.Aggregate, *tree.JSONPath: // of columns only
			return false
		case *tree.Column:
			if n.IsCurrentTime() {
				edits = append(edits, edit{n.Span, "NOW()"})
			}
		}
		return true
	})
	l.later(func(tables Tables) []edit {
		for _, source := range read {
			if t := tables.Table(source); t == nil && !slices.Contains(common, source) || t.Column(name) != nil {
				return nil
			}
		}
		return edits
	})
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

// ordinals replaces each number in ORDER BY by the target of s that it means: by its
// expression or, if byName, by the name of the column of the result.
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
			l.literals(t.Expr) // with a literal in its place the rule applies again
		case isNumber(t.Expr):
			l.replace(x.Span, "NULL") // a number would be the number of a column
		default:
			l.replace(x.Span, spelled(t.Expr, l.script.Text))
		}
	}
}

// unique reports whether no other target of s has the alias of t.
func unique(s *tree.Select, t *tree.Target) bool {
	n := 0
	for i := range s.Targets {
		if s.Targets[i].Alias.Name == t.Alias.Name {
			n++
		}
	}
	return n == 1
}

// nameWritten returns a name in the form in which it can be copied to another place of
// the text.
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

// isAggregateName reports whether the server reads a word without quotes as the name of
// an aggregate function.
func isAggregateName(word string) bool {
	switch strings.ToUpper(word) {
	case "COUNT", "SUM", "MAX", "MIN", "AVG", "STRING_AGG":
		return true
	}
	return false
}

// spelled returns an expression in the form in which it can be copied to another place
// of the text.
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

// groupByAlias replaces aliases of columns in GROUP BY by the columns.
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

// inSubquery turns the part of the query before tail into a derived table.
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
