package eval_test

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/dbtest"
)

// pools hold few values, so that equal ones are common, and the special ones of each
// type.
var pools = map[string][]driver.Value{
	"INTEGER": {int64(-1), int64(0), int64(1), int64(2), int64(5), int64(1) << 53, int64(1)<<53 + 1, int64(math.MaxInt64), int64(math.MinInt64)},
	"FLOAT":   {-1.5, 0.0, math.Copysign(0, -1), 1.0, 1.5, 2.0, 5.0, float64(1 << 53), 1e300, math.Inf(1), math.Inf(-1)},
	"BOOLEAN": {true, false},
	"VARCHAR": {"", "a", "A", "ab", "aB%", "a_b", "5", "-1", "1.5", "é", "É", "ab\ncd", `a\b`, "true", "Éa", "bé", uuids[0], "2020-02-29 12:00:00", "it's"},
	"BLOB":    {[]byte{}, []byte{0}, []byte{0, 255}, []byte("a"), []byte("ab"), []byte{255}},
	"TIMESTAMP": {time.Unix(0, 0).UTC(), time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC), time.Date(2020, 2, 29, 12, 0, 0, 1000, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1600, 6, 1, 0, 0, 0, 0, time.UTC), time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)},
	"UUID": {uuids[0], uuids[1], uuids[2]},
	"JSON": {`{"a":1}`, `null`, `[1]`, `5`, `"x"`},
}

