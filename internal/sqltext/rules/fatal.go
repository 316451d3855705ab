package rules

import (
	"slices"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// fatalRules are about statements that end the server's process: it has no
// recover, so that a panic in one session takes all databases with it.
var fatalRules = []*Rule{
	{
		Name:      "select-from-target",
		Construct: "INSERT … SELECT from the table itself",
		Reason: "in a transaction or beside other statements it can crash the server; " +
			"run it alone, outside a transaction",
		Needs: tree.HasWrite,
		look: func(l *look) {
			i, ok := l.st.(*tree.Insert)
			if !ok || i.Query == nil {
				return
			}
			tree.Inspect(i.Query, func(n tree.Node) bool {
				if t, ok := n.(*tree.Table); ok && t.Name.Name == i.Table.Name {
					if !l.alone() {
						l.refuse(t, "")
					}
					l.refuseInTx(t, "")
				}
				return true
			})
		},
	},
	{
		Name:      "list-asks-transaction",
		Construct: "a query or a function such as NOW() among the values of IN (…)",
		Reason:    "it can crash the server; write IN (SELECT …) with one pair of parentheses, or = for a single value",
		Needs:     tree.HasList,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				list, ok := n.(*tree.InList)
				if !ok || list.Not {
					return true
				}
				for _, v := range list.Values {
					tree.Inspect(v, func(n tree.Node) bool {
						if asksTransaction(n) {
							l.refuse(n, "")
						}
						return true
					})
				}
				return true
			})
		},
	},
}

// needTx are the functions that ask the transaction for their value.
var needTx = []string{"age", "clock_timestamp", "current_user", "currval", "nextval", "now"}

// asksTransaction reports whether the server needs a transaction to tell the value
// of an expression. It works out the bounds of a list before it has one.
func asksTransaction(n tree.Node) bool {
	switch n := n.(type) {
	case *tree.Subquery, *tree.Exists, *tree.InQuery:
		return true
	case *tree.Call:
		return n.Over != nil || slices.Contains(needTx, n.Name.Name)
	case *tree.Aggregate:
		return n.Over != nil
	}
	return false
}
