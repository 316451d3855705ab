package traptest

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// numbers are two tables without NULLs that share the names of columns.
var numbers = []string{
	"CREATE TABLE t (id INTEGER, a INTEGER, b INTEGER, PRIMARY KEY id)",
	"CREATE TABLE u (id INTEGER, tid INTEGER, c INTEGER, PRIMARY KEY id)",
	"INSERT INTO t (id, a, b) VALUES (0, 2, 2), (1, 3, 5), (2, 1, 5), (3, 3, 2), (4, 0, 1), (5, 3, 5)",
	"INSERT INTO u (id, tid, c) VALUES (1, 3, 1), (2, 1, 4), (3, 2, 4), (4, 3, 0), (9, 1, 1)",
	"CREATE TABLE n (id INTEGER, v INTEGER, PRIMARY KEY id)",
	"CREATE INDEX ON n (v)",
	"INSERT INTO n (id, v) VALUES (1, 5), (2, NULL), (3, 4)",
	"CREATE VIEW w AS SELECT id, a FROM t",
}

// For each of these queries the server returns an error or a result that is wrong in SQL. With the driver the result is
// right.
func TestWrongResultsOfTheServerAreCorrected(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db, server := dbtest.OpenDSN(t, dsn), dbtest.WireTo(t, dsn)
	for _, text := range numbers {
		dbtest.Exec(t, db, text)
	}
	for _, row := range []struct{ query, want string }{
		// NOT IN becomes IN in a join
		{"SELECT t.id, u.id FROM t JOIN u ON u.tid = t.id WHERE u.id NOT IN (1, 4, 9) ORDER BY t.id", "1,2 2,3"},
		{"SELECT t.id, u.id FROM t JOIN u ON u.id NOT IN (1, 2, 3, 4) WHERE t.id < 2", "0,9 1,9"},
		{"SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.tid = t.id AND u.id NOT IN (1, 4))", "1 2"},

		// NULL in a list
		{"SELECT id FROM n WHERE v IN (NULL)", ""},
		{"SELECT id FROM n WHERE (v IN (5, NULL)) OR id = 3", "1 3"},

		// joins
		{"SELECT t.id, u.id FROM t JOIN u ON t.id = u.tid AND u.c < t.b ORDER BY t.id, u.id", "1,2 1,9 2,3 3,1 3,4"},
		{"SELECT t.id, u.id FROM t LEFT JOIN u ON u.c = 4 AND t.id >= u.tid WHERE t.id < 3 ORDER BY t.id, u.id", "0,<nil> 1,2 2,2 2,3"},
		{"SELECT t.id, u.id FROM t JOIN u ON t.id >= u.tid WHERE u.c = 4 AND t.id < 3 ORDER BY t.id, u.id", "1,2 2,2 2,3"},
		{"SELECT t.id, c FROM t JOIN u USING (id) ORDER BY t.id", "1,1 2,4 3,4 4,0"},
		{"SELECT t.id, c FROM t NATURAL JOIN u ORDER BY t.id", "1,1 2,4 3,4 4,0"},
		{"SELECT t.id, c FROM t NATURAL LEFT JOIN u WHERE t.id < 3 ORDER BY t.id", "0,<nil> 1,1 2,4"},
		{"SELECT t.*, u.* FROM t NATURAL JOIN u WHERE t.id = 1", "1,3,5,1,3,1"},
		{"SELECT u.id FROM t FULL JOIN u ON t.id = u.c WHERE t.id IS NULL", ""},
		{"SELECT u.id FROM t FULL JOIN u ON t.id = u.id WHERE t.id IS NULL", "9"},

		{"SELECT t.id, u.id FROM t JOIN u ON t.id = u.tid AND t.b > u.c ORDER BY t.id, u.id", "1,2 1,9 2,3 3,1 3,4"},
		{"SELECT t.id, u.id FROM t JOIN u ON t.a < u.c WHERE u.tid = 3 ORDER BY t.id", "4,1"},
		{"SELECT t.id, u.id FROM t LEFT JOIN u ON t.id = u.tid AND t.a > u.c WHERE t.id > 2 ORDER BY t.id, u.id", "3,1 3,4 4,<nil> 5,<nil>"},

		// COUNT(*) reads no columns for a subquery
		{"SELECT COUNT(*) FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.c = t.a)", "2"},
		{"SELECT COUNT(*) FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.c = 3 + t.a * 0)", "6"},

		// WITH that uses the name of a table
		{"WITH t AS (SELECT id FROM u WHERE id = 9) SELECT id FROM t WHERE id > 4", "9"},

		// WITH that names its columns, and VALUES in it
		{"WITH x (k, s) AS (VALUES (3, 'c'), (1, NULL), (3, 'a')) SELECT k, s FROM x ORDER BY k, s", "1,<nil> 3,a 3,c"},
		{"WITH x AS (VALUES (3), (1)) SELECT * FROM x WHERE column1 > 1", "3"},
		{"WITH x (k) AS (SELECT id FROM t UNION SELECT id FROM u) SELECT MAX(k), COUNT(*) FROM x", "9,7"},
		{"WITH x (k) AS (VALUES (1), (5), (7)) SELECT t.id, t.a FROM t JOIN x ON x.k = t.id", "1,3 5,3"},
		{"SELECT id FROM t WHERE id IN (SELECT k FROM (WITH x (k) AS (VALUES (1), (7)) SELECT k FROM x) y)", "1"},

		// clauses without FROM
		{"SELECT EXISTS (SELECT 1 WHERE 1 = 2), EXISTS (SELECT 1 WHERE 1 = 1)", "false,true"},
		{"SELECT 7 AS k WHERE 1 = 1 ORDER BY k LIMIT 1", "7"},
		{"SELECT id FROM t WHERE EXISTS (SELECT 1 WHERE t.a = 1)", "2"},

		// the time
		{"SELECT CURRENT_TIMESTAMP = NOW()", "true"},
		{"SELECT id FROM t WHERE CURRENT_TIMESTAMP > CAST('2020-01-01' AS TIMESTAMP) AND id < 2", "0 1"},

		// an alias that is an aggregate for the server
		{"SELECT b, COUNT(*) AS count FROM t GROUP BY b ORDER BY count DESC, b LIMIT 2", "5,3 2,2"},
		{"SELECT x.sum FROM (SELECT SUM(a) AS sum FROM t) AS x", "12"},

		// ORDER BY with a subquery
		{"SELECT id, CASE WHEN NOT EXISTS (SELECT 1 FROM u WHERE id NOT IN (0, 0)) THEN id ELSE a END, a + b FROM t ORDER BY 2, 3 DESC, 1 DESC",
			"4,0,1 2,1,6 0,2,4 5,3,8 1,3,8 3,3,5"},

		// the order of an index of another table
		{"SELECT u.id FROM t JOIN u ON t.id = u.tid ORDER BY u.id", "1 2 3 4 9"},
		{"SELECT u.id FROM t JOIN u ON t.id = u.tid ORDER BY 1 DESC", "9 4 3 2 1"},
		{"SELECT u.id AS k FROM t JOIN u ON t.id = u.tid ORDER BY k", "1 2 3 4 9"},
		{"SELECT u.id FROM t JOIN u ON t.id = u.tid ORDER BY id", "1 2 3 4 9"},
		{"SELECT t.id, COUNT(*) FROM u JOIN t ON t.id > u.id GROUP BY t.id ORDER BY t.id", "2,1 3,2 4,3 5,4"},
		{"SELECT t.id AS k, COUNT(*) AS c FROM u JOIN t ON t.id > u.id GROUP BY k ORDER BY c DESC", "5,4 4,3 3,2 2,1"},
		{"SELECT id, v FROM n ORDER BY v NULLS LAST", "3,4 1,5 2,<nil>"},
		{"SELECT id FROM n ORDER BY v DESC NULLS FIRST", "2 1 3"},

		// aliases
		{"SELECT id, -a AS a FROM t WHERE id < 3 ORDER BY t.a", "2,-1 0,-2 1,-3"},
		{"SELECT t.id AS id, u.id AS b FROM t JOIN u ON t.b = t.a ORDER BY 2 DESC LIMIT 2", "0,9 0,4"},
		{"SELECT a AS b, b FROM t WHERE id < 4 ORDER BY 2, 1 DESC", "3,2 2,2 3,5 1,5"},
		{"SELECT 1 AS k, id FROM t WHERE id > 3 ORDER BY k, id DESC", "1,5 1,4"},
		{"SELECT 3, id FROM t WHERE id > 3 ORDER BY 1, 2 DESC", "3,5 3,4"},

		// DISTINCT, sets
		{"SELECT DISTINCT a FROM t ORDER BY a DESC LIMIT 3", "3 2 1"},
		{"SELECT b FROM t EXCEPT SELECT 1 FROM t", "2 5"},
		{"SELECT b FROM t INTERSECT SELECT id FROM t WHERE id = 5", "5"},
		{"SELECT id FROM t WHERE id < 4 EXCEPT SELECT id FROM t WHERE id < 3 EXCEPT SELECT id FROM t WHERE id < 1", "3"},
		{"SELECT 1 FROM t WHERE id = 1 UNION ALL SELECT 1 FROM t WHERE id = 1 UNION SELECT 1 FROM t WHERE id = 1", "1"},

		// subqueries
		{"SELECT id FROM t WHERE id IN (SELECT tid FROM u WHERE id = 4)", "3"},
		{"SELECT id FROM t WHERE a > 2 AND EXISTS (SELECT 1 FROM t WHERE id = 0)", "1 3 5"},
		{"SELECT x.id FROM t AS x WHERE EXISTS (SELECT 1 FROM u AS x WHERE x.id = 9) AND x.id < 2", "0 1"},
		{"SELECT id FROM t WHERE id IN (SELECT tid FROM u WHERE u.id > 0 ORDER BY tid LIMIT 1)", "1"},
		{"SELECT id FROM t WHERE id IN (SELECT tid FROM u WHERE u.id > 0 GROUP BY tid HAVING COUNT(*) > 1)", "1 3"},
		{"SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE tid = t.id AND id > 3)", "1 3"},

		// groups
		{"SELECT b FROM t GROUP BY b HAVING COUNT(*) > 1 ORDER BY b", "2 5"},
		{"SELECT b FROM t GROUP BY b ORDER BY COUNT(*) DESC, b LIMIT 2", "5 2"},

		// windows
		{"SELECT id, ROW_NUMBER() OVER (ORDER BY a DESC, id) AS r FROM t ORDER BY t.b, id DESC LIMIT 3", "4,6 3,2 0,4"},
		{"SELECT id, ROW_NUMBER() OVER (ORDER BY a DESC, id) FROM t ORDER BY 2 LIMIT 2", "1,1 3,2"},

		// t.*
		{"SELECT u.*, t.a AS k FROM t JOIN u ON u.tid = t.id WHERE u.id = 9", "9,1,1,3"},
	} {
		if got := server.Told(t, row.query); got == row.want {
			t.Errorf("%s: the server answers it right", row.query)
		}
		for _, conn := range []dbtest.Execer{db, dbtest.Begin(t, db, nil)} {
			if got, err := told(conn.QueryContext(t.Context(), row.query)); strings.ReplaceAll(got, "NULL", "<nil>") != row.want || err != nil {
				t.Errorf("%s\ngot  %s (%v)\nwant %s", row.query, got, err, row.want)
			}
		}
	}
}

