package rules

import (
	"database/sql/driver"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

func planOf(t *testing.T, text string) *Plan {
	t.Helper()
	script, err := tree.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	plan, r := Check(script, false)
	if r != nil {
		t.Fatalf("%s is refused: %v", text, r)
	}
	return plan
}

func TestTextsAreRewrittenWhereTheAnswerIsThenRight(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT id FROM t WHERE s IN (NULL)":                                                                       "SELECT id FROM t WHERE (s IS NULL AND s IS NOT NULL)",
		"DELETE FROM t WHERE id > ? AND (t.s IN ('a', NULL, ?) OR s NOT IN (NULL))":                                "DELETE FROM t WHERE id > ? AND (t.s IN ('a', ?) OR s NOT IN (NULL))",
		"SELECT id FROM t WHERE NOT (s IN (NULL)) AND s IN ('a')":                                                  "SELECT id FROM t WHERE NOT (s IN (NULL)) AND s IN ('a')",
		"SELECT s, id FROM t ORDER BY 2 DESC, 1":                                                                   "SELECT s, id FROM t ORDER BY id DESC, s",
		"SELECT s, COUNT(*) FROM t GROUP BY s ORDER BY 2":                                                          "SELECT s, COUNT(*) FROM t GROUP BY s ORDER BY COUNT(*)",
		"SELECT s AS k, COUNT(*) AS n FROM t GROUP BY k ORDER BY 2":                                                "SELECT s AS k, COUNT(*) AS n FROM t GROUP BY s ORDER BY n",
		"SELECT id FROM t UNION SELECT id FROM p ORDER BY 1 LIMIT ?":                                               "SELECT * FROM (SELECT id FROM t UNION SELECT id FROM p ) ORDER BY id LIMIT ?",
		"SELECT id FROM t EXCEPT SELECT id FROM p LIMIT 1":                                                         "SELECT * FROM (SELECT DISTINCT id FROM t EXCEPT SELECT id FROM p ) LIMIT 1",
		"(SELECT id FROM t) UNION (SELECT id FROM p) ORDER BY id":                                                  "SELECT * FROM (SELECT * FROM (SELECT id FROM t) UNION SELECT * FROM (SELECT id FROM p) ) ORDER BY id",
		"SELECT id, RANK() OVER (ORDER BY s) FROM t WHERE id > ? ORDER BY id":                                      "SELECT w_0 AS id, w_1 AS col1 FROM (SELECT id AS w_0, RANK() OVER (ORDER BY s) AS w_1 FROM t WHERE id > ? ) ORDER BY w_0",
		"SELECT DISTINCT id AS `K`, RANK() OVER () AS r FROM t ORDER BY 2, `k` DESC LIMIT 2":                       "SELECT w_0 AS \"k\", w_1 AS \"r\" FROM (SELECT DISTINCT id AS w_0, RANK() OVER () AS w_1 FROM t ) ORDER BY w_1, w_0 DESC LIMIT 2",
		"SELECT x.id, RANK() OVER () FROM t AS x ORDER BY x.s DESC, x.id":                                          "SELECT w_0 AS id, w_1 AS col1 FROM (SELECT x.id AS w_0, RANK() OVER () AS w_1, x.s AS o_0 FROM t AS x ) ORDER BY o_0 DESC, w_0",
		"SELECT COALESCE(MAX(id), ?) + COUNT(*), COUNT(*) FROM t WHERE id > ? LIMIT 1":                             "SELECT COALESCE(g_0, ?) + g_1, g_1 AS col1 FROM (SELECT MAX(id) AS g_0, COUNT(*) AS g_1 FROM t WHERE id > ? ) LIMIT 1",
		"SELECT 1, MAX(id) AS m FROM t":                                                                            "SELECT 1, g_0 AS m FROM (SELECT MAX(id) AS g_0 FROM t) ",
		"SELECT COUNT(*) = 0 AS none FROM t WHERE id IN (SELECT id FROM p)":                                        "SELECT g_0 = 0 AS none FROM (SELECT DISTINCT COUNT(*) AS g_0 FROM t WHERE id IN (SELECT id FROM p)) ",
		"INSERT INTO p (id) SELECT MAX(id) + 1 FROM t":                                                             "INSERT INTO p (id) SELECT g_0 + 1 FROM (SELECT MAX(id) AS g_0 FROM t) ",
		"SELECT s, MAX(id) + 1 FROM t GROUP BY s":                                                                  "SELECT s, MAX(id) + 1 FROM t GROUP BY s",
		"SELECT COUNT(*), MAX(id) FROM t":                                                                          "SELECT COUNT(*), MAX(id) FROM t",
		"SELECT s FROM t GROUP BY s HAVING COUNT(*) > 1":                                                           "SELECT w_0 AS s FROM (SELECT s AS w_0, COUNT(*) AS h_0 FROM t GROUP BY s HAVING COUNT(*) > 1) ",
		"SELECT s, MAX(id) FROM t GROUP BY s HAVING MAX(id) > 1 ORDER BY MAX(id)":                                  "SELECT s, MAX(id) FROM t GROUP BY s HAVING MAX(id) > 1 ORDER BY MAX(id)",
		"SELECT s FROM t GROUP BY s ORDER BY COUNT(*) DESC, s LIMIT 1":                                             "SELECT w_0 AS s FROM (SELECT s AS w_0, COUNT(*) AS h_0, COUNT(*) AS o_0 FROM t GROUP BY s ) ORDER BY o_0 DESC, w_0 LIMIT 1",
		"SELECT id FROM t EXCEPT SELECT id FROM p EXCEPT SELECT 1 FROM p":                                          "SELECT DISTINCT * FROM (SELECT DISTINCT id FROM t EXCEPT SELECT id FROM p) EXCEPT SELECT 1 FROM p",
		"SELECT id FROM t UNION SELECT id FROM p INTERSECT SELECT 1 FROM p":                                        "SELECT id FROM t UNION SELECT DISTINCT id FROM p INTERSECT SELECT 1 FROM p",
		"SELECT id FROM t INTERSECT SELECT id FROM p UNION ALL SELECT 1 FROM p":                                    "SELECT * FROM (SELECT DISTINCT id FROM t INTERSECT SELECT id FROM p) UNION ALL SELECT 1 FROM p",
		"SELECT id FROM t UNION SELECT id FROM p UNION SELECT 1 FROM p":                                            "SELECT id FROM t UNION SELECT id FROM p UNION SELECT 1 FROM p",
		"SELECT id FROM t UNION SELECT id FROM p UNION ALL SELECT 1 FROM p ORDER BY id":                            "SELECT * FROM (SELECT * FROM (SELECT id FROM t UNION SELECT id FROM p) UNION ALL SELECT 1 FROM p ) ORDER BY id",
		"SELECT p.id FROM t JOIN p ON p.id = t.id ORDER BY p.id DESC LIMIT 1":                                      "SELECT p.id FROM t JOIN p ON p.id = t.id ORDER BY p.id DESC, p.id DESC LIMIT 1",
		"SELECT p.id FROM t JOIN p ON p.id = t.id ORDER BY id":                                                     "SELECT p.id FROM t JOIN p ON p.id = t.id ORDER BY p.id, p.id",
		"SELECT p.id AS k, COUNT(*) FROM t JOIN p ON p.id = t.id GROUP BY k ORDER BY 1":                            "SELECT p.id AS k, COUNT(*) FROM t JOIN p ON p.id = t.id GROUP BY p.id, p.id ORDER BY k, p.id",
		"SELECT t.id, p.s FROM t JOIN p ON p.id = t.id ORDER BY t.id, t.s":                                         "SELECT t.id, p.s FROM t JOIN p ON p.id = t.id ORDER BY t.id, t.s",
		"SELECT id FROM t ORDER BY s NULLS LAST":                                                                   "SELECT id FROM t ORDER BY s NULLS LAST, s NULLS LAST",
		"SELECT -id AS id FROM t ORDER BY t.id":                                                                    "SELECT -id AS id FROM t ORDER BY COALESCE(t.id, t.id)",
		"SELECT s AS id, id AS k FROM t ORDER BY k DESC":                                                           "SELECT s AS id, id AS k FROM t ORDER BY COALESCE(id, id) DESC",
		"SELECT s AS k, id AS k FROM t ORDER BY 2":                                                                 "SELECT s AS k, id AS k FROM t ORDER BY id",
		"SELECT p.s FROM t JOIN p ON p.id = t.id GROUP BY p.s HAVING COUNT(*) > 1 ORDER BY 1":                      "SELECT w_0 AS s FROM (SELECT p.s AS w_0, COUNT(*) AS h_0 FROM t JOIN p ON p.id = t.id GROUP BY p.s, p.s HAVING COUNT(*) > 1 ) ORDER BY w_0",
		"SELECT id AS id, s AS k FROM t ORDER BY id, k":                                                            "SELECT id AS id, s AS k FROM t ORDER BY id, k",
		"SELECT -3 AS k, id FROM t ORDER BY k, id":                                                                 "SELECT -3 AS k, id FROM t ORDER BY NULL, id",
		"SELECT DISTINCT s FROM t ORDER BY s LIMIT ?":                                                              "SELECT DISTINCT s FROM t ORDER BY s LIMIT ? OFFSET 0",
		"SELECT DISTINCT s FROM t LIMIT 2":                                                                         "SELECT DISTINCT s FROM t LIMIT 2",
		"SELECT t.id FROM t JOIN p ON p.id NOT IN ( 1, ?)":                                                         "SELECT t.id FROM t JOIN p ON (NOT (p.id IN (1, ?)))",
		"WITH x AS (SELECT id FROM t WHERE s = ')') SELECT id FROM x":                                              "SELECT id FROM (SELECT id FROM t WHERE s = ')') AS x",
		"WITH x AS (SELECT id FROM t), y AS (SELECT id FROM x AS z) SELECT a.id FROM y AS a JOIN x ON x.id = a.id": "SELECT a.id FROM (SELECT id FROM (SELECT id FROM t) AS z) AS a JOIN (SELECT id FROM t) AS x ON x.id = a.id",
		"WITH t AS (SELECT id FROM t WHERE id > 1) SELECT t.id FROM t":                                             "SELECT t.id FROM (SELECT id FROM t WHERE id > 1) AS t",
		"WITH x (a, b) AS (VALUES (1, 'a'), (?, NULL)) SELECT a FROM x":                                            "SELECT a FROM (SELECT col0 AS a, col1 AS b FROM (VALUES (1, 'a'), (?, NULL))) AS x",
		"WITH x (a, `b`) AS (VALUES (1, 'a'), (2, NULL)) SELECT a FROM x WHERE x.b IS NULL":                        `SELECT a FROM (SELECT col0 AS a, col1 AS "b" FROM (VALUES (1, 'a'), (2, NULL))) AS x WHERE x.b IS NULL`,
		"WITH x (a) AS (VALUES (1, 2)) SELECT a, column2 FROM x":                                                   "SELECT a, column2 FROM (SELECT col0 AS a, col1 AS column2 FROM (VALUES (1, 2))) AS x",
		"WITH x AS (VALUES (1)), y (k) AS (SELECT column1 FROM x) SELECT k FROM y":                                 "SELECT k FROM (SELECT column1 AS k FROM (SELECT column1 FROM (SELECT col0 AS column1 FROM (VALUES (1))) AS x)) AS y",
		"WITH x (a, b) AS (SELECT id AS k, COUNT(*), s FROM t GROUP BY k, s) SELECT a FROM x":                      "SELECT a FROM (SELECT k AS a, with_1 AS b, s FROM (SELECT id AS k, COUNT(*) AS with_1, s FROM t GROUP BY id, s)) AS x",
		"WITH x (a) AS (SELECT id FROM t UNION SELECT id FROM p) SELECT a FROM x":                                  "SELECT a FROM (SELECT id AS a FROM (SELECT id FROM t UNION SELECT id FROM p)) AS x",
		"SELECT 1 WHERE 1 = ? ORDER BY 1 LIMIT 1":                                                                  "SELECT 1 FROM (VALUES (1)) WHERE 1 = ? ORDER BY NULL LIMIT 1",
		"SELECT id FROM t WHERE EXISTS (SELECT 1 WHERE t.id = 2)":                                                  "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM (VALUES (1)) WHERE t.id = 2)",
		"INSERT INTO p (id) WITH x AS (SELECT id FROM t) SELECT id FROM x":                                         "INSERT INTO p (id) SELECT id FROM (SELECT id FROM t) AS x",
		"WITH `x` AS (SELECT id FROM t) SELECT id FROM `x` ORDER BY 1":                                             `SELECT id FROM (SELECT id FROM t) AS "x" ORDER BY id`,
		"WITH x AS (SELECT 1 AS id FROM t) SELECT id FROM x UNION SELECT id FROM p ORDER BY 1":                     "SELECT * FROM (SELECT id FROM (SELECT 1 AS id FROM t) AS x UNION SELECT id FROM p ) ORDER BY id",
		"SELECT COUNT(*) FROM t WHERE EXISTS (SELECT 1 FROM p WHERE p.s = t.s)":                                    "SELECT DISTINCT COUNT(*) FROM t WHERE EXISTS (SELECT 1 FROM p WHERE p.s = t.s)",
		"SELECT COUNT(*) FROM t WHERE s = 'a'":                                                                     "SELECT COUNT(*) FROM t WHERE s = 'a'",
		"SELECT t.id FROM t JOIN p ON p.id = t.id AND p.s < t.s":                                                   "SELECT t.id FROM t JOIN p ON p.id = t.id AND (CASE WHEN p.s < t.s THEN TRUE ELSE FALSE END)",
		"SELECT t.id FROM t LEFT JOIN p ON p.s < t.s WHERE p.id = 1":                                               "SELECT t.id FROM t LEFT JOIN p ON (CASE WHEN p.s < t.s THEN TRUE ELSE FALSE END) WHERE p.id = 1",
		"SELECT t.id FROM t JOIN p ON p.id = t.id AND p.s > 'a' AND t.s > 'a'":                                     "SELECT t.id FROM t JOIN p ON p.id = t.id AND p.s > 'a' AND t.s > 'a'",
		"SELECT t.id FROM t FULL JOIN p ON p.id = t.id WHERE t.id IS NULL":                                         "SELECT t.id FROM t FULL JOIN p ON p.id = t.id WHERE NOT (NOT (t.id IS NULL))",
		"SELECT a.count AS count, SUM(count) FROM t AS a ORDER BY count":                                           `SELECT a."count" AS "count", SUM("count") FROM t AS a ORDER BY "count"`,
		"SELECT id AS count, s FROM t UNION SELECT id, s FROM p ORDER BY 1":                                        `SELECT * FROM (SELECT id AS "count", s FROM t UNION SELECT id, s FROM p ) ORDER BY "count"`,
		"SELECT id FROM t WHERE id NOT IN (1, 2)":                                                                  "SELECT id FROM t WHERE id NOT IN (1, 2)",
		"SELECT id FROM t WHERE id IN (SELECT id FROM p WHERE p.s = 'a' LIMIT 1)":                                  "SELECT id FROM t WHERE id IN (SELECT * FROM (SELECT id FROM p WHERE p.s = 'a' LIMIT 1))",
		"SELECT id FROM t FOR UPDATE":                                                                              "SELECT id FROM t ",
		"SELECT t.* FROM t":                                                                                        "SELECT * FROM t",
		"SELECT `id` FROM `t` WHERE s = '`'":                                                                       "SELECT \"id\" FROM \"t\" WHERE s = '`'",
		`SELECT id AS "a.b" FROM t ORDER BY "a.b"`:                                                                 `SELECT id AS "alias_612e62" FROM t ORDER BY "alias_612e62"`,
		"SELECT id FROM t WHERE s LIKE 'ä'":                                                                        "SELECT id FROM t WHERE (s = 'ä')",
		"SELECT id FROM t WHERE s NOT LIKE 'ä%' AND id = ?":                                                        "SELECT id FROM t WHERE (NOT (SUBSTRING(s, 1, 2) = 'ä')) AND id = ?",
		"SELECT id FROM t WHERE s ILIKE '%É''%'":                                                                   "SELECT id FROM t WHERE (NOT (REPLACE(LOWER(s), 'é''', '') = LOWER(s)))",
		"SELECT id FROM t WHERE s LIKE 'a%'":                                                                       "SELECT id FROM t WHERE s LIKE 'a%'",
	} {
		plan := planOf(t, text)
		if plan.Text != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, plan.Text, want)
		}
		if _, err := tree.Parse(plan.Text); err != nil {
			t.Errorf("%s: what it becomes is wrong: %v", text, err)
		}
	}
}

