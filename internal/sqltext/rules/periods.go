package rules

import (
	"database/sql/driver"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// periodRules are about SINCE, AFTER, UNTIL and BEFORE.
var periodRules = []*Rule{
	{
		Name:      "period-of-null",
		Construct: "SINCE, AFTER, UNTIL or BEFORE with a value that may be NULL",
		Reason:    "NULL crashes the server; write a literal or an argument that is not nil, or leave the period out",
		Needs:     tree.HasPeriod,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if i, ok := n.(*tree.Instant); ok && i != nil {
					l.instant(i.Expr)
				}
				return true
			})
		},
	},
}

// instant refuses an expression that may be NULL.
func (l *look) instant(x tree.Expr) {
	switch x := tree.Bare(x).(type) {
	case *tree.Param:
		l.refuseArgument(x, "", func(v driver.Value) bool { return v != nil })
	case *tree.Literal:
		if x.Kind == tree.Null {
			l.refuse(x, "")
		}
	case *tree.Cast:
		l.instant(x.Expr)
	case *tree.Chain: // arithmetic on transaction numbers
		for _, part := range x.Operands {
			l.instant(part)
		}
	case *tree.Call:
		if x.Over != nil || len(x.Args) > 0 || x.Name.Name != "now" && x.Name.Name != "clock_timestamp" {
			l.refuse(x, "")
		}
	default:
		l.refuse(x, "")
	}
}
