package tree

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// accepted holds texts for every rule of the grammar. The oracle module compares many
// more with the server's parser.
var accepted = []string{
	"", "  ; -- nothing\n /* at all */ ;", "BEGIN", "BEGIN TRANSACTION; COMMIT", "ROLLBACK", "SAVEPOINT a; ROLLBACK TO a; ROLLBACK TO SAVEPOINT a; RELEASE SAVEPOINT a",
	"CREATE DATABASE IF NOT EXISTS d", "USE d", "USE DATABASE d", "USE SNAPSHOT SINCE TX 1 UNTIL TX ?",
	"CREATE TABLE IF NOT EXISTS t (id INTEGER AUTO_INCREMENT PRIMARY KEY, s VARCHAR[10] NOT NULL DEFAULT 'a', b BLOB(3) NULL, CONSTRAINT c CHECK id > 0, CHECK (id < 9), FOREIGN KEY (id) REFERENCES u(id), PRIMARY KEY (id, s))",
	"CREATE TABLE if (key INTEGER, timestamp TIMESTAMP, PRIMARY KEY key)", "DROP TABLE IF EXISTS t CASCADE", "DROP TABLE if",
	"CREATE UNIQUE INDEX IF NOT EXISTS ON t(a, b) WHERE a > 1", "DROP INDEX ON t(a)", "DROP INDEX t.a",
	"ALTER TABLE t ADD COLUMN a JSON; ALTER TABLE t RENAME TO u; ALTER TABLE t RENAME COLUMN a TO b; ALTER TABLE t DROP COLUMN a; ALTER TABLE t DROP CONSTRAINT c",
	"ALTER TABLE t ALTER COLUMN a SET NOT NULL; ALTER TABLE t ALTER COLUMN a DROP NOT NULL; ALTER TABLE t ALTER COLUMN a type INTEGER",
	"CREATE VIEW IF NOT EXISTS v AS SELECT 1; DROP VIEW IF EXISTS v; CREATE SEQUENCE s; DROP SEQUENCE IF EXISTS s; TRUNCATE TABLE t",
	"CREATE USER u WITH PASSWORD 'p' READWRITE; ALTER USER u WITH PASSWORD 'p' ADMIN; DROP USER u; GRANT SELECT, INSERT ON DATABASE d TO USER u; REVOKE ALL PRIVILEGES ON DATABASE d TO USER u",
	"INSERT INTO t(id, \"Name\") VALUES (1, 'x'), (-2, NULL) ON CONFLICT DO UPDATE SET name = 'y' RETURNING id, name AS n",
	"INSERT INTO t SELECT * FROM u ON CONFLICT DO NOTHING", "UPSERT INTO t VALUES () RETURNING *",
	"UPDATE t SET a = a + 1, b = CASE a WHEN 1 THEN 2 ELSE 3 END WHERE id IN (1, 2) USE INDEX ON id LIMIT 1 OFFSET 2 RETURNING NULL",
	"DELETE FROM t WHERE NOT a LIKE 'x%' AND b NOT ILIKE @p OR c !~ @q",
	"SELECT DISTINCT a, t.b AS x, c y, COUNT(*) AS count, SUM(t.a), COUNT(DISTINCT a), MAX(DISTINCT (b)), STRING_AGG(s, ',') FROM t USE INDEX ON (a, b) GROUP BY t.a, b HAVING COUNT(*) > 1 ORDER BY a DESC NULLS LAST, 2 LIMIT ALL OFFSET 3",
	"SELECT j->'a'->'b'::INTEGER, CAST(a AS UUID), TIMESTAMP '2020-01-01', EXTRACT(YEAR FROM ts), x'00fF', .5, 1., TRUE, -(-a) * 3 % 2 FROM t",
	"SELECT * FROM t SINCE TX 1 BEFORE NOW() x, (SELECT 1) AS y JOIN u ON TRUE LEFT JOIN (HISTORY OF t) AS h USING (id) NATURAL JOIN v CROSS JOIN w, LATERAL (DIFF OF t) SINCE TX 2 JOIN LATERAL f(1)",
	"SELECT * FROM (VALUES (1, 2), (3, 4)); SELECT * FROM TABLES() t; SELECT * FROM TABLE(t); SELECT * FROM DATABASES(); SELECT * FROM COLUMNS('t') AS c",
	"SELECT ROW_NUMBER() OVER (PARTITION BY a, b ORDER BY c DESC), SUM(a) OVER () FROM t FETCH FIRST 3 ROWS ONLY",
	"WITH RECURSIVE a AS (SELECT 1), b AS (SELECT 2) SELECT * FROM a UNION ALL SELECT * FROM b EXCEPT SELECT 3",
	"SELECT 1 INTERSECT SHOW TABLES; SHOW GRANTS FOR u; SHOW TABLE t; SHOW USERS; EXPLAIN EXPLAIN SELECT 1",
	"SELECT a BETWEEN 1 AND 2 AND b IS NOT NULL, EXISTS (SELECT 1), (SELECT 2), a IN (SELECT 3), a IN (show), show FROM t",
	"SELECT exists, values, between, extract FROM t WHERE exists = 1",
	// Texts that the server refuses.
	"\ufeffSELECT `a` FROM `t`", "SELECT t.*, u.a FROM t, u FOR UPDATE OF t NOWAIT", "(SELECT 1) UNION (SELECT 2) ORDER BY a LIMIT 1", ";;SELECT 1;;",
}