func TestArgumentsWorkWhereTheServerFillsNoneIn(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db, server := dbtest.OpenDSN(t, dsn), dbtest.WireTo(t, dsn)
	for _, text := range numbers {
		dbtest.Exec(t, db, text)
	}
	for _, query := range []string{
		"SELECT id FROM t WHERE id IN (SELECT x.id FROM (SELECT id FROM u WHERE id = ?) AS x)",
		"SELECT CASE id WHEN ? THEN 1 ELSE 0 END FROM t",
		"SELECT t.id, u.id FROM t FULL JOIN u ON t.id = u.tid AND u.id = ?",
		"SELECT id FROM t ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END, id",
		"SELECT id, FIRST_VALUE(?) OVER (ORDER BY id) AS r FROM t",
		"SELECT id FROM w WHERE id = ?",
		"SELECT id + ? FROM w",
		"WITH x (k) AS (VALUES (?), (2)) SELECT k FROM x",
		"SELECT 7 WHERE 1 = ?",
	} {
		want, err := told(db.Query(strings.Replace(query, "?", "1", 1)))
		if want == "" || err != nil {
			t.Fatalf("%s with a literal: %q (%v)", query, want, err)
		}
		if got := server.Told(t, query, int64(1)); got == want {
			t.Errorf("%s: the server fills the argument in", query)
		}
		for range 2 { // the second time uses cached descriptions of tables
			for _, conn := range []dbtest.Execer{db, dbtest.Begin(t, db, nil)} {
				if got, err := told(conn.QueryContext(t.Context(), query, 1)); got != want || err != nil {
					t.Errorf("%s\ngot  %s (%v)\nwant %s", query, got, err, want)
				}
			}
		}
	}
	if n, err := dbtest.Exec(t, db, "INSERT INTO u (id, tid) SELECT id + 50, id FROM w WHERE id > ?", 3).RowsAffected(); n != 2 || err != nil {
		t.Errorf("from a view: %d rows (%v), want 2", n, err)
	}
	dbtest.Exec(t, db, "CREATE VIEW big AS SELECT id FROM t WHERE id > ?", 4)
	if got, err := told(db.Query("SELECT id FROM big")); got != "5" || err != nil {
		t.Errorf("a view with an argument: %s (%v)", got, err)
	}
}

