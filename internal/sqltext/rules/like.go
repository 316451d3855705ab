package rules

import (
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// likeRules are about LIKE and ILIKE.
var likeRules = []*Rule{
	{
		Name:      "like-null",
		Construct: "LIKE with a pattern that may be NULL",
		Reason: "a NULL pattern crashes the server; write the pattern as a literal or an argument that is not nil, " +
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
		Construct: "LIKE with a pattern that holds letters outside ASCII, other than text, text%, %text and %text%",
		Reason: "the server compares the pattern byte by byte and finds nothing; " +
			"write a simpler pattern, or compare with SUBSTRING or REPLACE",
		Needs: tree.HasLike,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				like, ok := n.(*tree.Like)
				if !ok {
					return true
				}
				switch x := tree.Bare(like.Pattern).(type) {
				case *tree.Literal:
					if x.Kind == tree.String && !ascii(x.Raw) {
						l.spellOut(like, x.String())
					}
				case *tree.Param:
					l.literalIf(x, func(v driver.Value) bool {
						s, ok := v.(string)
						return ok && !ascii(s)
					})
				default:
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
				}
				return true
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

// spellOut writes LIKE as comparisons that the server evaluates rightly. SUBSTRING
// counts bytes, as len does.
func (l *look) spellOut(like *tree.Like, pattern string) {
	text := strings.Trim(pattern, "%")
	begins, ends := strings.HasPrefix(pattern, "%"), strings.HasSuffix(pattern, "%")
	if strings.ContainsAny(text, `%_\`) || text == "" || len(l.script.ParamsOf(like.Expr)) > 0 {
		l.refuse(like, "")
		return
	}
	x := like.Expr.Place().Of(l.script.Text)
	if like.IgnoreCase {
		x, text = "LOWER("+x+")", strings.ToLower(text)
	}
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	var spelled string
	switch {
	case begins && !ends:
		spelled = fmt.Sprintf("SUBSTRING(REVERSE(%s), 1, %d) = %s", x, len(text), "'"+strings.ReplaceAll(reversed(text), "'", "''")+"'")
	case begins:
		spelled = fmt.Sprintf("NOT (REPLACE(%s, %s, '') = %s)", x, quoted, x)
	case ends:
		spelled = fmt.Sprintf("SUBSTRING(%s, 1, %d) = %s", x, len(text), quoted)
	default:
		spelled = fmt.Sprintf("%s = %s", x, quoted)
	}
	if like.Not {
		spelled = "NOT (" + spelled + ")"
	}
	l.replace(like.Span, "("+spelled+")")
}

// reversed returns the letters of a text from the last to the first.
func reversed(text string) string {
	letters := []rune(text)
	slices.Reverse(letters)
	return string(letters)
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
