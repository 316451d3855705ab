// Package sqlgen makes statements at random for tests: right in their grammar, hostile
// in their values. The same seed makes the same statements.
package sqlgen

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// Schema makes the tables that the statements are about.
var Schema = []string{
	"CREATE TABLE t (id INTEGER AUTO_INCREMENT, n INTEGER, s VARCHAR[20], b BOOLEAN, ts TIMESTAMP, x BLOB[64], u UUID, j JSON, f FLOAT, PRIMARY KEY id)",
	"CREATE TABLE p (id INTEGER, t_id INTEGER, u UUID, n INTEGER NOT NULL, PRIMARY KEY (id, t_id))",
	"CREATE INDEX ON t (n)",
	"CREATE INDEX ON t (s, ts)",
	"CREATE UNIQUE INDEX ON p (n)",
	"INSERT INTO t (n, s, b, ts, x, j, f) VALUES (1, 'a', TRUE, CAST('2021-02-03 04:05:06' AS TIMESTAMP), x'00', '{\"a\":1}', 0.5), " +
		"(2, 'b', FALSE, CAST('1999-12-31' AS TIMESTAMP), x'01', '[]', -2.0), (NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
	"INSERT INTO p (id, t_id, n) VALUES (1, 1, 5), (2, 2, 6), (2, 3, 7)",
	"CREATE SEQUENCE sq",
	"CREATE VIEW v AS SELECT id FROM t",
}

// Generator makes statements.
type Generator struct {
	*rand.Rand
	// Repeatable leaves out functions and statements whose results differ each time, or that
	// other tests on the server would notice: the clock, random values, the catalog, users.
	Repeatable bool
}

// New makes a generator.
func New(seed uint64) *Generator { return &Generator{Rand: rand.New(rand.NewPCG(seed, 2))} }

func (g *Generator) one(list ...string) string { return list[g.IntN(len(list))] }

// maybe returns text one time in n.
func (g *Generator) maybe(n int, text func() string) string {
	if g.IntN(n) > 0 {
		return ""
	}
	return text()
}

// mostly returns text, except one time in n.
func (g *Generator) mostly(n int, text func() string) string {
	if g.IntN(n) == 0 {
		return ""
	}
	return text()
}

func (g *Generator) list(n int, item func() string) string {
	items := make([]string, 1+g.IntN(n))
	for i := range items {
		items[i] = item()
	}
	return strings.Join(items, ", ")
}

var (
	columns   = []string{"id", "n", "s", "b", "ts", "x", "u", "j", "f"}
	functions = []string{"LENGTH", "SUBSTRING", "CONCAT", "LOWER", "UPPER", "TRIM", "JSON_TYPEOF", "ABS", "CEIL", "FLOOR", "ROUND",
		"POWER", "SQRT", "MOD", "SIGN", "REPLACE", "REVERSE", "REPEAT", "POSITION", "CHAR_LENGTH", "OCTET_LENGTH", "NULLIF", "GREATEST", "LEAST", "LPAD", "RPAD",
		"SPLIT_PART", "INITCAP", "CHR", "ASCII", "MD5", "TRANSLATE", "DATE_TRUNC", "TO_CHAR", "DATE_PART", "SUBSTR", "STRPOS", "CONCAT_WS", "LEFT", "RIGHT", "LTRIM", "RTRIM",
		"REGEXP_REPLACE", "TO_NUMBER", "COALESCE", "FORMAT_TYPE", "ARRAY_TO_STRING", "PG_GET_USERBYID", "QUOTE_IDENT", "PG_TABLE_IS_VISIBLE", "LOG", "LN", "EXP", "PI", "DEGREES"}
	changing = []string{"NOW", "RANDOM_UUID", "AGE", "CLOCK_TIMESTAMP", "NEXTVAL", "CURRVAL", "SETVAL", "RANDOM", "CURRENT_USER", "VERSION", "PG_BACKEND_PID"}
	literals = []string{"0", "1", "-1", "2", "9223372036854775807", "-9223372036854775807", "1.5", "-0.0", "1000000000000000000000.0", "''", "'a'", "'%'", "'it''s'", "'é'", "'['", "x''", "x'00'",
		"x'00000000000000000000000000000000'", "TRUE", "FALSE", "NULL", "'2020-01-01'", "'null'", "'{}'", "'{\"a\":[1,null]}'", "'day'", "','", "'\x00'", "'00000000-0000-0000-0000-000000000001'",
		"CAST('2020-01-01' AS TIMESTAMP)", "CAST('1.5' AS FLOAT)", "CAST('[1]' AS JSON)", "'/* -- */'"}
	types = []string{"INTEGER", "VARCHAR", "BOOLEAN", "BLOB", "UUID", "TIMESTAMP", "FLOAT", "JSON"}
)