func TestLiteralsOfRareValuesAreTheirArguments(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE x (k INTEGER AUTO_INCREMENT, f FLOAT, s VARCHAR, i INTEGER, PRIMARY KEY k)")
	dbtest.Exec(t, db, "CREATE TABLE one (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO one (id) VALUES (1)")
	for column, values := range map[string][]any{
		"f": {math.Inf(1), math.Inf(-1), math.Copysign(0, -1), -math.MaxFloat64, 1.0 / 3},
		"s": {"a\x00b", "$1 ? @a"},
		"i": {int64(math.MinInt64)},
	} {
		for _, v := range values {
			dbtest.Exec(t, db, "INSERT INTO x ("+column+") VALUES (?)", v)
			dbtest.Exec(t, db, "INSERT INTO x ("+column+") WITH c AS (SELECT id FROM one) SELECT ? FROM c", v)
			got := dbtest.List[any](t, db, "SELECT "+column+" FROM x ORDER BY k DESC LIMIT 2")
			same := reflect.DeepEqual(got[0], got[1])
			if f, ok := got[0].(float64); ok {
				same = math.Float64bits(f) == math.Float64bits(got[1].(float64))
			}
			if !same || got[0] == nil {
				t.Errorf("%v: the literal is %v, the argument %v", v, got[0], got[1])
			}
		}
	}
	if got := dbtest.Get[string](t, db, "SELECT ?::VARCHAR FROM one WHERE id=?AND EXISTS (SELECT 1 FROM one AS o WHERE o.id=?)", -5, 1, 1); got != "-5" {
		t.Errorf("got %s", got)
	}
}

