package traptest

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/dbtest"
)

// employees makes a table with one row with letters outside ASCII, and one with NULLs.
func employees(t *testing.T) *sql.DB {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE e (id INTEGER, name VARCHAR[20], dept VARCHAR[5], sal INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO e (id, name, dept, sal) VALUES (1, 'Zoë', 'x', 100), (2, 'bob', 'x', 50), (3, 'cid', 'y', 75), (4, 'dee', NULL, NULL)")
	return db
}

// told is the result of a query as text: rows separated by a blank, values by a comma.
func told(rows *sql.Rows, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var all []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = fmt.Sprint(v)
			if b, ok := v.([]byte); ok {
				row[i] = string(b)
			}
		}
		all = append(all, strings.Join(row, ","))
	}
	return strings.Join(all, " "), rows.Err()
}

// For each of these queries the server returns other rows, another order, or an error.
func TestQueriesAreAnsweredAsWritten(t *testing.T) {
	db := employees(t)
	for _, row := range []struct {
		query string
		args  []any
		want  string
	}{
		{"SELECT id FROM e WHERE name LIKE 'Zoë'", nil, "1"},
		{"SELECT id FROM e WHERE name LIKE ?", []any{"%ë%"}, "1"},
		{"SELECT id FROM e WHERE name LIKE '%oë'", nil, "1"},
		{"SELECT id FROM e WHERE name NOT ILIKE ?", []any{"%OË"}, "2 3 4"},
		{"SELECT id FROM e WHERE name LIKE ? AND id < ?", []any{"Zoë%", 5}, "1"},
		{"SELECT id FROM e WHERE name ILIKE 'zOË%'", nil, "1"},
		{"SELECT id FROM e WHERE name NOT LIKE '%ë%' ORDER BY id", nil, "2 3 4"},
		{"SELECT id, sal FROM e WHERE sal > 0 ORDER BY 2", nil, "2,50 3,75 1,100"},
		{"SELECT dept, COUNT(*) FROM e WHERE dept IS NOT NULL GROUP BY dept ORDER BY 2 DESC", nil, "x,2 y,1"},
		{"SELECT dept AS k, COUNT(*) FROM e WHERE dept IS NOT NULL GROUP BY k ORDER BY k", nil, "x,2 y,1"},
		{"SELECT id FROM e WHERE id < 3 UNION SELECT id FROM e WHERE id > 2 ORDER BY id DESC", nil, "4 3 2 1"},
		{"SELECT id FROM e WHERE id < 3 UNION SELECT id FROM e WHERE id > 2 ORDER BY id LIMIT ?", []any{1}, "1"},
		{"(SELECT id FROM e WHERE id = 1) UNION (SELECT id FROM e WHERE id = 2) ORDER BY 1 DESC", nil, "2 1"},
		{"SELECT id, ROW_NUMBER() OVER (ORDER BY sal DESC) FROM e WHERE sal > 0 ORDER BY id", nil, "1,1 2,3 3,2"},
		{"SELECT e.* FROM e WHERE e.id = 2", nil, "2,bob,x,50"},
		{"SELECT e.*, f.id AS \"F\" FROM e JOIN e AS f ON f.id = e.id AND f.id = ?", []any{2}, "2,bob,x,50,2"},
		{"SELECT `name` FROM `e` WHERE `id` = 2 FOR UPDATE", nil, "bob"},
		{"\ufeffSELECT id FROM e WHERE id = 2;;", nil, "2"},

		{"SELECT EXISTS (SELECT 1 FROM e WHERE id = ?)", []any{1}, "true"},
		{"SELECT NOT EXISTS (SELECT 1 FROM e WHERE name = ?)", []any{"it's"}, "true"},
		{"SELECT id FROM e WHERE EXISTS (SELECT 1 FROM e AS f WHERE f.id = $1) AND id = $2", []any{1, 2}, "2"},
		{"WITH c AS (SELECT id FROM e) SELECT id FROM c WHERE id = ?", []any{3}, "3"},
		{"WITH c AS (SELECT id FROM e WHERE id > ?) SELECT id FROM c WHERE id < ?", []any{1, 3}, "2"},
		{"SELECT relname FROM pg_class WHERE relname = ?", []any{"e"}, "e"},
		{"SELECT id FROM e WHERE EXISTS (SELECT 1 FROM e AS f WHERE f.id = @id) AND id = @id", []any{sql.Named("id", 4)}, "4"},
	} {
		if got, err := told(db.Query(row.query, row.args...)); got != row.want || err != nil {
			t.Errorf("%s %v\ngot  %q, %v\nwant %q", row.query, row.args, got, err, row.want)
		}
	}
	for _, write := range []struct {
		query string
		args  []any
		rows  int64
	}{
		{"UPDATE e SET sal = ? WHERE EXISTS (SELECT 1 FROM e AS f WHERE f.id = ?) AND id = ?", []any{1, 2, 3}, 1},
		{"DELETE FROM e WHERE id = ? AND NOT EXISTS (SELECT 1 FROM e AS f WHERE f.id = ?)", []any{4, 99}, 1},
	} {
		for _, db := range []dbtest.Execer{db, dbtest.Begin(t, db, nil)} {
			res, err := db.ExecContext(t.Context(), write.query, write.args...)
			if err != nil {
				t.Errorf("%s: %v", write.query, err)
			} else if n, err := res.RowsAffected(); n != write.rows && n != 0 || err != nil {
				t.Errorf("%s: %d rows, %v", write.query, n, err)
			}
			if tx, ok := db.(*sql.Tx); ok {
				_ = tx.Rollback()
			}
		}
	}
}