// values are arguments, of the types that a driver passes on.
var values = []any{nil, int64(0), int64(1), int64(-1), int64(1) << 62, int64(math.MaxInt64), int64(math.MinInt64), 1.5, math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, "", "a", "%", "é%", "null", "{}",
	"a\x00b", "'; DROP TABLE t; --", []byte{}, []byte{1}, make([]byte, 16), make([]byte, 300), true, false,
	time.Unix(0, 0).UTC(), time.Time{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2262, 4, 12, 0, 0, 0, 0, time.UTC), strings.Repeat("z", 300), strings.Repeat("é", 5000)}

// Arguments returns an argument for each placeholder of the statement, all of which are "?".
func (g *Generator) Arguments(statement string) []any {
	args := make([]any, strings.Count(statement, "?"))
	for i := range args {
		args[i] = values[g.IntN(len(values))]
	}
	return args
}

func (g *Generator) column() string {
	return g.maybe(30, func() string { return g.one("t.", "p.", "t2.", "q.") }) + g.one(columns...)
}

func (g *Generator) function() string {
	if !g.Repeatable && g.IntN(5) == 0 {
		return g.one(changing...)
	}
	return g.one(functions...)
}

func (g *Generator) atom(depth int) string {
	if depth <= 0 {
		return g.one(g.one(columns...), g.one(literals...))
	}
	switch g.IntN(18) {
	case 0, 1, 2:
		return g.column()
	case 3, 4:
		return g.one(literals...)
	case 5:
		return "?"
	case 6, 7:
		return g.function() + "(" + g.mostly(4, func() string { return g.list(3, func() string { return g.atom(depth - 1) }) }) + ")"
	case 8:
		return "CAST(" + g.atom(depth-1) + " AS " + g.one(types...) + ")"
	case 9:
		return "(" + g.atom(depth-1) + " " + g.one("+", "-", "*", "/", "%") + " " + g.atom(depth-1) + ")"
	case 10:
		return "(" + g.query(depth-1, true) + ")"
	case 11:
		return g.aggregate()
	case 12:
		return "CASE " + g.maybe(4, func() string { return g.atom(depth-1) + " " }) + "WHEN " + g.condition(depth-1) + " THEN " + g.atom(depth-1) +
			g.maybe(2, func() string { return " ELSE " + g.atom(depth-1) }) + " END"
	case 13:
		return "-" + g.one(columns...)
	case 14:
		return g.one("j->'a'", "j->'a'->'b'", "EXTRACT("+g.one("YEAR", "DAY", "SECOND")+" FROM "+g.one("ts", "n", "NULL")+")", g.one(columns...)+"::"+g.one(types...), "?::"+g.one(types...))
	case 15:
		return "(" + g.condition(depth-1) + ")"
	case 16:
		return g.one("TIMESTAMP", "DATE") + " '" + g.one("2020-01-01", "9999-12-31", "", "x", "0001-01-01 00:00:00") + "'"
	}
	return g.typed(g.one(columns...))
}

