package rules

import (
	"database/sql/driver"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// likeRules are about LIKE and ILIKE.
var likeRules = []*Rule{
	{
		Name:      "like-null",
		Construct: "LIKE of a pattern that may be NULL",
		Reason: "the server's process ends if it is; write the pattern as a literal or an argument that is not nil, " +
			"or as COALESCE(pattern, '')",
		Needs: tree.HasLike,
		look: func(l *look) {
			l.patterns(func(x tree.Expr) {
				switch x := tree.Bare(x).(type) {
				case *tree.Literal:
					if x.Kind == tree.Null {
						l.refuse(x, "")
					}
				case *tree.Param:
					l.refuseArgument(x, "", func(v driver.Value) bool { return v != nil })
				case *tree.Call:
					if !neverNull(x) {
						l.refuse(x, "")
					}
				default:
					l.refuse(x, "")
				}
			})
		},
	},
	{
		Name:      "like-of-other-letters",
		Construct: "LIKE of a pattern with letters outside ASCII",
		Reason: "the server compares the pattern byte by byte and finds nothing; " +
			"compare with =, with >= and <, with SUBSTRING(column, 1, bytes) = prefix, or with STRPOS(column, part) > 0",
		Needs: tree.HasLike,
		look: func(l *look) {
			l.patterns(func(x tree.Expr) {
				tree.Inspect(x, func(n tree.Node) bool {
					switch n := n.(type) {
					case *tree.Literal:
						if n.Kind == tree.String && !ascii(n.Raw) {
							l.refuse(n, "")
						}
					case *tree.Param:
						l.refuseArgument(n, "", func(v driver.Value) bool {
							s, ok := v.(string)
							return !ok || ascii(s)
						})
					}
					return true
				})
			})
		},
	},
}

func (l *look) patterns(f func(tree.Expr)) {
	l.each(func(n tree.Node) bool {
		if like, ok := n.(*tree.Like); ok {
			f(like.Pattern)
		}
		return true
	})
}

// neverNull reports whether the value of a call cannot be NULL.
func neverNull(call *tree.Call) bool {
	switch call.Name.Name {
	case "concat":
		return true
	case "coalesce":
		if len(call.Args) == 0 {
			return false
		}
		last, ok := tree.Bare(call.Args[len(call.Args)-1]).(*tree.Literal)
		return ok && last.Kind == tree.String
	}
	return false
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