func TestColumnsOfTheAnswerAreNamedAsWritten(t *testing.T) {
	plan := planOf(t, `SELECT id AS "UserId", s AS "user.name", COUNT(*) AS count, MAX(id) AS Max, id AS Other, id FROM t`)
	if got, want := plan.Names[0], []string{"UserId", "user.name", "count", "max", "other", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestArgumentsAreWrittenAsLiteralsWhereTheServerDoesNotFillThemIn(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT id FROM t WHERE EXISTS (SELECT 1 FROM p WHERE id = ?)":                    true,
		"WITH c AS (SELECT id FROM t) SELECT id FROM c WHERE id = ?":                      true,
		"SELECT relname FROM pg_class WHERE oid = $1":                                     true,
		"SELECT RANK() OVER (ORDER BY id + ?) FROM t":                                     true,
		"SELECT CASE id WHEN ? THEN 1 END FROM t":                                         true,
		"SELECT CASE WHEN id = ? THEN 1 END FROM t":                                       false,
		"SELECT t.id FROM t FULL JOIN p ON t.id = p.id AND p.s = ?":                       true,
		"SELECT t.id FROM t LEFT JOIN p ON t.id = p.id AND p.s = ?":                       false,
		"SELECT id FROM t ORDER BY id + ?":                                                true,
		"SELECT id + ? AS k FROM t ORDER BY k":                                            true,
		"SELECT id + ? FROM t ORDER BY 1":                                                 true,
		"SELECT id FROM t WHERE id IN (SELECT id FROM p WHERE id = ?)":                    false,
		"SELECT id FROM t WHERE id IN (SELECT id FROM (SELECT id FROM p WHERE id = ?) x)": true,
		"SELECT id FROM t WHERE id IN (SELECT id FROM p WHERE id > ? LIMIT 1)":            true,
		"SELECT (SELECT s FROM p WHERE id = ? LIMIT ?) FROM t":                            false,
		"SELECT (SELECT s FROM p UNTIL TX ? WHERE id = 1) FROM t":                         true,
		"CREATE VIEW v AS SELECT id FROM t WHERE id = ?":                                  true,
		"SELECT id FROM t WHERE id = ?":                                                   false,
		"WITH c AS (SELECT id FROM t WHERE id = ?) SELECT id FROM c":                      true,
		"SELECT id FROM t WHERE id = ? AND EXISTS (SELECT 1 FROM p)":                      false,
	} {
		if got := planOf(t, text).WantsLiterals(func(int) driver.Value { return int64(1) }); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	like := planOf(t, "SELECT id FROM t WHERE s LIKE ?")
	for pattern, want := range map[string]bool{"a%": false, "ä%": true} {
		if got := like.WantsLiterals(func(int) driver.Value { return pattern }); got != want {
			t.Errorf("LIKE %s: %v, want %v", pattern, got, want)
		}
	}
}

func TestWhatDependsOnTablesIsCompleted(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT t.id FROM t WHERE id IN (SELECT id FROM p WHERE s = 'a' AND id > 1)":                          "SELECT t.id FROM t WHERE id IN (SELECT id FROM p WHERE p.s = 'a' AND p.id > 1)",
		"SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM p AS x WHERE id = t.id AND blob_ = x'00')":               "SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM p AS x WHERE x.id = t.id AND blob_ = x'00')",
		"DELETE FROM t WHERE id IN (SELECT t.id FROM t WHERE id = 2)":                                         "DELETE FROM t WHERE id IN (SELECT t_44_0.id FROM t AS t_44_0 WHERE t_44_0.id = 2)",
		"SELECT 1 FROM t AS x WHERE EXISTS (SELECT 1 FROM p AS x WHERE x.id = 2)":                             "SELECT 1 FROM t AS x WHERE EXISTS (SELECT 1 FROM p AS x_49_0 WHERE x_49_0.id = 2)",
		"SELECT 1 FROM t WHERE id IN (SELECT t.id FROM t WHERE t.id IN (SELECT id FROM p WHERE p.id = t.id))": "SELECT 1 FROM t WHERE id IN (SELECT t_46_0.id FROM t AS t_46_0 WHERE t_46_0.id IN (SELECT id FROM p WHERE p.id = t_46_0.id))",
		"SELECT t.id FROM t JOIN p USING (id)":                                                                "SELECT t.id FROM t JOIN p ON t.id = p.id",
		"SELECT x.id FROM t JOIN p AS y ON y.id = t.id LEFT JOIN p AS x USING (s, id)":                        "SELECT x.id FROM t JOIN p AS y ON y.id = t.id LEFT JOIN p AS x ON t.s = x.s AND t.id = x.id",
		"SELECT p.*, t.id AS k FROM p JOIN t ON t.id = p.id":                                                  `SELECT p."id", p."s", t.id AS k FROM p JOIN t ON t.id = p.id`,
		"SELECT x.*, t.id AS k FROM (SELECT id AS a FROM p) x JOIN t ON t.id = x.a":                           `SELECT x."a", t.id AS k FROM (SELECT id AS a FROM p) x JOIN t ON t.id = x.a`,
		"SELECT CURRENT_TIMESTAMP, current_timestamp AS k, 1 FROM t":                                          "SELECT NOW() AS current_timestamp, NOW() AS k, 1 FROM t",
		"WITH x AS (SELECT id FROM t) SELECT id FROM x WHERE CURRENT_TIMESTAMP > NOW()":                       "WITH x AS (SELECT id FROM t) SELECT id FROM x WHERE NOW() > NOW()",
		"INSERT INTO t (id, timestamp_) VALUES (1, CURRENT_TIMESTAMP)":                                        "INSERT INTO t (id, timestamp_) VALUES (1, NOW())",
		"SELECT CURRENT_TIMESTAMP": "SELECT NOW() AS current_timestamp",
		"CREATE TABLE n (id INTEGER, a TIMESTAMP DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY id)": "CREATE TABLE n (id INTEGER, a TIMESTAMP DEFAULT NOW(), PRIMARY KEY id)",
		"SELECT CURRENT_TIMESTAMP FROM v":                                                 "",
		"SELECT t.current_timestamp, \"current_timestamp\" FROM t":                        "",
		"SELECT CURRENT_TIMESTAMP FROM (SELECT timestamp_ AS current_timestamp FROM t) x": "",
		"SELECT CURRENT_TIMESTAMP FROM t GROUP BY CURRENT_TIMESTAMP":                      "",
		"SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM p WHERE p.id = t.id)":                "",
		"SELECT id FROM t WHERE id = (SELECT MAX(id) FROM p WHERE s = 'a')":               "",
		"SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM v WHERE a = 1)":                      "",
	} {
		got, changed := planOf(t, text).Complete(aDatabase{})
		if changed != (want != "") || changed && got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
		if again, changed := planOf(t, got).Complete(aDatabase{}); changed {
			t.Errorf("%s is changed twice: %s", got, again)
		}
	}
}

func TestLiteralsTouchNothing(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT id FROM t WHERE id=?AND s=?": "SELECT id FROM t WHERE id= (-1) AND s= (-1)",
		"SELECT ?::VARCHAR, -?, id-? FROM t": "SELECT CAST('-1' AS INTEGER) ::VARCHAR, - (-1), id- (-1) FROM t",
	} {
		got, err := planOf(t, text).WithLiterals(func(int) driver.Value { return int64(-1) })
		if got != want || err != nil {
			t.Errorf("%s: got %s (%v), want %s", text, got, err, want)
		}
	}
}