// fitting are values of the type of each column, some hostile.
var fitting = map[string][]string{
	"id": {"1", "2", "3", "-7", "9223372036854775807", "id", "n + 1", "ABS(id)", "LENGTH(s)"},
	"n":  {"1", "2", "NULL", "9223372036854775807", "-9223372036854775807", "n", "id", "n * 2", "CAST('5' AS INTEGER)", "(SELECT MAX(n) FROM p)", "CASE WHEN b THEN 1 ELSE 2 END"},
	"s":  {"'a'", "'b'", "''", "NULL", "'é'", "'it''s'", "s", "CONCAT(s, 'x')", "UPPER(s)", "CAST(n AS VARCHAR)", "REPLACE('a', 'a', 'b')", "SUBSTRING('abc', 1, 2)"},
	"b":  {"TRUE", "FALSE", "NULL", "b", "n = 1", "NOT TRUE"},
	"ts": {"CAST('2021-02-03 04:05:06' AS TIMESTAMP)", "CAST('0001-01-01' AS TIMESTAMP)", "CAST('9999-12-31' AS TIMESTAMP)", "NULL", "ts", "TIMESTAMP '1999-12-31'"},
	"x":  {"x'00'", "x''", "x'ffff'", "NULL", "x"},
	"u":  {"'00000000-0000-0000-0000-000000000001'", "CAST('00000000-0000-0000-0000-000000000002' AS UUID)", "x'00000000000000000000000000000000'", "NULL", "u"},
	"j":  {"'{\"a\":1}'", "'[]'", "'\"s\"'", "'1.5'", "NULL", "j", "CAST('{}' AS JSON)"},
	"f":  {"0.5", "-2.0", "NULL", "f", "f + 1.0", "CAST(n AS FLOAT)", "179769313486231570000000000.0"},
}

// typed is a value of the type of a column.
func (g *Generator) typed(column string) string { return g.one(fitting[column]...) }

// windowed is a window function as a whole column of a result.
func (g *Generator) windowed() string {
	f := g.one("ROW_NUMBER()", "RANK()", "DENSE_RANK()", "LAG(n)", "LEAD(s, 2)", "LAG(n, ?)", "NTILE(0)", "FIRST_VALUE(j)", "LAST_VALUE(x)", "PERCENT_RANK()", g.aggregate())
	return f + " OVER (" + g.maybe(2, func() string { return "PARTITION BY " + g.one(columns...) + " " }) +
		g.mostly(4, func() string { return "ORDER BY " + g.one(columns...) + g.one("", " DESC") }) + ")"
}

func (g *Generator) aggregate() string {
	return g.one("COUNT(*)", g.one("COUNT", "SUM", "MIN", "MAX", "AVG")+"("+g.one("", "DISTINCT ")+g.one(columns...)+")", "STRING_AGG("+g.one(columns...)+", ',')")
}

func (g *Generator) condition(depth int) string {
	x := func() string { return g.atom(depth - 1) }
	switch g.IntN(18) {
	case 0, 1, 2:
		return x() + " " + g.one("=", "<>", "<", "<=", ">", ">=") + " " + x()
	case 3:
		return x() + g.one("", " NOT") + " IN (" + g.list(3, x) + ")"
	case 4:
		return x() + " BETWEEN " + x() + " AND " + x()
	case 5:
		return x() + g.one(" LIKE ", " NOT LIKE ", " ILIKE ") + g.one("'a%'", "NULL", "s", "?", "CONCAT(s, '%')", "'é%'", "'[a'", "'\\'")
	case 6:
		return x() + " IS " + g.one("", "NOT ") + "NULL"
	case 7:
		return g.one("EXISTS (", "NOT EXISTS (", "id IN (", "n NOT IN (") + g.query(depth-1, true) + ")"
	case 8:
		return "NOT (" + g.condition(depth-1) + ")"
	case 9:
		return g.one("b", "TRUE", "NULL", "?")
	case 10, 11, 12, 13:
		column := g.one(columns...)
		return column + " " + g.one("=", "<>", "<", "<=", ">", ">=") + " " + g.typed(column)
	case 14:
		column := g.one(columns...)
		return column + g.one("", " NOT") + " IN (" + g.typed(column) + ", " + g.typed(column) + ")"
	case 15:
		column := g.one(columns...)
		return column + " BETWEEN " + g.typed(column) + " AND " + g.typed(column)
	}
	if depth <= 0 {
		return "n = 1"
	}
	return g.condition(depth-1) + g.one(" AND ", " OR ") + g.condition(depth-1)
}

