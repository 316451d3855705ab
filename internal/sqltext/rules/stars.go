package rules

import (
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// starRules are about t.*.
var starRules = []*Rule{{
	Name:      "table-star",
	Construct: "t.* of something that is not a table",
	Reason:    "the server does not support it, and the driver does not know the columns; name them, or write only SELECT *",
	Needs:     tree.HasTableStar,
	look: func(l *look) {
		l.scoped(func(n tree.Node, _ scope) {
			if s, ok := n.(*tree.Select); ok {
				l.stars(s)
			}
		})
		if s, ok := l.st.(*tree.Select); ok {
			l.stars(s)
		}
	},
}}

// stars replaces t.* by the columns of the table.
func (l *look) stars(s *tree.Select) {
	sc := scopeOf(s, nil)
	for i := range s.Targets {
		t := &s.Targets[i]
		switch {
		case !t.Star:
		case s.From == nil:
			l.refuse(t, "")
		case len(s.Targets) == 1 && len(s.Joins) == 0 && sourceName(s.From) == t.Table.Name:
			l.replace(t.Span, "*")
		default:
			name := t.Table.Name
			l.refuseTables(t, "", nil, func(tables Tables, _ Args) bool { return sc.columnsOf(tables, name) != nil })
			l.later(func(tables Tables) []edit {
				var list []string
				for _, column := range sc.columnsOf(tables, name) {
					list = append(list, t.Table.Of(l.script.Text)+"."+written(column))
				}
				if list == nil {
					return nil
				}
				return []edit{{t.Span, strings.Join(list, ", ")}}
			})
		}
	}
}

// columnsOf returns the columns of the source with that name or alias, or nil if they
// are not known.
func (s *scope) columnsOf(tables Tables, name string) []string {
	for _, source := range s.sources {
		if sourceName(source) != name {
			continue
		}
		switch source := source.(type) {
		case *tree.Table:
			t := tables.Table(source.Name.Name)
			if t == nil || source.Kind != tree.Plain {
				return nil
			}
			var list []string
			for i := range t.Columns {
				list = append(list, t.Columns[i].Name)
			}
			return list
		case *tree.Derived:
			return columnsAnswered(tables, source.Query)
		}
	}
	return nil
}

// columnsAnswered returns the names of the columns of a query, or nil if they are not
// known.
func columnsAnswered(tables Tables, q tree.Query) []string {
	s := outermost(q)
	if s == nil {
		return nil
	}
	if s.Star {
		if len(s.Joins) > 0 || s.From == nil {
			return nil
		}
		sc := scopeOf(s, nil)
		return sc.columnsOf(tables, sourceName(s.From))
	}
	var list []string
	for i := range s.Targets {
		t := &s.Targets[i]
		c, isColumn := t.Expr.(*tree.Column)
		switch {
		case t.Alias.Given():
			list = append(list, t.Alias.Name)
		case isColumn:
			list = append(list, c.Name.Name)
		default:
			return nil
		}
	}
	return list
}

// written returns a name of the catalog as a query must write it: in quotes, unless it
// has capitals. Such a name is a keyword, whose case the server did not fold.
func written(name string) string {
	if strings.ToLower(name) != name {
		return name
	}
	return `"` + name + `"`
}
