package tree

// Inspect calls f for n and every node below it. The order is that of the text, if
// its clauses are in their usual order. If f returns false, the nodes below that node
// are left out. n may be nil.
func Inspect(n Node, f func(Node) bool) {
	if isNil(n) || !f(n) {
		return
	}
	children(n, func(c Node) { Inspect(c, f) })
}

// isNil reports whether n is nil or holds a nil pointer, as missing optional parts do.
func isNil(n Node) bool {
	switch n := n.(type) {
	case nil:
		return true
	case *Instant:
		return n == nil
	case *Column:
		return n == nil
	case *Window:
		return n == nil
	case *Select:
		return n == nil
	case *Literal:
		return n == nil
	case *Conflict:
		return n == nil
	case *Returning:
		return n == nil
	}
	return false
}

// children calls f for each direct part of n. For targets, rows, branches and the
// like it calls f with their expressions instead.
func children(n Node, f func(Node)) {
	switch n := n.(type) {
	case *Select:
		targets(n.Targets, f)
		if n.From != nil {
			f(n.From)
		}
		for _, j := range n.Joins {
			f(j)
		}
		one(n.Where, f)
		for _, c := range n.GroupBy {
			f(c)
		}
		one(n.Having, f)
		orders(n.OrderBy, f)
		one(n.Limit, f)
		one(n.Offset, f)
	case *SetOperation:
		for _, q := range n.Sides {
			f(q)
		}
		orders(n.OrderBy, f)
		one(n.Limit, f)
		one(n.Offset, f)
	case *Brackets:
		f(n.Query)
	case *With:
		for _, t := range n.Tables {
			f(t.Query)
		}
		f(n.Body)
	case *Values:
		rows(n.Rows, f)
	case *Explain:
		f(n.Query)
	case *Join:
		f(n.Source)
		one(n.On, f)
	default:
		childrenOfSource(n, f)
	}
}

func childrenOfSource(n Node, f func(Node)) {
	switch n := n.(type) {
	case *Table:
		f(n.Since)
		f(n.Until)
	case *Instant:
		f(n.Expr)
	case *Derived:
		f(n.Query)
	case *ValuesSource:
		rows(n.Rows, f)
	case *TableFunction:
		all(n.Args, f)
		f(n.Over)
	default:
		childrenOfStatement(n, f)
	}
}

func childrenOfStatement(n Node, f func(Node)) {
	switch n := n.(type) {
	case *Insert:
		rows(n.Rows, f)
		if n.Query != nil {
			f(n.Query)
		}
		f(n.Conflict)
		f(n.Returning)
	case *Conflict:
		assignments(n.Set, f)
	case *Returning:
		targets(n.Items, f)
	case *Update:
		assignments(n.Set, f)
		one(n.Where, f)
		one(n.Limit, f)
		one(n.Offset, f)
		f(n.Returning)
	case *Delete:
		one(n.Where, f)
		one(n.Limit, f)
		one(n.Offset, f)
		f(n.Returning)
	case *CreateTable:
		for _, c := range n.Columns {
			f(c)
		}
		for _, c := range n.Checks {
			f(c)
		}
	case *ColumnDef:
		one(n.Default, f)
	case *Check:
		f(n.Expr)
	case *CreateIndex:
		one(n.Where, f)
	case *CreateView:
		f(n.Query)
	case *AlterTable:
		if n.Column != nil {
			f(n.Column)
		}
	case *Use:
		f(n.Since)
		f(n.Until)
	default:
		childrenOfExpr(n, f)
	}
}

func childrenOfExpr(n Node, f func(Node)) {
	switch n := n.(type) {
	case *JSONPath:
		f(n.Column)
	case *Aggregate:
		f(n.Column)
		f(n.Separator)
		f(n.Over)
	case *Call:
		all(n.Args, f)
		f(n.Over)
	case *Window:
		all(n.PartitionBy, f)
		orders(n.OrderBy, f)
	case *Cast:
		f(n.Expr)
	case *Extract:
		f(n.Expr)
	case *Paren:
		f(n.Expr)
	case *Unary:
		f(n.Expr)
	case *Chain:
		all(n.Operands, f)
	case *Compare:
		f(n.Left)
		f(n.Right)
	case *Like:
		f(n.Expr)
		f(n.Pattern)
	case *IsNull:
		f(n.Expr)
	case *Between:
		f(n.Expr)
		f(n.Low)
		f(n.High)
	case *InList:
		f(n.Expr)
		all(n.Values, f)
	case *InQuery:
		f(n.Expr)
		f(n.Query)
	case *Exists:
		f(n.Query)
	case *Subquery:
		f(n.Query)
	case *Case:
		one(n.Operand, f)
		for _, w := range n.Whens {
			f(w.When)
			f(w.Then)
		}
		one(n.Else, f)
	}
}

func one(x Expr, f func(Node)) {
	if x != nil {
		f(x)
	}
}

func all(list []Expr, f func(Node)) {
	for _, x := range list {
		f(x)
	}
}

func targets(list []Target, f func(Node)) {
	for i := range list {
		one(list[i].Expr, f)
	}
}

func orders(list []Order, f func(Node)) {
	for i := range list {
		f(list[i].Expr)
	}
}

func rows(list []Row, f func(Node)) {
	for i := range list {
		all(list[i].Values, f)
	}
}

func assignments(list []Assignment, f func(Node)) {
	for i := range list {
		f(list[i].Value)
	}
}
