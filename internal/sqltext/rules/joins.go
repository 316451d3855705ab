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
		Construct: "NATURAL JOIN of what is no table, or with SELECT * of tables that have columns in common,",
		Reason:    "the server joins each row with each; the driver writes ON a.id = b.id where it knows the tables: write that",
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
		Name:      "join-of-unequal",
		Construct: "JOIN … ON with an equality beside another condition on both tables",
		Reason: "the server evaluates the other condition for the first row only, so that rows are missing; " +
			"the driver adds AND TRUE, which keeps it from that",
		Needs: tree.HasJoin,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if j, ok := n.(*tree.Join); ok && j.On != nil && isFrozen(j) {
					at := j.On.Place()
					l.replace(tree.Span{Start: at.Start, End: at.Start}, "(")
					l.replace(tree.Span{Start: at.End, End: at.End}, ") AND TRUE")
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
}

// isFrozen reports whether the server may keep a table of the rows that can be joined,
// by what is equal, and leave out of it what another part of the condition excludes
// for the first row of the other tables.
func isFrozen(j *tree.Join) bool {
	t, ok := j.Source.(*tree.Table)
	if !ok || j.Kind == "FULL" {
		return false
	}
	for _, part := range conjuncts(j.On) {
		if c, ok := part.(*tree.Literal); ok && c.Kind == tree.Bool {
			return false // it is not kept then
		}
	}
	for _, part := range conjuncts(j.On) {
		if isEquality(part) {
			continue
		}
		others := false
		tree.Inspect(part, func(n tree.Node) bool {
			c, ok := n.(*tree.Column)
			others = others || ok && (!c.Table.Given() || c.Table.Name != nameOf(t))
			return !others
		})
		if others {
			return true
		}
	}
	return false
}

// conjuncts are the parts of a condition with AND between them.
func conjuncts(x tree.Expr) []tree.Expr {
	x = tree.Bare(x)
	c, ok := x.(*tree.Chain)
	if !ok || c.Operators[0] != "AND" {
		return []tree.Expr{x}
	}
	var parts []tree.Expr
	for _, operand := range c.Operands {
		parts = append(parts, conjuncts(operand)...)
	}
	return parts
}

// isEquality reports a = b of columns, arguments and literals.
func isEquality(x tree.Expr) bool {
	c, ok := x.(*tree.Compare)
	return ok && c.Operator == "=" && isPlain(c.Left) && isPlain(c.Right)
}

func isPlain(x tree.Expr) bool {
	switch tree.Bare(x).(type) {
	case *tree.Column, *tree.Param, *tree.Literal:
		return true
	}
	return false
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

// natural writes ON with the columns in common in place of NATURAL.
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

// shared compares the columns that source has in common with those of the scope. ok
// is false if the columns cannot be told.
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
