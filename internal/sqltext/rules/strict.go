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
		Reason:    "the server stores it, but keys and indexes sort it wrongly; write NULL, or a time within that range",
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
		Construct: "a comparison that is true for NULL in a column",
		Reason:    "for the server NULL is smaller than every value and different from every value; add AND … IS NOT NULL, or OR … IS NULL",
		look:      (*look).comparisons,
	},
	{
		Name:      "avg-of-integer",
		Construct: "AVG of an INTEGER column",
		Reason:    "the server returns an INTEGER; write SELECT AVG(f) FROM (SELECT CAST(n AS FLOAT) AS f FROM t)",
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
		Construct: "JSON with a number that 64-bit floating point cannot hold exactly",
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

// The server stores times in keys and indexes as 64-bit nanoseconds.
var (
	earliest = time.Unix(0, -1<<63)
	latest   = time.Unix(0, 1<<63-1)
)

// IsIndexable reports whether keys and indexes sort a value rightly. It is false only
// for a time that is too far from 1970.
func IsIndexable(v driver.Value) bool {
	t, ok := v.(time.Time)
	return !ok || !t.Before(earliest) && !t.After(latest)
}

// isIndexableText is IsIndexable for a time in a string. It is true for a string that
// is not a time, because the server refuses that.
func isIndexableText(s string) bool {
	date, _, _ := strings.Cut(strings.Replace(strings.TrimSpace(s), "T", " ", 1), " ")
	t, err := time.Parse(time.DateOnly, date)
	return err != nil || IsIndexable(t) && IsIndexable(t.Add(24*time.Hour-time.Nanosecond))
}

// HasExactNumbers reports whether 64-bit floating point holds each number of the JSON v
// exactly. It is true if v is not JSON.
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
			return true // the end, or invalid JSON, which the server refuses
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
