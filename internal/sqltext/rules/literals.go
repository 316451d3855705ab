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
		Needs:     tree.HasExists | tree.HasWith | tree.HasOver | tree.HasSystemTable,
		look: func(l *look) {
			if len(l.script.ParamsOf(l.st)) == 0 {
				return
			}
			l.each(func(n tree.Node) bool {
				switch n := n.(type) {
				case *tree.Exists:
					l.literals(n.Query)
				case *tree.With:
					l.literals(n.Body)
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
				}
				return true
			})
		},
	},
}

// isSystemName reports whether a name is one that the server keeps for its own
// tables.
func isSystemName(name string) bool {
	return strings.HasPrefix(name, "pg_") || strings.HasPrefix(name, "information_schema_")
}

// literals makes the arguments of the text be written as literals if one stands
// within n.
func (l *look) literals(n tree.Node) {
	if len(l.script.ParamsOf(n)) > 0 {
		l.plan.Literals = true
	}
}

// literalIf makes the arguments of the text be written as literals if the argument
// for p is one that when is true for: another rule then finds the literal.
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

// WithLiterals returns the text with its arguments written as literals that mean
// the same values.
func WithLiterals(script *tree.Script, args Args) (string, error) {
	var edits []edit
	for _, p := range script.Params {
		literal, err := appendLiteral(nil, args(p.Index))
		if err != nil {
			return "", fmt.Errorf("argument %d has to be written as a literal here: %w", p.Index+1, err)
		}
		edits = append(edits, edit{p.Span, string(literal)})
	}
	text, _ := apply(script.Text, edits)
	return text, nil
}

// The times that a literal can name.
var firstTime, lastTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)

// appendLiteral appends a value as the server reads it back. Negative numbers are
// in brackets, so that no comment begins before them.
func appendLiteral(b []byte, v driver.Value) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "NULL"...), nil
	case bool:
		return append(b, strings.ToUpper(strconv.FormatBool(v))...), nil
	case int64:
		switch {
		case v == math.MinInt64: // its digits overflow before the sign is seen
			return append(b, "(-9223372036854775807 - 1)"...), nil
		case v < 0:
			return append(strconv.AppendInt(append(b, '('), v, 10), ')'), nil
		}
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		return appendFloat(b, v)
	case string:
		switch {
		case !utf8.ValidString(v):
			return nil, errors.New("the text is not valid UTF-8")
		case strings.IndexByte(v, 0) >= 0:
			return nil, errors.New("the text holds a NUL byte, which no literal can")
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

// appendFloat writes all digits, because a literal has no exponent.
func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("there is no literal for NaN and infinity")
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
