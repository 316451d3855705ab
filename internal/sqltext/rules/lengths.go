package rules

import (
	"database/sql/driver"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// maxCount is the largest allowed length for REPEAT, LPAD and RPAD. LPAD with that
// length on 10,000 rows takes the server one second.
const maxCount = 10_000

// maxPosition is the largest allowed position or length for SUBSTRING. The server adds
// them, so their sum must not overflow.
const maxPosition = 1 << 40

// counts holds, for each function, which argument is a length and its largest value.
var counts = map[string]struct {
	argument int
	most     int64
}{
	"repeat":    {1, maxCount},
	"lpad":      {1, maxCount},
	"rpad":      {1, maxCount},
	"substring": {2, maxPosition},
	"substr":    {2, maxPosition},
}

// lengthRules are about functions that take the length of their result.
var lengthRules = []*Rule{
	{
		Name:      "length-out-of-range",
		Construct: "a length that is not a literal or an argument within the allowed range",
		Reason: "a negative or huge length crashes the server or fills its memory; " +
			"write a number from 0 to 10000 (for SUBSTRING, to 2⁴⁰) or pass it as an argument",
		Needs: tree.HasCall,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				call, ok := n.(*tree.Call)
				if !ok {
					return true
				}
				name := strings.ToLower(call.Name.Name)
				c, ok := counts[name]
				if !ok || len(call.Args) <= c.argument {
					return true
				}
				construct := strings.ToUpper(name) + " with " + l.rule.Construct
				switch x := tree.Bare(call.Args[c.argument]).(type) {
				case *tree.Literal:
					if x.Kind == tree.Integer && x.Int > uint64(c.most) {
						l.refuse(x, construct)
					}
				case *tree.Param:
					l.refuseArgument(x, construct, func(v driver.Value) bool {
						n, ok := v.(int64)
						return !ok || n >= 0 && n <= c.most
					})
				default:
					l.refuse(x, construct)
				}
				return true
			})
		},
	},
}
