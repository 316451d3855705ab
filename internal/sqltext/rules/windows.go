package rules

import "github.com/immudb-go/immudb/internal/sqltext/tree"

// windowRules are about OVER (…).
var windowRules = []*Rule{
	{
		Name:      "window-outside-select-list",
		Construct: "OVER (…) as a part of something else",
		Reason: "the server knows window functions as whole columns of a SELECT; elsewhere it answers NULL, or its process ends; " +
			"select the window function in a subquery and use its column",
		Needs: tree.HasOver,
		look: func(l *look) {
			whole := make(map[tree.Node]bool)
			l.each(func(n tree.Node) bool {
				if s, ok := n.(*tree.Select); ok {
					for i := range s.Targets {
						if x := s.Targets[i].Expr; x != nil {
							whole[x] = true
						}
					}
				}
				if hasOver(n) && !whole[n] {
					l.refuse(n, "")
				}
				return true
			})
		},
	},
}

func hasOver(n tree.Node) bool {
	switch n := n.(type) {
	case *tree.Aggregate:
		return n.Over != nil
	case *tree.Call:
		return n.Over != nil
	case *tree.TableFunction:
		return n.Over != nil
	}
	return false
}