func (g *Generator) source(depth int) string {
	switch g.IntN(10) {
	case 0:
		if depth > 0 {
			return "(" + g.query(depth-1, false) + ") AS q"
		}
	case 1:
		if !g.Repeatable {
			return g.one("pg_class", "pg_type", "pg_attribute", "information_schema_tables", "information_schema_columns", "DATABASES()", "TABLES()", "COLUMNS("+g.one("'t'", "NULL", "n", "''", "?")+")", "INDEXES('t')", "v")
		}
		return "v"
	case 2:
		return "t " + g.one("SINCE", "AFTER", "UNTIL", "BEFORE") + " " + g.one("TX 1", "TX 3", "TX 1000", "TX ?", "?", g.typed("ts"), "TX "+g.atom(depth-1), g.atom(depth-1))
	case 3:
		return g.one("(HISTORY OF t)", "(DIFF OF t) SINCE TX 1", "(DIFF OF t) SINCE TX 1 UNTIL TX "+g.one("2", "NULL", "?"), "(VALUES ("+g.atom(depth-1)+"))", "(VALUES ("+g.atom(depth-1)+"), (1, 2))")
	case 4:
		return "t USE INDEX ON " + g.one("(n)", "(s, ts)", "(id)", "(x)")
	}
	return g.one("t", "t", "p")
}

func (g *Generator) join(depth int) string {
	right := g.one("p", "t AS t2", "p AS q")
	switch g.IntN(6) {
	case 0:
		return " JOIN " + right + " USING (" + g.one("id", "n", "s") + ")"
	case 1:
		return " NATURAL " + g.one("", "LEFT ") + "JOIN " + right
	case 2:
		return ", " + right
	}
	return g.one(" JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN ", " INNER JOIN ") + right + " ON " + g.condition(depth-1)
}

func (g *Generator) query(depth int, single bool) string {
	if depth > 0 && g.IntN(20) == 0 {
		return "WITH " + g.maybe(5, func() string { return "RECURSIVE " }) + "q AS (" + g.query(depth-1, false) + ") SELECT " + g.one("*", "id", "n, s") + " FROM q" +
			g.maybe(2, func() string { return " WHERE " + g.condition(depth-1) })
	}
	targets := func() string {
		if g.IntN(10) == 0 && depth > 0 {
			return g.windowed()
		}
		return g.atom(depth) + g.maybe(4, func() string { return " AS " + g.one("k", "n2", "count", `"A b"`, "n") })
	}
	var b strings.Builder
	b.WriteString("SELECT " + g.maybe(8, func() string { return "DISTINCT " }))
	switch {
	case single:
		b.WriteString(targets())
	case g.IntN(3) == 0:
		b.WriteString(g.one("*", "*", "t.*"))
	default:
		b.WriteString(g.list(3, targets))
	}
	b.WriteString(" FROM " + g.source(depth))
	b.WriteString(g.maybe(5, func() string { return g.join(depth) }))
	b.WriteString(g.maybe(2, func() string { return " WHERE " + g.condition(depth) }))
	b.WriteString(g.maybe(6, func() string { return " GROUP BY " + g.list(2, func() string { return g.one(columns...) }) }))
	b.WriteString(g.maybe(10, func() string { return " HAVING " + g.condition(depth-1) }))
	b.WriteString(g.maybe(4, func() string {
		return " ORDER BY " + g.list(2, func() string {
			return g.one(g.one(columns...), "1", "2", g.atom(depth-1)) + g.one("", " DESC", " NULLS LAST")
		})
	}))
	b.WriteString(g.maybe(6, func() string { return " LIMIT " + g.one("1", "?", g.atom(0)) }))
	b.WriteString(g.maybe(10, func() string { return " OFFSET " + g.one("1", "?", g.atom(0)) }))
	return b.String() + g.maybe(12, func() string {
		return g.one(" UNION ", " UNION ALL ", " EXCEPT ", " INTERSECT ") + g.query(depth-1, true)
	})
}

// Query makes a query.
func (g *Generator) Query() string { return g.query(1+g.IntN(3), false) }

