package rules

import (
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// literalRules are about placeholders that the server does not fill in.
var literalRules = []*Rule{
	{
		Name:      "placeholder-not-filled-in",
		Construct: "an argument in a place where the server does not fill it in",
		Reason:    "the driver writes the argument as a literal there",
		look: func(l *look) {
			if l.has(l.st) {
				l.each(func(n tree.Node) bool {
					l.unfilled(n)
					return !l.plan.Literals
				})
			}
		},
	},
}

// unfilled finds an argument that the server does not fill in, in one part of the
// statement.
func (l *look) unfilled(n tree.Node) {
	switch n := n.(type) {
	case *tree.Exists, *tree.With, *tree.CreateView:
		l.literals(n)
	case *tree.Window:
		if n != nil {
			l.literals(n)
		}
	case *tree.Call:
		if n.Over != nil {
			l.literals(n)
		}
	case *tree.Table:
		if isSystemName(n.Name.Name) {
			l.literals(l.st)
		}
	case *tree.Join:
		if n.Kind == "FULL" {
			l.literals(n)
		}
	case *tree.Case:
		if n.Operand != nil {
			l.literals(n)
		}
	case *tree.Select:
		l.literalOrder(n.OrderBy, n)
	case *tree.SetOperation:
		l.literalOrder(n.OrderBy, firstSide(n))
	case *tree.Subquery:
		l.unfilledSubquery(n.Query)
	case *tree.InQuery:
		l.unfilledSubquery(n.Query)
		if s, ok := n.Query.(*tree.Select); ok && s.Where != nil && matters(s) {
			l.literals(s) // it becomes a derived table
		}
	}
}

// literalOrder finds such an argument in ORDER BY.
func (l *look) literalOrder(orders []tree.Order, s *tree.Select) {
	for i := range orders {
		l.literals(orders[i])
		if s != nil {
			l.literals(l.sortedBy(s, orders[i].Expr))
		}
	}
}

// unfilledSubquery finds such an argument in a query that is used as a value. There
// the server fills in arguments in columns and conditions, but not in FROM.
func (l *look) unfilledSubquery(q tree.Query) {
	s, ok := q.(*tree.Select)
	if !ok {
		l.literals(q)
		return
	}
	if s.From != nil {
		l.literals(s.From)
	}
	for _, j := range s.Joins {
		l.literals(j.Source)
	}
}

// has reports whether n contains a placeholder.
func (l *look) has(n tree.Node) bool { return len(l.script.ParamsOf(n)) > 0 }

// isSystemName reports whether a name is reserved for the server's system tables.
func isSystemName(name string) bool {
	return strings.HasPrefix(name, "pg_") || strings.HasPrefix(name, "information_schema_")
}

// literals makes the plan write the arguments of the text as literals, if n contains
// a placeholder.
func (l *look) literals(n tree.Node) {
	if len(l.script.ParamsOf(n)) > 0 {
		l.plan.Literals = true
	}
}

// literalIf makes the plan write the arguments of the text as literals if when is true
// for the argument of p. Another rule then applies to the literal.
func (l *look) literalIf(p *tree.Param, when func(driver.Value) bool) {
	l.plan.literalIf = append(l.plan.literalIf, argument{nil, p.Index, when})
}

// WantsLiterals reports whether the arguments must be written into the text, see
// [WithLiterals].
func (p *Plan) WantsLiterals(args Args) bool {
	if p.Literals {
		return true
	}
	for _, a := range p.literalIf {
		if a.ok(args(a.index)) {
			return true
		}
	}
	return false
}

// WithLiterals returns the text as it was, before the changes that make [Plan.Text],
// with its arguments written as literals of the same values. The caller must check it
// like any other text.
func (p *Plan) WithLiterals(args Args) (string, error) {
	script := p.script
	suffixed := castSuffixes(script)
	var edits []edit
	for _, p := range script.Params {
		literal, err := appendLiteral(nil, args(p.Index), suffixed[p])
		if err != nil {
			return "", fmt.Errorf("argument %d has to be written as a literal here: %w", p.Index+1, err)
		}
		edits = append(edits, edit{p.Span, apart(script.Text, p.Span, string(literal))})
	}
	text, _ := apply(script.Text, edits)
	return text, nil
}

// apart puts blanks around a literal if it would otherwise touch a name, a number or a
// sign and become another token with it.
func apart(text string, at tree.Span, literal string) string {
	touches := func(i int) bool { return i >= 0 && i < len(text) && strings.IndexByte(" \t\r\n(),;", text[i]) < 0 }
	if touches(at.Start - 1) {
		literal = " " + literal
	}
	if touches(at.End) {
		literal += " "
	}
	return literal
}

// castSuffixes are the placeholders with a cast after them, as in ?::FLOAT. The cast
// has a higher precedence than a sign, and the server allows no parentheses before it.
func castSuffixes(script *tree.Script) map[*tree.Param]bool {
	if !script.Has.Any(tree.HasCast) {
		return nil
	}
	found := make(map[*tree.Param]bool)
	for _, st := range script.Statements {
		tree.Inspect(st, func(n tree.Node) bool {
			if c, ok := n.(*tree.Cast); ok && c.Form == tree.CastSuffix {
				if p, ok := c.Expr.(*tree.Param); ok {
					found[p] = true
				}
			}
			return true
		})
	}
	return found
}

// The range of times that a literal can express.
var firstTime, lastTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)