func TestLiteralsStandForTheSameValues(t *testing.T) {
	for _, row := range []struct {
		v    driver.Value
		want string // "": an error
	}{
		{nil, "NULL"}, {true, "TRUE"}, {false, "FALSE"}, {int64(7), "7"}, {int64(-7), "(-7)"},
		{int64(math.MaxInt64), "9223372036854775807"}, {int64(math.MinInt64), "CAST('-9223372036854775808' AS INTEGER)"},
		{1.5, "1.5"}, {-2.0, "(-2.0)"}, {1e21, "1000000000000000000000.0"}, {math.Inf(1), "CAST('+Inf' AS FLOAT)"}, {math.Copysign(0, -1), "CAST('-0' AS FLOAT)"}, {math.NaN(), ""},
		{"it's", "'it''s'"}, {"", "''"}, {"a\x00b", "'a\x00b'"}, {"\xff", ""}, {[]byte{0, 255}, "x'00ff'"}, {[]byte{}, "x''"}, {[]byte(nil), "NULL"},
		{time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600)), "CAST('2026-01-02 02:04:05.000006' AS TIMESTAMP)"},
		{time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), ""}, {struct{}{}, ""},
	} {
		got, err := appendLiteral(nil, row.v, false)
		if string(got) != row.want || (err != nil) != (row.want == "") {
			t.Errorf("%v: got %q, %v, want %q", row.v, got, err, row.want)
		}
	}
}