func TestParseTakesEveryRuleOfTheGrammar(t *testing.T) {
	for _, text := range accepted {
		if _, err := Parse(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseRefusesWithThePlace(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"SELECT 1\x00; DROP TABLE t", "line 1, column 9: a NUL byte"},
		{"SELECT a,\n  b FROM", "line 2, column 9: unexpected end of the query, expected a table"},
		{"SELECT\n 'a' || 'b'", "line 2, column 6: || is not an operator in immudb: write CONCAT(a, b)"},
		{"SELECT é", "line 1, column 8: unexpected character U+00E9"},
		{"SELECT 1 FROM t WHERE a NOT BETWEEN 1 AND 2", "NOT BETWEEN is not known to the server"},
		{"INSERT INTO t(a) VALUES (1) ON CONFLICT (a) DO NOTHING", "ON CONFLICT (columns)"},
		{"INSERT INTO t(a) VALUES (1) RETURNING", "unexpected end of the query, expected a value"},
		{"CREATE INDEX i ON t(a)", "indexes have no names"},
		{"SELECT $1, ?", "one style throughout"},
		{"SELECT $0", "the first is $1"},
		{"SELECT $99999999999999999999", "too large"},
		{"SELECT :a", "write @a"},
		{"SELECT /* never closed", "comment is not closed"},
		{"SELECT 'secret", "string is not closed"},
		{"SELECT * FROM t JOIN u", "expected ON"},
		{"SELECT 99999999999999999999", "larger than any INTEGER"},
		{"SELECT x'0'", "pairs of hexadecimal digits"},
		{"SELECT 1 AS select", "a keyword is a name only in double quotes"},
		{"SELECT a FROM t WHERE a = b = c", "unexpected =, expected ; or the end"},
		{"SELECT " + strings.Repeat("(", 2000), "nested more than 1000 levels"},
		{"SELECT " + strings.Repeat("- ", 2000), "nested more than 1000 levels"},
		{strings.Repeat("EXPLAIN ", 2000), "nested more than 1000 levels"},
		{"SELECT * FROM " + strings.Repeat("(", 2000), "nested more than 1000 levels"},
	} {
		s, err := Parse(test.text)
		var e *Error
		if s != nil || !errors.As(err, &e) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60q: %v, want %s", test.text, err, test.want)
			continue
		}
		if line, column := Position(test.text, e.Offset); line != e.Line || column != e.Column {
			t.Errorf("%.60q: offset %d is line %d, column %d, the error says %d, %d", test.text, e.Offset, line, column, e.Line, e.Column)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells a literal: %v", err)
		}
	}
}

func TestLongChainsAreNotDeep(t *testing.T) {
	for _, part := range []string{" OR a = 1", " AND a = 1", " + 1", " * 2"} {
		if _, err := Parse("SELECT a FROM t WHERE a" + strings.Repeat(part, 20000)); err != nil {
			t.Error(part, err)
		}
	}
	if _, err := Parse("SELECT 1" + strings.Repeat(" UNION SELECT 1", 20000)); err != nil {
		t.Error(err)
	}
}

func TestParamsAreNumberedAsTheServerNumbersThem(t *testing.T) {
	for _, test := range []struct {
		text    string
		inputs  int
		names   string
		indexes string
	}{
		{"SELECT ?; SELECT ?, ?", 3, "[]", "[0 1 2]"},
		{"SELECT $3, $1, $3", 3, "[]", "[2 0 2]"},
		{"SELECT @B, @a, @b", 2, "[b a]", "[0 1 0]"},
		{"SELECT '?', \"a\" -- ?\n", 0, "[]", "[]"},
	} {
		s, err := Parse(test.text)
		if err != nil {
			t.Fatal(err)
		}
		indexes := []int{}
		for _, p := range s.Params {
			indexes = append(indexes, p.Index)
		}
		if s.NumInput != test.inputs || fmt.Sprint(s.Names) != test.names || fmt.Sprint(indexes) != test.indexes {
			t.Errorf("%s: %d %v %v", test.text, s.NumInput, s.Names, indexes)
		}
	}
	s, _ := Parse("SELECT ?; SELECT ?, ?; SELECT 1; SELECT ?")
	for i, want := range []int{1, 2, 0, 1} {
		if got := len(s.ParamsOf(s.Statements[i])); got != want {
			t.Errorf("statement %d has %d placeholders, want %d", i, got, want)
		}
	}
}

func TestNamesFoldAsTheServerFoldsThem(t *testing.T) {
	s, err := Parse(`SELECT * FROM Users; SELECT * FROM "Users"; SELECT * FROM MyTable; SELECT * FROM "Select"`)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"Users", "users", "mytable", "select"} {
		if got := s.Statements[i].(*Select).From.(*Table).Name.Name; got != want {
			t.Errorf("%d: %q, want %q", i, got, want)
		}
	}
}
