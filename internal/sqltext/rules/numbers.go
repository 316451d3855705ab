package rules

import "github.com/immudb-go/immudb/internal/sqltext/tree"

// numberRules are about literals that the server misreads.
var numberRules = []*Rule{
	{
		Name:      "number-touches-letter",
		Construct: "a number with a letter right after it",
		Reason:    "the server reads 1e10 as 1 with the alias e10, and 0x1F as 0; write all digits of the number, or a blank before the alias",
		Needs:     tree.HasTouchingNumber,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				switch n := n.(type) {
				case *tree.Select:
					for i := range n.Targets {
						if t := &n.Targets[i]; t.Expr != nil && t.Alias.Given() && t.Alias.Start == t.Expr.Place().End {
							l.refuse(t, "")
						}
					}
				case *tree.Table:
					for _, end := range []*tree.Instant{n.Since, n.Until} {
						if end != nil && n.Alias.Given() && n.Alias.Start == end.End {
							l.refuse(n, "")
						}
					}
				}
				return true
			})
		},
	},
	{
		Name:      "number-out-of-range",
		Construct: "an integer above 9223372036854775807",
		Reason:    "the server reads it as a negative number; write a smaller number, or a FLOAT with a decimal point",
		Needs:     tree.HasHugeNumber,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				switch x := n.(type) {
				case *tree.Unary:
					if lit, ok := x.Expr.(*tree.Literal); ok && x.Operator == "-" && lit.Kind == tree.Integer && lit.Int == 1<<63 {
						l.replace(x.Span, "(-9223372036854775807 - 1)")
						return false
					}
				case *tree.Literal:
					if x.Kind == tree.Integer && x.Int > 1<<63-1 {
						l.refuse(x, "")
					}
				}
				return true
			})
		},
	},
}