func TestColumnsAreNamedAsTheAliasIsWritten(t *testing.T) {
	db := employees(t)
	for query, want := range map[string][]string{
		`SELECT id AS "UserId", name AS "user.name", dept AS plain, sal FROM e`:   {"UserId", "user.name", "plain", "sal"},
		"SELECT COUNT(*) AS count, MAX(sal) AS Max FROM e":                        {"count", "max"},
		`SELECT x."a b" AS "A" FROM (SELECT id AS "a b" FROM e) x`:                {"A"},
		`SELECT id AS "Id" FROM e WHERE id = 1 UNION SELECT id FROM e ORDER BY 1`: {"Id"},
		`SELECT * FROM (SELECT id AS "a.b", name AS "Name", sal FROM e) x`:        {"a.b", "Name", "sal"},
		`WITH c AS (SELECT id AS "UserId" FROM e) SELECT * FROM c`:                {"UserId"},
		`SELECT x.*, x."Id" AS "Z" FROM (SELECT id AS "Id" FROM e) x`:             {"id", "Z"},
		`SELECT id AS "Id", ROW_NUMBER() OVER () AS "R" FROM e ORDER BY sal`:      {"Id", "R"},
		`WITH c AS (SELECT id AS "x-y" FROM e) SELECT "x-y" AS "Z" FROM c`:        {"Z"},
	} {
		for _, conn := range []dbtest.Execer{db, dbtest.Begin(t, db, nil)} {
			rows, err := conn.QueryContext(t.Context(), query)
			if err != nil {
				t.Errorf("%s: %v", query, err)
				continue
			}
			got, err := rows.Columns()
			if !slices.Equal(got, want) || err != nil {
				t.Errorf("%s: %q, %v, want %q", query, got, err, want)
			}
			_ = rows.Close()
			if tx, ok := conn.(*sql.Tx); ok {
				_ = tx.Rollback()
			}
		}
	}
}

