package rules

import (
	"fmt"
	"slices"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// subqueryRules are about EXISTS (SELECT …) and IN (SELECT …). Before the server runs
// such a query for a row of the outer query, it replaces columns in its WHERE by values
// of that row. It compares only the names, and it drops the clauses after WHERE.
var subqueryRules = []*Rule{
	{
		Name:      "subquery-takes-outer-column",
		Construct: "a column without its table in the WHERE of EXISTS (…) or IN (SELECT …), or a table there that the outer query reads too,",
		Reason:    "the server uses the column of the outer query if it has one with that name; the driver adds the table's name",
		Needs:     tree.HasExists | tree.HasSubquery,
		look: func(l *look) {
			l.subqueries(func(s *tree.Select, outer scope) {
				if s.Where != nil && mayBeTaken(s, outer) {
					l.later(func(tables Tables) []edit { return qualified(s, outer, tables) })
				}
			})
		},
	},
	{
		Name:      "subquery-without-its-end",
		Construct: "LIMIT, OFFSET, GROUP BY or HAVING in EXISTS (…) or IN (SELECT …) that names columns of the outer query,",
		Reason:    "the server ignores them; join the tables, or put the condition into WHERE",
		Needs:     tree.HasExists | tree.HasSubquery,
		look: func(l *look) {
			l.subqueries(func(s *tree.Select, outer scope) {
				if s.Where == nil || !matters(s) {
					return
				}
				inner := scopeOf(s, nil)
				inner.common = outer.common
				correlated := func(tables Tables) bool { return namesOthers(s, inner, tables) }
				l.refuseTables(s, "", nil, func(tables Tables, _ Args) bool { return !correlated(tables) })
				l.derive(s.Span, false)
			})
		},
	},
}

// matters reports whether a query would return other rows without the clauses after
// its WHERE.
func matters(s *tree.Select) bool {
	return s.LimitAt.Given() || s.OffsetAt.Given() || s.Having != nil || len(s.GroupBy) > 0
}

// subqueries calls f for the queries of EXISTS and IN that run for each row of
// another query.
func (l *look) subqueries(f func(s *tree.Select, outer scope)) {
	l.scoped(func(n tree.Node, s scope) {
		var q tree.Query
		switch n := n.(type) {
		case *tree.Exists:
			q = n.Query
		case *tree.InQuery:
			q = n.Query
		}
		if sub, ok := q.(*tree.Select); ok {
			f(sub, s)
		}
	})
}

// own calls f for the columns in n that belong to the query itself and not to a
// subquery of it.
func own(n tree.Node, f func(*tree.Column)) {
	if n == nil {
		return
	}
	tree.Inspect(n, func(n tree.Node) bool {
		switch n := n.(type) {
		case *tree.Column:
			f(n)
		case *tree.Select, *tree.SetOperation, *tree.With:
			return false
		}
		return true
	})
}

// namesOthers reports whether the WHERE of a query names a column that its sources do
// not have.
func namesOthers(s *tree.Select, inner scope, tables Tables) bool {
	found := false
	own(s.Where, func(c *tree.Column) {
		if c.Table.Given() {
			found = found || !inner.has(c.Table.Name)
		} else {
			found = found || inner.isKnown(tables) && inner.columnType(tables, c) == ""
		}
	})
	return found
}

// has reports whether a source of the scope has that name or alias.
func (s *scope) has(name string) bool {
	for _, source := range s.sources {
		if sourceName(source) == name {
			return true
		}
	}
	return s.target == name && name != ""
}

// sourceName is the name or alias of a source in its query, or "".
func sourceName(source tree.Source) string {
	switch source := source.(type) {
	case *tree.Table:
		return nameOf(source)
	case *tree.Derived:
		return source.Alias.Name
	case *tree.TableFunction:
		return source.Alias.Name
	}
	return ""
}

// qualified adds the table's name to the columns of a query in its WHERE. A table with
// the name of one of the outer query gets an alias.
func qualified(s *tree.Select, outer scope, tables Tables) []edit {
	var edits []edit
	inner := scopeOf(s, nil)
	inner.common = outer.common
	renamed := make(map[string]string)
	for i, source := range inner.sources {
		name := sourceName(source)
		if name == "" || !outer.has(name) {
			continue
		}
		other := fmt.Sprintf("%s_%d_%d", name, source.Place().Start, i)
		switch source := source.(type) {
		case *tree.Table:
			edits = append(edits, aliasedAs(source, source.Alias, other))
		case *tree.Derived:
			edits = append(edits, aliasedAs(source, source.Alias, other))
		default:
			continue
		}
		renamed[name] = other
	}
	rename := func(c *tree.Column) {
		if name, ok := renamed[c.Table.Name]; ok && c.Table.Given() {
			edits = append(edits, edit{c.Table.Span, name})
		}
	}
	if len(renamed) > 0 {
		seen(s, rename)
	}
	own(s.Where, func(c *tree.Column) {
		if c.Table.Given() {
			return
		}
		for _, source := range inner.sources {
			name := sourceName(source)
			if name == "" || inner.typeIn(tables, source, c) == "" {
				continue
			}
			if other, ok := renamed[name]; ok {
				name = other
			}
			edits = append(edits, edit{tree.Span{Start: c.Start, End: c.Start}, name + "."})
			return
		}
	})
	return edits
}

// aliasedAs gives a source another alias.
func aliasedAs(source tree.Source, alias tree.Ident, name string) edit {
	if alias.Given() {
		return edit{alias.Span, name}
	}
	end := source.Place().End
	return edit{tree.Span{Start: end, End: end}, " AS " + name}
}

// mayBeTaken reports whether the server could confuse a column in a subquery's WHERE
// with one of the outer query.
func mayBeTaken(s *tree.Select, outer scope) bool {
	inner := scopeOf(s, nil)
	for _, source := range inner.sources {
		if name := sourceName(source); name != "" && outer.has(name) {
			return true
		}
	}
	found := false
	own(s.Where, func(c *tree.Column) { found = found || !c.Table.Given() })
	return found
}

// seen calls f for the columns within a query that may belong to its tables. It leaves
// out subqueries that read a table with the same name.
func seen(s *tree.Select, f func(*tree.Column)) {
	var walk func(n tree.Node, hidden []string)
	walk = func(n tree.Node, hidden []string) {
		tree.Inspect(n, func(m tree.Node) bool {
			switch m := m.(type) {
			case *tree.Column:
				if !slices.Contains(hidden, m.Table.Name) {
					f(m)
				}
			case *tree.Select:
				if m == n {
					return true
				}
				below := hidden
				for _, source := range scopeOf(m, nil).sources {
					below = append(below[:len(below):len(below)], sourceName(source))
				}
				walk(m, below)
				return false
			}
			return true
		})
	}
	walk(s, nil)
}