func TestQueriesThatTheServerAnswersWrongAreRefused(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db, server := dbtest.OpenDSN(t, dsn), dbtest.WireTo(t, dsn)
	for _, text := range numbers {
		dbtest.Exec(t, db, text)
	}
	for _, row := range []struct{ query, wrong string }{
		{"SELECT id, SUM(a) OVER (ORDER BY id) AS s FROM t WHERE id < 2", "0,5 1,5"},
		{"SELECT id, LAST_VALUE(id) OVER (ORDER BY id) AS s FROM t WHERE id < 2", "0,1 1,1"},
		{"SELECT id, NTILE(3) OVER (ORDER BY id) AS s FROM t WHERE id < 2", "0,1 1,2"},
		{"SELECT id, LAG(a, 1 + 1) OVER (ORDER BY id) AS s FROM t WHERE id < 2", "0,<nil> 1,2"},
		{"SELECT id, ROW_NUMBER() OVER (ORDER BY nosuch) AS s FROM t WHERE id < 2", "0,1 1,2"},
		{"SELECT SUM(DISTINCT a) FROM t", "12"},
		{"SELECT * FROM t NATURAL JOIN u WHERE t.id = 0 AND u.id = 9", "0,2,2,9,1,1"},
		{"SELECT * FROM t JOIN u USING (id) WHERE u.id = 9 AND t.id = 0", "0,2,2,9,1,1"},
		{"WITH RECURSIVE c AS (SELECT id FROM t WHERE id = 1 UNION ALL SELECT id + 1 AS id FROM c WHERE id < 3) SELECT id FROM c", ""},
		{"SELECT b, COUNT(a) FROM t GROUP BY b HAVING COUNT(DISTINCT a) > 2", "5,3"},
		{"SELECT STRING_AGG(name, '-'), STRING_AGG(name, '+') FROM TABLES() WHERE name < 'u'", ""},
		{"SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.tid = t.id GROUP BY u.tid HAVING COUNT(*) > 1)", "1 2 3"},
	} {
		if got := server.Told(t, row.query); got != row.wrong && row.wrong != "" {
			t.Errorf("%s: the server answers %s", row.query, got)
		}
		if got, err := told(db.Query(row.query)); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s: %s (%v), want ErrUnsupported", row.query, got, err)
		}
	}
}

