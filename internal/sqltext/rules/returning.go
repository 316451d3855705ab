package rules

import "github.com/immudb-go/immudb/internal/sqltext/tree"

// returningRules are about RETURNING, which the server supports for plain columns only.
var returningRules = []*Rule{
	{
		Name:      "returning-expression",
		Construct: "RETURNING of an expression",
		Reason:    "the server returns NULL for anything but plain column names; return the columns and compute from them",
		Needs:     tree.HasReturning,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				r, ok := n.(*tree.Returning)
				if !ok {
					return true
				}
				for i := range r.Items {
					it := &r.Items[i]
					if _, column := it.Expr.(*tree.Column); !column || it.Alias.Given() {
						l.refuse(it, "RETURNING "+l.quote(it))
					}
				}
				return false
			})
		},
	},
}