// Every value comes back unchanged, whether it is sent as an argument or as a literal.
func TestLiteralsHaveTheValuesOfTheirArguments(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE v (id INTEGER AUTO_INCREMENT, i INTEGER, f FLOAT, s VARCHAR, b BLOB, ts TIMESTAMP, o BOOLEAN, PRIMARY KEY id)")
	for _, row := range []struct {
		column string
		v      any
	}{
		{"i", int64(0)}, {"i", int64(-1)}, {"i", int64(math.MaxInt64)}, {"i", int64(math.MinInt64)},
		{"f", 0.1}, {"f", -1e-300}, {"f", math.MaxFloat64}, {"f", math.SmallestNonzeroFloat64}, {"f", 1e22}, {"f", 123456789.125},
		{"s", ""}, {"s", "a\x00b"}, {"s", "it's ''quoted''"}, {"s", "-- no comment /* either */ ; \\ \" ` ? $1 @a"}, {"s", "日本語 ü\n\t"},
		{"b", []byte{}}, {"b", []byte{0, 1, 254, 255}},
		{"ts", time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}, {"ts", time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)}, {"ts", time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC)},
		{"o", true}, {"o", false},
	} {
		id, err := dbtest.Exec(t, db, "INSERT INTO v ("+row.column+") VALUES (?)", row.v).LastInsertId()
		if err != nil {
			t.Fatal(err)
		}
		// EXISTS makes the driver write the arguments as literals.
		query := "SELECT " + row.column + " FROM v WHERE id = ? AND " + row.column + " = ? AND EXISTS (SELECT 1 FROM v WHERE id = ?)"
		var got any
		if err := db.QueryRow(query, id, row.v, id).Scan(&got); err != nil {
			t.Errorf("%v (%T): %v", row.v, row.v, err)
		} else if fmt.Sprint(got) != fmt.Sprint(row.v) {
			t.Errorf("%v came back as %v", row.v, got)
		}
	}
}

func TestATextWithoutStatementsDoesNothing(t *testing.T) {
	db := dbtest.Open(t)
	for _, text := range []string{"", " ", "-- nothing", "/* nothing */ ;;"} {
		if n, err := dbtest.Exec(t, db, text).RowsAffected(); n != 0 || err != nil {
			t.Errorf("%q: %d rows, %v", text, n, err)
		}
		if got, err := told(db.Query(text)); got != "" || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		tx := dbtest.Begin(t, db, nil)
		dbtest.Exec(t, tx, text)
		if err := tx.Commit(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestExecRunsTheQueriesOfItsText(t *testing.T) {
	db := employees(t)
	_, err := db.Exec("UPDATE e SET sal = 1 WHERE id = 1; SELECT id / (id - id) FROM e")
	if err == nil {
		t.Error("a query that fails was not run")
	}
	if got := dbtest.Get[int](t, db, "SELECT sal FROM e WHERE id = 1"); got != 100 {
		t.Errorf("the write beside it was committed: %d", got)
	}
	res := dbtest.Exec(t, db, "BEGIN; UPDATE e SET sal = 1 WHERE id < 3; SELECT id FROM e; DELETE FROM e WHERE id = 4; COMMIT")
	if n, err := res.RowsAffected(); n != 3 || err != nil {
		t.Errorf("%d rows, %v, want 3", n, err)
	}
}

// bytesOf has a Value method that returns bytes, as JSON types have.
type bytesOf string

func (b bytesOf) Value() (driver.Value, error) { return []byte(b), nil }

func TestBytesThatAreTextAreStoredInColumnsOfText(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE d (id INTEGER, s VARCHAR, j JSON, b BLOB, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO d (id, s, j, b) VALUES (1, ?, ?, ?)", bytesOf("ä"), bytesOf(`{"a":1}`), bytesOf("b"))
	dbtest.Exec(t, db, "INSERT INTO d (id, s, j) VALUES (2, @s, @j)", sql.Named("j", bytesOf("null")), sql.Named("s", bytesOf("null")))
	dbtest.Exec(t, db, "UPDATE d SET j = ? WHERE EXISTS (SELECT 1 FROM d WHERE id = ?) AND id = ?", bytesOf(`[2]`), 1, 1)
	want := "1,ä,[2],b 2,null,<nil>,<nil>"
	if got, err := told(db.Query("SELECT id, s, j, b FROM d")); got != want || err != nil {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestATextThatRollsBackLeavesNothing(t *testing.T) {
	db := employees(t)
	res := dbtest.Exec(t, db, "BEGIN; DELETE FROM e WHERE id > 1; ROLLBACK")
	if n, err := res.RowsAffected(); n != 3 || err != nil {
		t.Errorf("%d rows, %v, want the 3 that were undone", n, err)
	}
	if got, err := told(db.Query("BEGIN; DELETE FROM e WHERE id = 1 RETURNING id; ROLLBACK")); got != "1" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM e"); got != 4 {
		t.Errorf("%d rows are left, want 4", got)
	}
}
