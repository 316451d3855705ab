package rules

import (
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