// Write makes a statement that writes rows.
func (g *Generator) Write() string {
	x := func() string { return g.atom(2) }
	returning := func() string {
		return g.maybe(6, func() string { return " RETURNING " + g.one("*", "id", "id, n", "NULL", "n + 1", "nosuch") })
	}
	switch g.IntN(6) {
	case 0, 1:
		list := []string{g.one("n", "s", "x"), g.one("u", "j"), g.one("ts", "b", "f")}
		row := func() string {
			values := make([]string, len(list))
			for i := range list {
				values[i] = g.one(x(), "?", g.typed(list[i]), g.typed(list[i]))
			}
			return g.one("1", "2", "100", "NULL", "?") + ", " + strings.Join(values, ", ")
		}
		return g.one("INSERT", "UPSERT") + " INTO t (id, " + strings.Join(list, ", ") + ") VALUES (" + row() + ")" +
			g.maybe(5, func() string { return ", (" + row() + ")" }) +
			g.maybe(4, func() string { return " ON CONFLICT DO " + g.one("NOTHING", "UPDATE SET "+g.one(columns...)+" = "+x()) }) + returning()
	case 2:
		return "INSERT INTO " + g.one("p (id, t_id, n, u)", "t (n, id, s, u)") + " SELECT " + g.one("id", "id + 100", x()) + ", " + g.one("n", "1", x()) + ", " + g.one("2", "LENGTH(s)", x()) + ", " + g.one("u", "x", "s", x()) + " FROM " + g.one("t", "p", "v", "t JOIN p ON p.t_id = t.id")
	case 3:
		return "UPDATE " + g.one("t", "t", "p") + " SET " + g.list(2, func() string {
			column := g.one(columns...)
			return column + " = " + g.one(x(), g.typed(column), g.typed(column))
		}) + g.mostly(5, func() string { return " WHERE " + g.condition(2) }) +
			g.maybe(8, func() string { return " LIMIT " + g.atom(0) }) + returning()
	case 4:
		return "DELETE FROM " + g.one("p", "t") + " WHERE " + g.condition(2) + returning()
	}
	// The most common statement.
	return g.one("INSERT", "UPSERT") + " INTO t (n, s, f, b) VALUES (?, " + g.one("'x'", "?", "'it''s'") + ", " + g.one("0.25", "?") + ", " + g.one("TRUE", "NULL", "b", "1 = 1") + ")"
}

// Statement makes a statement of any kind.
func (g *Generator) Statement() string {
	switch n := g.IntN(24); {
	case n < 8:
		return g.Write()
	case n < 10:
		return fmt.Sprintf("CREATE TABLE c%d (id INTEGER %s, n %s %s DEFAULT %s, s VARCHAR[%s], CHECK %s, PRIMARY KEY %s)", g.IntN(300), g.one("", "AUTO_INCREMENT", "NOT NULL"),
			g.one(types...), g.one("", "NOT NULL"), g.atom(1), g.one("20", "0", "1020", "2000", "9223372036854775807"), g.condition(1), g.one("id", "(id, s)", "n", "nosuch"))
	case n < 11:
		return fmt.Sprintf(g.one("CREATE INDEX ON c%d (n)", "CREATE UNIQUE INDEX ON c%d (n, s)", "ALTER TABLE c%d ADD COLUMN a "+g.one(types...), "ALTER TABLE c%d RENAME COLUMN n TO m", "ALTER TABLE c%d DROP COLUMN n",
			"ALTER TABLE c%d ALTER COLUMN n SET NOT NULL", "DROP TABLE c%d", "TRUNCATE TABLE c%d", "ALTER TABLE c%d RENAME TO d", "DROP INDEX ON c%d (n)"), g.IntN(300))
	case n < 12:
		return g.one("SHOW TABLES", "SHOW TABLE t", "SHOW USERS", "SHOW GRANTS", "EXPLAIN "+g.query(1, false), "DELETE FROM "+g.one("v", "pg_class")+" WHERE "+g.condition(1), "SAVEPOINT a", "BEGIN", "USE DATABASE nosuch",
			"CREATE VIEW w AS "+g.query(1, false), "DROP VIEW w", "DROP SEQUENCE sq2", "CREATE SEQUENCE sq2", "", ";", "SELECT", "SELECT 1 FROM", "\x00", "SELECT \x00 FROM t", "GRANT SELECT ON DATABASE nosuch TO USER nosuch")
	case n < 13:
		return g.one("BEGIN; ", "") + g.Write() + "; " + g.one(g.Write(), g.query(1, false)) + g.one("; COMMIT", "; ROLLBACK", ";", "")
	}
	return g.Query()
}
