package rules

import (
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// joinRules are about joins, and about what hides a table.
var joinRules = []*Rule{
	{
		Name:      "join-using",
		Construct: "JOIN … USING of columns that cannot be told to belong to a table before it, or with SELECT *,",
		Reason:    "the server joins each row with each; the driver writes ON a.id = b.id where it knows the tables: write that",
		Needs:     tree.HasJoin,
		look: func(l *look) {
			l.scoped(func(n tree.Node, _ scope) {
				if s, ok := n.(*tree.Select); ok {
					l.using(s)
				}
			})
			if s, ok := l.st.(*tree.Select); ok {
				l.using(s)
			}
		},
	},
	{
		Name:      "natural-join",
		Construct: "NATURAL JOIN",
		Reason:    "the server joins each row with each; write JOIN … ON with the columns",
		Needs:     tree.HasJoin,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if j, ok := n.(*tree.Join); ok && j.Natural {
					l.refuse(j, "")
				}
				return true
			})
		},
	},
	{
		Name:      "full-join-where",
		Construct: "WHERE behind FULL JOIN",
		Reason:    "the server reads only the rows of the first table that can meet it, so that rows of the other are left without theirs; the driver writes NOT (NOT (…)), which it does not look into",
		Needs:     tree.HasJoin,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				s, ok := n.(*tree.Select)
				if !ok || s.Where == nil {
					return true
				}
				for _, j := range s.Joins {
					if j.Kind == "FULL" {
						at := s.Where.Place()
						l.replace(tree.Span{Start: at.Start, End: at.Start}, "NOT (NOT (")
						l.replace(tree.Span{Start: at.End, End: at.End}, "))")
						break
					}
				}
				return true
			})
		},
	},
	{
		Name:      "with-hides-table",
		Construct: "WITH of a name that a table has",
		Reason:    "the server reads the table; give the query another name",
		Needs:     tree.HasWith,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				w, ok := n.(*tree.With)
				for i := 0; ok && i < len(w.Tables); i++ {
					name := w.Tables[i].Name
					l.refuseTables(name, "", nil, func(tables Tables, _ Args) bool { return tables.Table(name.Name) == nil })
				}
				return true
			})
		},
	},
}

// using writes ON in place of USING.
func (l *look) using(s *tree.Select) {
	for i, j := range s.Joins {
		if len(j.Using) == 0 {
			continue
		}
		if s.Star || sourceName(j.Source) == "" {
			l.refuse(j, "")
			return
		}
		before := scopeOf(s, nil)
		before.sources = before.sources[:1+i]
		on := func(tables Tables) string {
			var conditions []string
			for _, column := range j.Using {
				name := nameWritten(column, l.script.Text)
				left := before.owner(tables, column)
				if left == "" {
					return ""
				}
				conditions = append(conditions, left+"."+name+" = "+sourceName(j.Source)+"."+name)
			}
			return " ON " + strings.Join(conditions, " AND ")
		}
		l.refuseTables(j, "", nil, func(tables Tables, _ Args) bool { return on(tables) != "" })
		l.later(func(tables Tables) []edit {
			written := on(tables)
			if written == "" {
				return nil
			}
			return []edit{{tree.Span{Start: j.Source.Place().End, End: j.End}, written}}
		})
	}
}

// owner names the first source of the scope that has a column, or "".
func (s *scope) owner(tables Tables, column tree.Ident) string {
	for _, source := range s.sources {
		name := sourceName(source)
		if name == "" {
			continue
		}
		if len(s.sources) == 1 || s.typeIn(tables, source, &tree.Column{Name: column}) != "" {
			return name
		}
	}
	return ""
}
