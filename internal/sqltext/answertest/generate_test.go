package answertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// generator makes texts of the dialect, the same ones for the same seed.
type generator struct {
	*rand.Rand
	args []any // for the placeholders so far
}

func newGenerator(seed, n uint64) *generator { return &generator{Rand: rand.New(rand.NewPCG(seed, n))} }

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }
func (g *generator) chance(p float64) bool      { return g.Float64() < p }

// source is a table or subquery that columns may come from.
type source struct {
	name    string
	columns []string
}

var (
	tableT = source{"t", []string{"id", "a", "b"}}
	tableU = source{"u", []string{"id", "tid", "c"}}
)

// value is a small number, as a literal or as an argument.
func (g *generator) value() string {
	n := g.IntN(6)
	if g.chance(0.7) {
		return fmt.Sprint(n)
	}
	g.args = append(g.args, n)
	return fmt.Sprintf("$%d", len(g.args))
}

func (g *generator) column(scope []source) string {
	s := scope[g.IntN(len(scope))]
	c := s.columns[g.IntN(len(s.columns))]
	if len(scope) == 1 && g.chance(0.5) {
		return c
	}
	return s.name + "." + c
}

func (g *generator) expression(scope []source, depth int) string {
	switch {
	case depth > 0 && g.chance(0.2):
		return g.operand(scope, depth-1) + g.pick(" + ", " - ", " * ") + g.operand(scope, depth-1)
	case depth > 0 && g.chance(0.1):
		return "CASE WHEN " + g.condition(scope, nil, depth-1) + " THEN " + g.expression(scope, depth-1) + " ELSE " + g.expression(scope, depth-1) + " END"
	}
	return g.operand(scope, depth)
}

// operand leaves out CASE, which the server does not allow as an operand.
func (g *generator) operand(scope []source, _ int) string {
	if g.chance(0.2) {
		return g.value()
	}
	return g.column(scope)
}

// condition returns a condition on the columns of scope and, in a subquery, of outer.
func (g *generator) condition(scope, outer []source, depth int) string {
	left := g.column(scope)
	if outer != nil && g.chance(0.3) {
		s := outer[g.IntN(len(outer))]
		left = s.name + "." + s.columns[g.IntN(len(s.columns))]
	}
	n := g.IntN(12)
	if depth == 0 {
		n = max(n, 5)
	}
	switch n {
	case 0:
		return "(" + g.condition(scope, outer, depth-1) + g.pick(" AND ", " OR ") + g.condition(scope, outer, depth-1) + ")"
	case 1:
		return "NOT (" + g.condition(scope, outer, depth-1) + ")"
	case 2:
		return g.pick("", "NOT ") + "EXISTS (" + g.subquery(scope, "1") + ")"
	case 3:
		return g.column(scope) + g.pick(" IN (", " NOT IN (") + g.subquery(scope, "") + ")"
	case 4:
		return g.column(scope) + g.pick(" = ", " < ") + "(SELECT " + g.pick("MAX", "MIN", "COUNT") + "(c) FROM u)"
	case 5:
		return left + g.pick(" IN (", " NOT IN (") + g.value() + ", " + g.value() + ")"
	case 6:
		return left + " BETWEEN " + g.value() + " AND " + g.value()
	case 7:
		return g.column(scope) + " = " + g.column(scope)
	}
	return left + g.pick(" = ", " <> ", " < ", " <= ", " > ", " >= ") + g.value()
}

func (g *generator) subquery(outer []source, target string) string {
	s := tableT
	if g.chance(0.6) {
		s = tableU
	}
	from := s.name
	if g.chance(0.5) {
		s.name = fmt.Sprintf("x%d", g.IntN(100))
		from += " AS " + s.name
	}
	scope := []source{s}
	if target == "" {
		target = g.column(scope)
	}
	q := "SELECT " + target + " FROM " + from
	if g.chance(0.8) {
		var correlated []source
		if g.chance(0.4) && s.name != outer[0].name {
			correlated = outer
		}
		q += " WHERE " + g.condition(scope, correlated, 1)
	}
	return q
}

