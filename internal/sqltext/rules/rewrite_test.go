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
	plan, r := Check(script)
	if r != nil {
		t.Fatalf("%s is refused: %v", text, r)
	}
	return plan
}

func TestTextsAreRewrittenWhereTheAnswerIsThenRight(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT s, id FROM t ORDER BY 2 DESC, 1":                              "SELECT s, id FROM t ORDER BY id DESC, s",
		"SELECT s, COUNT(*) FROM t GROUP BY s ORDER BY 2":                     "SELECT s, COUNT(*) FROM t GROUP BY s ORDER BY COUNT(*)",
		"SELECT s AS k, COUNT(*) AS n FROM t GROUP BY k ORDER BY 2":           "SELECT s AS k, COUNT(*) AS n FROM t GROUP BY s ORDER BY n",
		"SELECT id FROM t UNION SELECT id FROM p ORDER BY 1 LIMIT ?":          "SELECT * FROM (SELECT id FROM t UNION SELECT id FROM p ) ORDER BY id LIMIT ?",
		"SELECT id FROM t EXCEPT SELECT id FROM p LIMIT 1":                    "SELECT * FROM (SELECT id FROM t EXCEPT SELECT id FROM p ) LIMIT 1",
		"(SELECT id FROM t) UNION (SELECT id FROM p) ORDER BY id":             "SELECT * FROM (SELECT * FROM (SELECT id FROM t) UNION SELECT * FROM (SELECT id FROM p) ) ORDER BY id",
		"SELECT id, RANK() OVER (ORDER BY s) FROM t WHERE id > ? ORDER BY id": "SELECT * FROM (SELECT id, RANK() OVER (ORDER BY s) FROM t WHERE id > ? ) ORDER BY id",
		"SELECT id FROM t FOR UPDATE":                                         "SELECT id FROM t ",
		"SELECT t.* FROM t":                                                   "SELECT * FROM t",
		"SELECT `id` FROM `t` WHERE s = '`'":                                  "SELECT \"id\" FROM \"t\" WHERE s = '`'",
		`SELECT id AS "a.b" FROM t ORDER BY "a.b"`:                            `SELECT id AS "alias_612e62" FROM t ORDER BY "alias_612e62"`,
		"SELECT id FROM t WHERE s LIKE 'ä'":                                   "SELECT id FROM t WHERE (s = 'ä')",
		"SELECT id FROM t WHERE s NOT LIKE 'ä%' AND id = ?":                   "SELECT id FROM t WHERE (NOT (SUBSTRING(s, 1, 2) = 'ä')) AND id = ?",
		"SELECT id FROM t WHERE s ILIKE '%É''%'":                              "SELECT id FROM t WHERE (NOT (REPLACE(LOWER(s), 'é''', '') = LOWER(s)))",
		"SELECT id FROM t WHERE s LIKE 'a%'":                                  "SELECT id FROM t WHERE s LIKE 'a%'",
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
		"SELECT id FROM t WHERE EXISTS (SELECT 1 FROM p WHERE id = ?)": true,
		"WITH c AS (SELECT id FROM t) SELECT id FROM c WHERE id = ?":   true,
		"SELECT relname FROM pg_class WHERE oid = $1":                  true,
		"SELECT SUM(id) OVER (ORDER BY id + ?) FROM t":                 true,
		"SELECT id FROM t WHERE id = ?":                                false,
		"WITH c AS (SELECT id FROM t WHERE id = ?) SELECT id FROM c":   false,
		"SELECT id FROM t WHERE id = ? AND EXISTS (SELECT 1 FROM p)":   false,
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

func TestLiteralsStandForTheSameValues(t *testing.T) {
	for _, row := range []struct {
		v    driver.Value
		want string // "": an error
	}{
		{nil, "NULL"}, {true, "TRUE"}, {false, "FALSE"}, {int64(7), "7"}, {int64(-7), "(-7)"},
		{int64(math.MaxInt64), "9223372036854775807"}, {int64(math.MinInt64), "(-9223372036854775807 - 1)"},
		{1.5, "1.5"}, {-2.0, "(-2.0)"}, {1e21, "1000000000000000000000.0"}, {math.Inf(1), ""}, {math.NaN(), ""},
		{"it's", "'it''s'"}, {"", "''"}, {"a\x00b", ""}, {"\xff", ""}, {[]byte{0, 255}, "x'00ff'"}, {[]byte{}, "x''"}, {[]byte(nil), "NULL"},
		{time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600)), "CAST('2026-01-02 02:04:05.000006' AS TIMESTAMP)"},
		{time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), ""}, {struct{}{}, ""},
	} {
		got, err := appendLiteral(nil, row.v)
		if string(got) != row.want || (err != nil) != (row.want == "") {
			t.Errorf("%v: got %q, %v, want %q", row.v, got, err, row.want)
		}
	}
}
