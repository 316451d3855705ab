package crashtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// hunter makes statements on the tables of schema: right in their grammar, hostile
// in their values. The same seed makes the same statements.
type hunter struct{ *rand.Rand }

func (h *hunter) one(list ...string) string { return list[h.IntN(len(list))] }

// maybe returns text one time in n.
func (h *hunter) maybe(n int, text func() string) string {
	if h.IntN(n) > 0 {
		return ""
	}
	return text()
}

func (h *hunter) list(n int, item func() string) string {
	items := make([]string, 1+h.IntN(n))
	for i := range items {
		items[i] = item()
	}
	return strings.Join(items, ", ")
}

var (
	columns   = []string{"id", "n", "s", "b", "ts", "x", "u", "j"}
	functions = []string{"LENGTH", "SUBSTRING", "CONCAT", "LOWER", "UPPER", "TRIM", "NOW", "RANDOM_UUID", "JSON_TYPEOF", "ABS", "CEIL", "FLOOR", "ROUND",
		"POWER", "SQRT", "MOD", "SIGN", "REPLACE", "REVERSE", "REPEAT", "POSITION", "CHAR_LENGTH", "OCTET_LENGTH", "NULLIF", "GREATEST", "LEAST", "LPAD", "RPAD",
		"SPLIT_PART", "INITCAP", "CHR", "ASCII", "MD5", "TRANSLATE", "DATE_TRUNC", "TO_CHAR", "DATE_PART", "AGE", "CLOCK_TIMESTAMP", "SUBSTR", "STRPOS", "CONCAT_WS",
		"REGEXP_REPLACE", "NEXTVAL", "CURRVAL", "RANDOM", "TO_NUMBER", "COALESCE", "CURRENT_USER", "FORMAT_TYPE", "ARRAY_TO_STRING", "PG_GET_USERBYID", "QUOTE_IDENT"}
	literals = []string{"0", "1", "-1", "2", "9223372036854775807", "-9223372036854775807", "1.5", "-0.0", "''", "'a'", "'%'", "'it''s'", "'é'", "'['", "x''", "x'00'",
		"x'00000000000000000000000000000000'", "TRUE", "FALSE", "NULL", "'2020-01-01'", "'null'", "'{}'", "NOW()", "'day'", "','"}
	values = []any{nil, 0, 1, -1, int64(1) << 62, -(int64(1) << 62), 1.5, "", "a", "%", "é%", "null", []byte{}, []byte{1}, make([]byte, 16), true,
		time.Unix(0, 0), time.Time{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), strings.Repeat("z", 300)}
	types = []string{"INTEGER", "VARCHAR", "BOOLEAN", "BLOB", "UUID", "TIMESTAMP", "FLOAT", "JSON"}
)

// arguments are as many as the statement has placeholders.
func (h *hunter) arguments(statement string) []any {
	args := make([]any, strings.Count(statement, "?"))
	for i := range args {
		args[i] = values[h.IntN(len(values))]
	}
	return args
}

func (h *hunter) atom(depth int) string {
	if depth <= 0 {
		return h.one(h.one(columns...), h.one(literals...))
	}
	switch h.IntN(16) {
	case 0, 1, 2:
		return h.one(columns...)
	case 3, 4:
		return h.one(literals...)
	case 5:
		return "?"
	case 6, 7:
		return h.one(functions...) + "(" + h.maybe2(func() string { return h.list(3, func() string { return h.atom(depth - 1) }) }) + ")"
	case 8:
		return "CAST(" + h.atom(depth-1) + " AS " + h.one(types...) + ")"
	case 9:
		return "(" + h.atom(depth-1) + " " + h.one("+", "-", "*", "/", "%") + " " + h.atom(depth-1) + ")"
	case 10:
		return "(" + h.query(depth-1, true) + ")"
	case 11:
		return h.aggregate()
	case 12:
		return "CASE WHEN " + h.condition(depth-1) + " THEN " + h.atom(depth-1) + h.maybe(2, func() string { return " ELSE " + h.atom(depth-1) }) + " END"
	case 13:
		return "-" + h.one(columns...)
	case 14:
		return h.one("j->'a'", "EXTRACT(YEAR FROM "+h.one("ts", "n", "NULL")+")", h.one(columns...)+"::"+h.one(types...))
	}
	return h.aggregate() + " OVER (" + h.maybe(2, func() string { return "PARTITION BY " + h.one(columns...) + " " }) + "ORDER BY " + h.one(columns...) + ")"
}

// maybe2 returns text three times of four.
func (h *hunter) maybe2(text func() string) string {
	if h.IntN(4) == 0 {
		return ""
	}
	return text()
}

func (h *hunter) aggregate() string {
	if h.IntN(4) == 0 {
		return h.one("ROW_NUMBER()", "RANK()", "LAG(n)", "LEAD(s, 2)", "NTILE(0)", "FIRST_VALUE(j)")
	}
	return h.one("COUNT(*)", h.one("COUNT", "SUM", "MIN", "MAX", "AVG")+"("+h.one("", "DISTINCT ")+h.one(columns...)+")", "STRING_AGG("+h.one(columns...)+", ',')")
}

func (h *hunter) condition(depth int) string {
	x := func() string { return h.atom(depth - 1) }
	switch h.IntN(10) {
	case 0, 1, 2:
		return x() + " " + h.one("=", "<>", "<", "<=", ">", ">=") + " " + x()
	case 3:
		return x() + h.one("", " NOT") + " IN (" + h.list(3, x) + ")"
	case 4:
		return x() + " BETWEEN " + x() + " AND " + x()
	case 5:
		return x() + h.one(" LIKE ", " NOT LIKE ", " ILIKE ") + h.one("'a%'", "NULL", "s", "?", "CONCAT(s, '%')", "'é%'")
	case 6:
		return x() + " IS " + h.one("", "NOT ") + "NULL"
	case 7:
		return h.one("EXISTS (", "id IN (") + h.query(depth-1, true) + ")"
	case 8:
		return "NOT (" + h.condition(depth-1) + ")"
	}
	if depth <= 0 {
		return "n = 1"
	}
	return h.condition(depth-1) + h.one(" AND ", " OR ") + h.condition(depth-1)
}