// appendLiteral appends a value as a literal. Negative numbers are put in parentheses,
// because -- would begin a comment, or into a CAST if a cast follows the literal.
func appendLiteral(b []byte, v driver.Value, suffixed bool) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "NULL"...), nil
	case bool:
		return append(b, strings.ToUpper(strconv.FormatBool(v))...), nil
	case int64:
		switch {
		case v == math.MinInt64, v < 0 && suffixed: // the digits of the first overflow before the sign is seen
			return append(strconv.AppendInt(append(b, "CAST('"...), v, 10), "' AS INTEGER)"...), nil
		case v < 0:
			return append(strconv.AppendInt(append(b, '('), v, 10), ')'), nil
		}
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		return appendFloat(b, v, suffixed)
	case string:
		if !utf8.ValidString(v) {
			return nil, errors.New("the text is not valid UTF-8")
		}
		return append(append(append(b, '\''), strings.ReplaceAll(v, "'", "''")...), '\''), nil
	case []byte:
		if v == nil {
			return append(b, "NULL"...), nil
		}
		return append(hex.AppendEncode(append(b, "x'"...), v), '\''), nil
	case time.Time:
		v = v.UTC()
		if v.Before(firstTime) || !v.Before(lastTime) {
			return nil, errors.New("the time is not of the years 1 to 9999")
		}
		return append(v.AppendFormat(append(b, "CAST('"...), "2006-01-02 15:04:05.000000"), "' AS TIMESTAMP)"...), nil
	}
	return nil, fmt.Errorf("a value of type %T is not supported", v)
}

// appendFloat appends all digits, because a literal has no exponent. Infinity and -0
// have no literal: the server reads a sign as a subtraction from 0.
func appendFloat(b []byte, f float64, suffixed bool) ([]byte, error) {
	switch {
	case math.IsNaN(f):
		return nil, errors.New("there is no literal for NaN")
	case math.IsInf(f, 0), f == 0 && math.Signbit(f), math.Signbit(f) && suffixed:
		return append(strconv.AppendFloat(append(b, "CAST('"...), f, 'g', -1, 64), "' AS FLOAT)"...), nil
	}
	digits := strconv.FormatFloat(math.Abs(f), 'f', -1, 64)
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	if math.Signbit(f) {
		return append(append(append(b, "(-"...), digits...), ')'), nil
	}
	return append(b, digits...), nil
}
