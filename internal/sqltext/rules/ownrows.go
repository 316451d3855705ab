package rules

import "github.com/immudb-go/immudb/internal/sqltext/tree"

// ownRowRules are about statements that read the table that they write.
var ownRowRules = []*Rule{{
	Name:      "subquery-sees-own-writes",
	Construct: "a subquery that reads the table that the statement writes",
	Reason: "the server runs it again for each row, and it sees the rows that the statement has already written; " +
		"select the keys or values first, and write with them",
	Needs: tree.HasWrite,
	look: func(l *look) {
		if !l.script.Has.Any(tree.HasSubquery | tree.HasExists) {
			return
		}
		target := changed(l.st)
		switch st := l.st.(type) {
		case *tree.Update:
			l.ownRows(st, target, func(t *Table, _ tree.Node) bool { return t.pinned(st.Where, target, true) })
		case *tree.Delete:
			l.ownRows(st, target, func(t *Table, _ tree.Node) bool { return t.pinned(st.Where, target, true) })
		case *tree.Insert:
			if len(st.Rows) != 1 {
				l.ownRows(st, target, isKeyLookup)
			}
		}
	},
}}

// ownRows refuses the subqueries of a statement that read its table, except those for
// which harmless says that the writes make no difference.
func (l *look) ownRows(st tree.Statement, target string, harmless func(t *Table, subquery tree.Node) bool) {
	tree.Inspect(st, func(n tree.Node) bool {
		switch n.(type) {
		case *tree.Exists, *tree.InQuery, *tree.Subquery:
		default:
			return true
		}
		reads := false
		tree.Inspect(n, func(m tree.Node) bool {
			t, ok := m.(*tree.Table)
			reads = reads || ok && t.Kind == tree.Plain && t.Since == nil && t.Until == nil && t.Name.Name == target
			return !reads
		})
		if reads {
			l.refuseTables(n, "", nil, func(tables Tables, _ Args) bool {
				t := l.table(tables, target)
				return t == nil || harmless(t, n)
			})
		}
		return false
	})
}

// isKeyLookup reports whether a subquery reads one primary key. Rows that the statement
// inserted make a difference to it only if the statement inserts a key twice.
func isKeyLookup(t *Table, n tree.Node) bool {
	switch n := n.(type) {
	case *tree.Exists:
		s, ok := n.Query.(*tree.Select)
		if !ok || len(s.Joins) > 0 || s.Having != nil {
			return false
		}
		from, ok := s.From.(*tree.Table)
		return ok && t.pinned(s.Where, nameOf(from), false)
	case *tree.InQuery:
		s, ok := n.Query.(*tree.Select)
		if !ok || len(s.Joins) > 0 || len(s.GroupBy) > 0 || s.Where != nil || s.LimitAt.Given() || s.OffsetAt.Given() || len(s.Targets) != 1 || len(t.Primary) != 1 {
			return false
		}
		c, ok := s.Targets[0].Expr.(*tree.Column)
		return ok && c.Name.Name == t.Primary[0]
	}
	return false
}

// pinned reports whether a condition sets each column of the primary key to one value;
// name is the table's name in the query. constant: the values must not depend on other
// rows.
func (t *Table) pinned(x tree.Expr, name string, constant bool) bool {
	if x == nil || len(t.Primary) == 0 {
		return false
	}
	for _, key := range t.Primary {
		if !pins(x, name, key, constant) {
			return false
		}
	}
	return true
}

func pins(x tree.Expr, name, key string, constant bool) bool {
	switch x := tree.Bare(x).(type) {
	case *tree.Chain:
		for i, operand := range x.Operands {
			if x.Operators[min(i, len(x.Operators)-1)] == "AND" && pins(operand, name, key, constant) {
				return true
			}
		}
	case *tree.Compare:
		if x.Operator == "=" {
			return isKey(x.Left, name, key) && isOneValue(x.Right, name, constant) || isKey(x.Right, name, key) && isOneValue(x.Left, name, constant)
		}
	}
	return false
}

func isKey(x tree.Expr, name, key string) bool {
	c, ok := tree.Bare(x).(*tree.Column)
	return ok && c.Name.Name == key && (!c.Table.Given() || c.Table.Name == name)
}

// isOneValue reports whether an expression has the same value for all rows of the table
// with that name.
func isOneValue(x tree.Expr, name string, constant bool) bool {
	one := true
	tree.Inspect(x, func(n tree.Node) bool {
		switch n := n.(type) {
		case *tree.Column:
			one = one && !constant && n.Table.Given() && n.Table.Name != name
		case *tree.Subquery, *tree.Exists, *tree.InQuery, *tree.Call:
			one = false
		}
		return one
	})
	return one
}