func (h *hunter) source(depth int) string {
	switch h.IntN(9) {
	case 0:
		if depth > 0 {
			return "(" + h.query(depth-1, false) + ") AS q"
		}
	case 1:
		return h.one("pg_class", "pg_type", "information_schema_tables", "TABLES()", "COLUMNS("+h.one("'t'", "NULL", "n", "''")+")", "INDEXES('t')", "v")
	case 2:
		return "t " + h.one("SINCE", "AFTER", "UNTIL", "BEFORE") + " " + h.one("TX ", "") + h.atom(depth-1)
	case 3:
		return h.one("(HISTORY OF t)", "(DIFF OF t SINCE TX 1)", "(VALUES ("+h.atom(depth-1)+"))")
	}
	return h.one("t", "p")
}

func (h *hunter) query(depth int, single bool) string {
	targets := func() string {
		return h.atom(depth) + h.maybe(4, func() string { return " AS " + h.one("k", "n2", "count", `"A b"`) })
	}
	var b strings.Builder
	b.WriteString("SELECT " + h.maybe(8, func() string { return "DISTINCT " }))
	switch {
	case single:
		b.WriteString(targets())
	case h.IntN(3) == 0:
		b.WriteString("*")
	default:
		b.WriteString(h.list(3, targets))
	}
	b.WriteString(" FROM " + h.source(depth))
	b.WriteString(h.maybe(5, func() string {
		return h.one(" JOIN ", " LEFT JOIN ", " CROSS JOIN ") + h.one("p", "t AS t2") + " ON " + h.condition(depth-1)
	}))
	b.WriteString(h.maybe(2, func() string { return " WHERE " + h.condition(depth) }))
	b.WriteString(h.maybe(6, func() string { return " GROUP BY " + h.one(columns...) }))
	b.WriteString(h.maybe(10, func() string { return " HAVING " + h.condition(depth-1) }))
	b.WriteString(h.maybe(5, func() string { return " ORDER BY " + h.one(h.one(columns...), "1", "2", h.atom(depth-1)) }))
	b.WriteString(h.maybe(6, func() string { return " LIMIT " + h.one("1", "?", h.atom(0)) }))
	return b.String() + h.maybe(12, func() string { return h.one(" UNION ", " EXCEPT ", " INTERSECT ") + h.query(depth-1, true) })
}

func (h *hunter) statement() string {
	x := func() string { return h.atom(2) }
	switch h.IntN(12) {
	case 0, 1:
		return h.one("INSERT", "UPSERT") + " INTO t (id, " + h.one("n", "s", "x") + ", " + h.one("u", "j") + ", " + h.one("ts", "b") + ") VALUES (" +
			h.one("1", "100", "NULL") + ", " + x() + ", " + x() + ", " + x() + ")" +
			h.maybe(4, func() string { return " ON CONFLICT DO UPDATE SET " + h.one(columns...) + " = " + x() })
	case 2:
		return "INSERT INTO p (id, t_id, u) SELECT " + x() + ", " + x() + ", " + h.one("u", "x", "s", x()) + " FROM t"
	case 3:
		return "UPDATE t SET " + h.one(columns...) + " = " + x() + h.maybe(1, func() string { return " WHERE " + h.condition(2) })
	case 4:
		return "DELETE FROM " + h.one("p", "v", "pg_class", "t") + " WHERE " + h.condition(2)
	case 5:
		return "CREATE TABLE c" + fmt.Sprint(h.IntN(1000)) + " (id INTEGER, n INTEGER DEFAULT " + h.atom(1) + ", s VARCHAR[20], CHECK " + h.condition(1) + ", PRIMARY KEY id)"
	}
	return h.query(1+h.IntN(3), false)
}

// TestGeneratedStatementsDoNotEndTheServer sends generated statements through the
// driver, alone and in transactions.
func TestGeneratedStatementsDoNotEndTheServer(t *testing.T) {
	server := testserver.Start(t, "-synced=false")
	db := dbtest.OpenDSN(t, server.DSN())
	for _, query := range schema {
		dbtest.Exec(t, db, query)
	}
	h := &hunter{Rand: rand.New(rand.NewPCG(1, 2))}
	kinds := make(map[string]int)
	for i := range testserver.Rounds(t, 500, 3000) {
		query := h.statement()
		args := h.arguments(query)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := drain(db.QueryContext(ctx, query, args...))
		if i%4 == 0 {
			err = errors.Join(err, inRolledBackTx(ctx, db, query, args))
		}
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			t.Fatalf("hangs: %s %v", query, args)
		case died(err) || err != nil && strings.Contains(err.Error(), "connection refused"):
			t.Fatalf("ends the server: %s %v: %v", query, args, err)
		case errors.Is(err, immudb.ErrUnsupported):
			kinds["refused"]++
		case err != nil:
			kinds["error"]++
		default:
			kinds["answered"]++
		}
	}
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(kinds)
	if kinds["answered"] == 0 || kinds["error"] == 0 || kinds["refused"] == 0 {
		t.Errorf("the statements are of one kind only: %v", kinds)
	}
}

func inRolledBackTx(ctx context.Context, db *sql.DB, query string, args []any) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	_, err = tx.ExecContext(ctx, query, args...)
	return err
}