func (g *generator) from() (string, []source) {
	t, u := []source{tableT}, []source{tableU}
	switch g.IntN(10) {
	case 0, 1:
		both := []source{tableT, tableU}
		on := "t.id = u.tid"
		if g.chance(0.4) {
			on = g.condition(both, nil, 0)
		}
		if g.chance(0.4) {
			on += " AND " + g.condition(both, nil, 0)
		}
		return "t " + g.pick("JOIN", "INNER JOIN") + " u ON " + on, both
	case 2:
		return "t JOIN u USING (id)", []source{tableT, tableU}
	case 3:
		return "t AS x JOIN t AS y ON x.a = y.b", []source{{"x", tableT.columns}, {"y", tableT.columns}}
	case 4:
		return "(SELECT id, a AS k, b FROM t WHERE " + g.condition(t, nil, 1) + ") AS d", []source{{"d", []string{"id", "k", "b"}}}
	case 5:
		return "u", u
	}
	return "t", t
}

func (g *generator) where(scope []source, depth int) string {
	if g.chance(0.3) {
		return ""
	}
	return " WHERE " + g.condition(scope, nil, depth)
}

// ordered appends an ORDER BY of all columns of the result, and perhaps a LIMIT.
func (g *generator) ordered(q string, keys []string) (text string, isOrdered bool) {
	if g.chance(0.4) {
		return q, false
	}
	g.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for i := range keys {
		keys[i] += g.pick("", " DESC")
	}
	q += " ORDER BY " + strings.Join(keys, ", ")
	if g.chance(0.5) {
		q += fmt.Sprintf(" LIMIT %d", 1+g.IntN(4))
		if g.chance(0.4) {
			q += fmt.Sprintf(" OFFSET %d", g.IntN(3))
		}
	}
	return q, true
}

// query is a SELECT. If it is not ordered, its rows may come in any order.
func (g *generator) query() (text string, ordered bool) {
	switch g.IntN(13) {
	case 12:
		return g.totals(), false
	case 0, 1:
		return g.setOperation()
	case 2, 3, 4:
		return g.grouped()
	case 5:
		return g.window()
	case 6:
		return g.with()
	}
	from, scope := g.from()
	targets := make([]string, 1+g.IntN(3))
	keys := make([]string, len(targets))
	for i := range targets {
		targets[i], keys[i] = g.expression(scope, 2), fmt.Sprint(i+1)
		switch {
		case g.chance(0.3):
			alias := fmt.Sprint("k", i)
			targets[i] += " AS " + alias
			keys[i] = g.pick(keys[i], alias)
		case g.chance(0.15):
			targets[i] += " AS " + g.pick("a", "b", "id")
		}
	}
	q := "SELECT " + g.pick("", "", "", "DISTINCT ") + strings.Join(targets, ", ") + " FROM " + from + g.where(scope, 2)
	return g.ordered(q, keys)
}

func (g *generator) aggregate(scope []source) string {
	switch g.IntN(6) {
	case 0:
		return "COUNT(*)"
	case 1:
		return "COUNT(DISTINCT " + g.column(scope) + ")"
	}
	return g.pick("COUNT", "SUM", "MAX", "MIN") + "(" + g.column(scope) + ")"
}

// total is an aggregate. MAX, MIN and SUM of no rows are 0 for the server.
func (g *generator) total(scope []source) string {
	a := g.aggregate(scope)
	if strings.HasPrefix(a, "COUNT") {
		return a
	}
	return "COALESCE(" + a + ", 0)"
}

// totals is a query of one row, about rows of which there may be none.
func (g *generator) totals() string {
	from, scope := g.from()
	targets := []string{g.total(scope)}
	for range g.IntN(3) {
		x := g.total(scope)
		switch g.IntN(4) {
		case 0:
			x = g.value()
		case 1:
			x += g.pick(" + ", " - ") + g.total(scope)
		case 2:
			x = "CASE WHEN " + x + g.pick(" = ", " > ") + g.total(scope) + " THEN " + g.total(scope) + " ELSE " + g.value() + " END"
		}
		targets = append(targets, x)
	}
	where := " WHERE 1 = 0"
	if g.chance(0.7) {
		where = g.where(scope, 1)
	}
	return "SELECT " + strings.Join(targets, ", ") + " FROM " + from + where
}

