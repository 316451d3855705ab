package rules

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// strictRules are those of [Strict].
var strictRules = []*Rule{
	{
		Name:      "time-out-of-range",
		Construct: "a time before 1677-09-21 or after 2262-04-11",
		Reason:    "the server stores it, but keys and indexes put it in a wrong place; write NULL, or a time within that range",
		look: func(l *look) {
			if l.index > 0 {
				return
			}
			for _, p := range l.script.Params {
				l.refuseArgument(p, "", func(v driver.Value) bool { return IsIndexable(v) })
			}
			for _, st := range l.script.Statements {
				tree.Inspect(st, func(n tree.Node) bool {
					if c, ok := n.(*tree.Cast); ok && c.Type == "TIMESTAMP" {
						if x, ok := tree.Bare(c.Expr).(*tree.Literal); ok && x.Kind == tree.String && !isIndexableText(x.String()) {
							l.refuse(c, "")
						}
					}
					return true
				})
			}
		},
	},
	{
		Name:      "null-is-smallest",
		Construct: "a comparison that a column without a value meets",
		Reason:    "for the server NULL is smaller than every value, and other than each; add AND … IS NOT NULL, or OR … IS NULL",
		look:      (*look).comparisons,
	},
	{
		Name:      "avg-of-integer",
		Construct: "AVG of an INTEGER column",
		Reason:    "the server answers an INTEGER; write SELECT AVG(f) FROM (SELECT CAST(n AS FLOAT) AS f FROM t)",
		Needs:     tree.HasAggregate,
		look: func(l *look) {
			l.scoped(func(n tree.Node, s scope) {
				if a, ok := n.(*tree.Aggregate); ok && a.Name == "AVG" && a.Column != nil {
					l.refuseTables(a, "", nil, func(tables Tables, _ Args) bool { return s.typeOf(tables, a.Column) != "INTEGER" })
				}
			})
		},
	},
	{
		Name:      "json-number-rounded",
		Construct: "JSON with a number that is not a 64-bit floating point number",
		Reason:    "the server rounds it; write it as a JSON string",
		Needs:     tree.HasWrite,
		look: func(l *look) {
			l.eachStored(func(x tree.Expr, _ scope, column func(Tables) *Column) {
				ok := func(tables Tables, _ Args) bool {
					c := column(tables)
					return c == nil || c.Type != "JSON"
				}
				switch x := tree.Bare(x).(type) {
				case *tree.Literal:
					if x.Kind == tree.String && !HasExactNumbers(x.String()) {
						l.refuseTables(x, "", nil, ok)
					}
				case *tree.Param:
					l.refuseTables(x, "", func(args Args) bool { return !HasExactNumbers(args(x.Index)) }, ok)
				}
			})
		},
	},
}

// The server keeps times in keys and indexes as nanoseconds in 64 bits.
var (
	earliest = time.Unix(0, -1<<63)
	latest   = time.Unix(0, 1<<63-1)
)

// IsIndexable reports whether keys and indexes keep the order of a value: of a time
// that is not too far from 1970, and of all that is no time.
func IsIndexable(v driver.Value) bool {
	t, ok := v.(time.Time)
	return !ok || !t.Before(earliest) && !t.After(latest)
}

// isIndexableText is IsIndexable for a time as text. What is no time is for the
// server to refuse.
func isIndexableText(s string) bool {
	date, _, _ := strings.Cut(strings.Replace(strings.TrimSpace(s), "T", " ", 1), " ")
	t, err := time.Parse(time.DateOnly, date)
	return err != nil || IsIndexable(t) && IsIndexable(t.Add(24*time.Hour-time.Nanosecond))
}

// HasExactNumbers reports whether v is no JSON, or JSON of which each number is the
// one that a 64-bit floating point number gives back.
func HasExactNumbers(v driver.Value) bool {
	var text []byte
	switch v := v.(type) {
	case string:
		text = []byte(v)
	case []byte:
		text = v
	default:
		return true
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return true // at the end, or after what is no JSON, which the server refuses
		}
		if n, ok := token.(json.Number); ok && !isExact(n.String()) {
			return false
		}
	}
}

func isExact(number string) bool {
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return false
	}
	if digits, _, _ := strings.Cut(strings.ToLower(number), "e"); f == 0 {
		return strings.Trim(digits, "-0.") == ""
	}
	written, ok := new(big.Rat).SetString(number)
	readBack, ok2 := new(big.Rat).SetString(strconv.FormatFloat(f, 'e', -1, 64))
	return ok && ok2 && written.Cmp(readBack) == 0
}