func TestWritesThatReadTheirOwnRowsAreRefused(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db, server := dbtest.OpenDSN(t, dsn), dbtest.WireTo(t, dsn)
	for _, text := range numbers {
		dbtest.Exec(t, db, text)
	}
	const update = "UPDATE t SET a = 9 WHERE a < (SELECT MAX(x.a) FROM t AS x) AND NOT EXISTS (SELECT 1 FROM t AS y WHERE y.a = 9)"
	if _, err := db.Exec(update); !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("err = %v, want ErrUnsupported", err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t WHERE a = 9"); got != 0 {
		t.Errorf("%d rows were written", got)
	}
	// Three rows meet the condition; the server writes the first and sees it.
	if err := server.Exec(t.Context(), update); err != nil {
		t.Fatal(err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t WHERE a = 9"); got != 1 {
		t.Errorf("the server wrote %d rows", got)
	}
	dbtest.Exec(t, db, "UPDATE t SET a = (SELECT MAX(x.a) FROM t AS x) + 1 WHERE id = 1")
	if got := dbtest.Get[int](t, db, "SELECT a FROM t WHERE id = 1"); got != 10 {
		t.Errorf("one row: got %d, want 10", got)
	}
}

// gorm and sqlc write IN (NULL) for an empty list. The server alone would find the rows in which the column is NULL.
func TestEmptyListDeletesNothing(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db, server := dbtest.OpenDSN(t, dsn), dbtest.WireTo(t, dsn)
	for _, text := range numbers {
		dbtest.Exec(t, db, text)
	}
	if got := server.Told(t, "SELECT id FROM n WHERE v IN (NULL)"); got != "2" {
		t.Errorf("the server answers %s", got)
	}
	for _, conn := range []dbtest.Execer{db, dbtest.Begin(t, db, nil)} {
		for query, args := range map[string][]any{
			"DELETE FROM n WHERE v IN (NULL)":                 nil,
			"DELETE FROM n WHERE v IN (?)":                    {nil},
			"DELETE FROM n WHERE v IN (?, ?) AND id > ?":      {nil, 77, 0},
			"UPDATE n SET v = 9 WHERE id = 2 AND v IN (7, ?)": {nil},
		} {
			if n, err := dbtest.Exec(t, conn, query, args...).RowsAffected(); n != 0 || err != nil {
				t.Errorf("%s %v: %d rows (%v)", query, args, n, err)
			}
		}
	}
}