var uuids = []string{"00000000-0000-0000-0000-000000000000", "5bfd1c5a-4a3f-4b60-9c6a-f8d5c0a1b2c3", "ffffffff-ffff-ffff-ffff-ffffffffffff"}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// fill creates a table with columns of each type and n rows. With nan the first three
// rows have NaN in f.
func fill(t testing.TB, db *sql.DB, r *rand.Rand, n int, nan bool) {
	t.Helper()
	dbtest.Exec(t, db, createTable)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for id := range n {
		names, marks, args := []string{"id"}, []string{"?"}, []any{id}
		for _, c := range columns[1:] {
			var v driver.Value
			if c.Name == "k" || r.IntN(4) > 0 {
				v = pick(r, pools[c.Type])
			}
			mark := "?"
			switch {
			case c.Type == "UUID":
				mark = "CAST(? AS UUID)"
			case c.Name == "f" && nan && id < 3:
				mark, v = "CAST(? AS FLOAT)", "NaN"
			}
			names, marks, args = append(names, c.Name), append(marks, mark), append(args, v)
		}
		dbtest.Exec(t, tx, "INSERT INTO v ("+strings.Join(names, ",")+") VALUES ("+strings.Join(marks, ",")+")", args...)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// generator writes random conditions. Some of them fail; none crashes the server.
type generator struct {
	*rand.Rand
	args []driver.Value
}

var types = []string{"INTEGER", "FLOAT", "BOOLEAN", "VARCHAR", "BLOB", "TIMESTAMP", "UUID"}

// condition writes a BOOLEAN expression.
func (g *generator) condition(depth int) string {
	if depth <= 0 || g.IntN(3) == 0 {
		return g.simple()
	}
	switch g.IntN(5) {
	case 0:
		return "NOT " + g.operand(depth-1)
	case 1:
		return "(" + g.condition(depth-1) + ")"
	}
	op := pick(g.Rand, []string{" AND ", " OR "})
	parts := []string{g.operand(depth - 1)}
	for range 1 + g.IntN(2) {
		parts = append(parts, g.operand(depth-1))
	}
	return strings.Join(parts, op)
}

// operand writes an operand of AND, OR and NOT that does not fail too often.
func (g *generator) operand(depth int) string {
	x := g.condition(depth)
	if g.IntN(3) > 0 || strings.Contains(x, " AND ") || strings.Contains(x, " OR ") {
		return "(" + x + ")"
	}
	return x
}

func (g *generator) simple() string {
	t := pick(g.Rand, types)
	switch g.IntN(12) {
	case 0:
		return pick(g.Rand, []string{"b", "TRUE", "FALSE", "v.b", "b = TRUE", "NULL"})
	case 1:
		return g.value(t) + pick(g.Rand, []string{" IS NULL", " IS NOT NULL"})
	case 2:
		return pick(g.Rand, []string{"j", "(j)", "v.j"}) + pick(g.Rand, []string{" IS NULL", " IS NOT NULL"})
	case 3:
		return g.value(t) + " BETWEEN " + g.beside(t) + " AND " + g.beside(t)
	case 4, 5:
		x, list := g.value(t), []string{g.beside(t)}
		for range g.IntN(4) {
			list = append(list, g.beside(t))
		}
		return x + pick(g.Rand, []string{" IN (", " NOT IN ("}) + strings.Join(list, ", ") + ")"
	case 6, 7:
		op := pick(g.Rand, []string{" LIKE ", " NOT LIKE ", " ILIKE ", " NOT ILIKE ", " !~ "})
		if g.IntN(20) == 0 {
			return g.value(t) + op + g.constant("VARCHAR", "a%") // mostly of another type, which fails
		}
		return g.value("VARCHAR") + op + g.constant("VARCHAR", pick(g.Rand, patterns))
	}
	return g.value(t) + pick(g.Rand, []string{" = ", " != ", " <> ", " < ", " <= ", " > ", " >= "}) + g.beside(t)
}

var patterns = []driver.Value{"", "%", "a%", "%b", "_", "a_b", `a\_b`, `a\\b`, "A%", "ab%cd", "é", "é%", "%É%", "%Éa", "_%", "%.5", "(a|b)", "a\\"}

// beside writes the other operand of a comparison with a value of the type: mostly one
// of the same type.
func (g *generator) beside(t string) string {
	switch g.IntN(30) {
	case 0:
		return "NULL"
	case 1:
		return g.constant(t, nil)
	case 2:
		t = pick(g.Rand, types)
	case 3:
		t = map[string]string{"INTEGER": "FLOAT", "FLOAT": "VARCHAR", "UUID": "VARCHAR", "VARCHAR": "UUID"}[t]
	}
	if t == "" {
		t = "INTEGER"
	}
	return g.value(t)
}

// value writes an expression of the type.
func (g *generator) value(t string) string {
	switch g.IntN(8) {
	case 0, 1, 2:
		var of []string
		for _, c := range columns {
			if c.Type == t {
				of = append(of, c.Name, "v."+c.Name)
			}
		}
		return pick(g.Rand, of)
	case 3:
		if t == "INTEGER" || t == "FLOAT" {
			op := pick(g.Rand, []string{" + ", " - ", " * ", " / ", " % "})
			left := pick(g.Rand, []string{"id", "id", "id", "id", "n", "f", "'5'", "-id", "-(id - 5)", "-1.5", "CAST(1.9 AS INTEGER)", "'12'::INTEGER", "CAST(id AS FLOAT)"})
			if g.IntN(3) == 0 {
				left = g.constant(t, pick(g.Rand, pools[t]))
			}
			return "(" + left + op + g.constant("INTEGER", pick(g.Rand, pools["INTEGER"])) + ")"
		}
		return g.cast(t)
	}
	return g.constant(t, pick(g.Rand, pools[t]))
}

// cast writes a CAST to the type.
func (g *generator) cast(t string) string {
	from := pick(g.Rand, map[string][]string{
		"BOOLEAN": {"'yes'", "'F'", "s", "NULL", "1"}, "VARCHAR": {"n", "f", "b", "u", "'a'", "NULL"}, "BLOB": {"s", "u", "'a'", "NULL"},
		"TIMESTAMP": {"'2020-02-29'", "'2020-02-29 12:00:00.000001'", "'2020-02-29T12:00:00Z'", "'2020-02-29 14:00:00 +0200'", "1582977600", "id", "k"},
		"UUID":      {"'" + uuids[1] + "'", "'{" + uuids[1] + "}'", "'" + strings.ReplaceAll(uuids[1], "-", "") + "'", "k", "NULL"},
	}[t])
	if g.IntN(2) == 0 && !strings.ContainsAny(from, " ") {
		return from + "::" + t
	}
	return "CAST(" + from + " AS " + t + ")"
}

// constant writes a value as an argument or as a literal.
func (g *generator) constant(t string, v driver.Value) string {
	if g.IntN(2) == 0 {
		if t == "UUID" && v != nil && g.IntN(4) > 0 {
			g.args = append(g.args, v)
			return "CAST(? AS UUID)"
		}
		g.args = append(g.args, v)
		return "?"
	}
	switch v := v.(type) {
	case nil:
		return "NULL"
	case int64:
		if v == math.MinInt64 {
			return "(-9223372036854775807 - 1)"
		}
		return fmt.Sprint(v)
	case float64:
		if math.IsInf(v, 0) || math.Signbit(v) && v == 0 {
			return fmt.Sprintf("CAST('%v' AS FLOAT)", v)
		}
		return fmt.Sprintf("%f", v)
	case bool:
		return strings.ToUpper(fmt.Sprint(v))
	case []byte:
		return fmt.Sprintf("x'%x'", v)
	case time.Time:
		return v.Format("TIMESTAMP '2006-01-02 15:04:05.999999'")
	case string:
		text := "'" + strings.ReplaceAll(v, "'", "''") + "'"
		if t == "UUID" {
			return "CAST(" + text + " AS UUID)"
		}
		return text
	}
	panic(fmt.Sprintf("a constant of type %T", v))
}