func (g *generator) grouped() (text string, ordered bool) {
	from, scope := g.from()
	var groups []string
	for range 1 + g.IntN(2) {
		if c := g.column(scope); !slices.Contains(groups, c) {
			groups = append(groups, c)
		}
	}
	targets := slices.Clone(groups)
	for range g.IntN(3) {
		targets = append(targets, g.aggregate(scope))
	}
	g.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	keys := make([]string, len(targets))
	for i := range targets {
		keys[i] = g.pick(fmt.Sprint(i+1), targets[i])
	}
	q := "SELECT " + strings.Join(targets, ", ") + " FROM " + from + g.where(scope, 1) + " GROUP BY " + strings.Join(groups, ", ")
	if g.chance(0.4) {
		q += " HAVING " + g.aggregate(scope) + g.pick(" > ", " = ", " < ") + g.value()
	}
	return g.ordered(q, keys)
}

func (g *generator) setOperation() (text string, ordered bool) {
	operators := []string{" UNION ", " UNION ALL ", " EXCEPT "}
	sides, width := 2+g.IntN(2), 1+g.IntN(2)
	if sides == 2 {
		operators = append(operators, " INTERSECT ")
	}
	var b strings.Builder
	keys := make([]string, width)
	for i := range sides {
		if i > 0 {
			b.WriteString(g.pick(operators...))
		}
		s := tableT
		if g.chance(0.4) {
			s = tableU
		}
		columns := make([]string, width)
		for k := range columns {
			columns[k] = s.columns[g.IntN(len(s.columns))]
			if i == 0 {
				columns[k] += fmt.Sprint(" AS k", k)
				keys[k] = g.pick(fmt.Sprint(k+1), fmt.Sprint("k", k))
			}
		}
		b.WriteString("SELECT " + strings.Join(columns, ", ") + " FROM " + s.name + g.where([]source{s}, 1))
	}
	return g.ordered(b.String(), keys)
}

func (g *generator) window() (text string, ordered bool) {
	from, scope := g.from()
	over := ""
	if g.chance(0.4) {
		over = "PARTITION BY " + g.column(scope)
	}
	function := g.pick("ROW_NUMBER()", "RANK()", "DENSE_RANK()", "LAG("+g.column(scope)+")", "LEAD("+g.column(scope)+", 2)", "FIRST_VALUE("+g.column(scope)+")")
	if g.chance(0.3) {
		function = g.pick("SUM("+g.column(scope)+")", "COUNT(*)", "MAX("+g.column(scope)+")")
	} else {
		over += " ORDER BY " + g.column(scope) + g.pick("", " DESC")
		for _, s := range scope { // so that no two rows are equal
			over += ", " + s.name + ".id"
		}
	}
	q := "SELECT " + g.column(scope) + " AS k, " + function + " OVER (" + over + ") AS w FROM " + from + g.where(scope, 1)
	return g.ordered(q, []string{"k", "w"})
}

func (g *generator) with() (text string, ordered bool) {
	q := "WITH c AS (SELECT id, a AS k FROM t WHERE " + g.condition([]source{tableT}, nil, 1) + ") SELECT "
	scope, from := []source{{"c", []string{"id", "k"}}}, "c"
	if g.chance(0.4) {
		scope, from = append(scope, tableU), "c JOIN u ON c.id = u.tid"
	}
	q += g.column(scope) + " AS k0, " + g.expression(scope, 1) + " AS k1 FROM " + from + g.where(scope, 1)
	return g.ordered(q, []string{"k0", "k1"})
}

// write is an UPDATE, a DELETE or an INSERT … SELECT.
func (g *generator) write() string {
	scope := []source{tableT}
	switch g.IntN(4) {
	case 0:
		return "DELETE FROM t WHERE " + g.condition(scope, nil, 2)
	case 1:
		return "INSERT INTO u (id, tid, c) SELECT id + 100, a, b FROM t WHERE " + g.condition(scope, nil, 2)
	case 2:
		return "UPDATE t SET a = (SELECT " + g.pick("MAX", "MIN", "COUNT") + "(c) FROM u) WHERE " + g.condition(scope, nil, 2)
	}
	return "UPDATE t SET " + g.pick("a", "b") + " = " + g.expression(scope, 1) + " WHERE " + g.condition(scope, nil, 2)
}
