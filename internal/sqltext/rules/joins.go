package rules

import (
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// joinRules are about joins.
var joinRules = []*Rule{
	{
		Name:      "join-using",
		Construct: "JOIN … USING with a column whose table before the JOIN is not known, or with SELECT *,",
		Reason:    "the server joins every row with every row; the driver writes ON a.id = b.id if it knows the tables: write that",
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
		Construct: "NATURAL JOIN with something other than a table, or with SELECT * of tables that have columns in common,",
		Reason:    "the server joins every row with every row; the driver writes ON a.id = b.id if it knows the tables: write that",
		Needs:     tree.HasJoin,
		look: func(l *look) {
			l.scoped(func(n tree.Node, _ scope) {
				if s, ok := n.(*tree.Select); ok {
					l.natural(s)
				}
			})
			if s, ok := l.st.(*tree.Select); ok {
				l.natural(s)
			}
		},
	},
	{
		Name:      "join-condition-of-both-tables",
		Construct: "JOIN … ON with an equality and another condition on both tables",
		Reason: "the server reads the joined table once, and evaluates the condition only for the first row of the other table; " +
			"the driver writes CASE WHEN condition THEN TRUE ELSE FALSE END, which is evaluated for each row",
		Needs: tree.HasJoin,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				s, ok := n.(*tree.Select)
				if !ok {
					return true
				}
				for _, j := range s.Joins {
					name := sourceName(j.Source)
					if j.On == nil || j.Kind != "INNER" && j.Kind != "LEFT" || name == "" {
						continue
					}
					conditions := conjuncts(j.On)
					if len(conditions) == 1 && s.Where == nil {
						continue // there is no equality to look rows up by
					}
					for _, x := range conditions {
						if _, isCase := tree.Bare(x).(*tree.Case); !isCase && partOf(x, name) == onOther {
							l.edits = append(l.edits, asCase(x)...)
						}
					}
				}
				return true
			})
		},
	},
	{
		Name:      "full-join-where",
		Construct: "WHERE after FULL JOIN",
		Reason:    "the server reads only those rows of the first table that can meet it, so rows of the other table lose their partners; the driver writes NOT (NOT (…)), which the server does not use for planning",
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
}

// asCase returns the edits that put a condition into a CASE, so that the server
// evaluates it row by row and does not plan with it.
func asCase(x tree.Expr) []edit {
	at := x.Place()
	return []edit{{tree.Span{Start: at.Start, End: at.Start}, "(CASE WHEN "}, {tree.Span{Start: at.End, End: at.End}, " THEN TRUE ELSE FALSE END)"}}
}

// onPart says which columns a condition of ON compares.
type onPart uint8

const (
	onOther   onPart = iota // neither of the following
	onEqual                 // a column of the joined table is equal to one of another
	onJoined                // columns of the joined table only
	onOutside               // no column of the joined table
)

// partOf returns the onPart of a condition; name is that of the joined table.
func partOf(x tree.Expr, name string) onPart {
	joined, others, plain := false, false, true
	tree.Inspect(x, func(n tree.Node) bool {
		switch n := n.(type) {
		case *tree.Column:
			if n.Table.Given() && n.Table.Name == name {
				joined = true
			} else {
				others = true
			}
		case *tree.Subquery, *tree.Exists, *tree.InQuery, *tree.Call, *tree.Case, *tree.Extract, *tree.JSONPath:
			plain = false
		}
		return true
	})
	if c, ok := tree.Bare(x).(*tree.Compare); ok && c.Operator == "=" && joined && others {
		left, isColumn := tree.Bare(c.Left).(*tree.Column)
		right, alsoColumn := tree.Bare(c.Right).(*tree.Column)
		if isColumn && alsoColumn && left.Table.Given() && right.Table.Given() {
			return onEqual
		}
	}
	switch {
	case !joined:
		return onOutside
	case !others && plain:
		return onJoined
	}
	return onOther
}

// using replaces USING by ON.
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

// natural replaces NATURAL by ON with the columns in common.
func (l *look) natural(s *tree.Select) {
	for i, j := range s.Joins {
		if !j.Natural {
			continue
		}
		before := scopeOf(s, nil)
		before.sources = before.sources[:1+i]
		l.refuseTables(j, "", nil, func(tables Tables, _ Args) bool {
			on, ok := before.shared(tables, j.Source)
			return ok && (on == nil || !s.Star)
		})
		l.later(func(tables Tables) []edit {
			on, ok := before.shared(tables, j.Source)
			if !ok || on != nil && s.Star {
				return nil
			}
			if on == nil {
				on = []string{"TRUE"}
			}
			at := j.Source.Place()
			return []edit{
				{tree.Span{Start: j.Start, End: at.Start}, j.Kind + " JOIN "},
				{tree.Span{Start: at.End, End: at.End}, " ON " + strings.Join(on, " AND ")},
			}
		})
	}
}

// shared returns comparisons of the columns that source has in common with the scope.
// ok is false if the columns are not known.
func (s *scope) shared(tables Tables, source tree.Source) (comparisons []string, ok bool) {
	right := scope{sources: []tree.Source{source}}
	columns := right.columnsOf(tables, sourceName(source))
	if columns == nil {
		return nil, false
	}
	seen := make(map[string]bool)
	for _, left := range s.sources {
		name := sourceName(left)
		list := s.columnsOf(tables, name)
		if name == "" || list == nil {
			return nil, false
		}
		for _, column := range list {
			if slices.Contains(columns, column) && !seen[column] {
				comparisons = append(comparisons, name+"."+written(column)+" = "+sourceName(source)+"."+written(column))
			}
			seen[column] = true
		}
	}
	return comparisons, true
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
