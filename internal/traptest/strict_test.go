package traptest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// The server gives a wrong result for each of these statements because of the rows in the tables. Without strict the
// driver sends the statement unchanged; with strict it refuses.
func TestStrictRefusesStatementsThatDependOnTheRows(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db, strict := dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dbtest.WithOptions(dsn, "strict=1"))
	for _, text := range []string{
		"CREATE TABLE t (id INTEGER, n INTEGER, at TIMESTAMP, j JSON, must INTEGER NOT NULL, PRIMARY KEY id)",
		"CREATE INDEX ON t (at)",
		"INSERT INTO t (id, n, at, must) VALUES (1, 5, CAST('2020-01-01' AS TIMESTAMP), 1), (2, NULL, CAST('2021-01-01' AS TIMESTAMP), 2), (3, 4, CAST('3000-01-01' AS TIMESTAMP), 2)",
		`INSERT INTO t (id, j, must) VALUES (4, '9007199254740993', 3)`,
	} {
		dbtest.Exec(t, db, text)
	}
	for _, row := range []struct {
		query string
		args  []any
		wrong string
	}{
		{"SELECT id FROM t WHERE n < ? AND id < 4", []any{5}, "2 3"},
		{"SELECT id FROM t WHERE n <> 5 AND id < 4", nil, "2 3"},
		{"SELECT id FROM t WHERE NOT (n = 5) AND id < 4", nil, "2 3"},
		{"SELECT id FROM t WHERE n NOT IN (5) AND id < 4", nil, "2 3"},
		{"SELECT id FROM t WHERE n > ? AND id < 4", []any{nil}, "1 3"},
		{"SELECT AVG(n) FROM t WHERE id = 1 OR id = 3", nil, "4"},
		{"SELECT j FROM t WHERE id = 4 AND at IS NULL OR at > ? AND j IS NOT NULL", []any{time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, "9007199254740992"},
	} {
		if got, err := told(db.Query(row.query, row.args...)); got != row.wrong || err != nil {
			t.Errorf("%s: the server answers %s (%v), want %s", row.query, got, err, row.wrong)
		}
		for _, conn := range []dbtest.Execer{strict, dbtest.Begin(t, strict, nil)} {
			if got, err := told(conn.QueryContext(t.Context(), row.query, row.args...)); !errors.Is(err, immudb.ErrUnsupported) || !strings.Contains(err.Error(), "line 1, column") {
				t.Errorf("%s: %s (%v), want ErrUnsupported that says where", row.query, got, err)
			}
		}
	}
	// The year 3000 is after 2020, but before it in the index, because its nanoseconds overflow.
	if got, err := told(db.Query("SELECT id FROM t WHERE at IS NOT NULL ORDER BY at")); got != "3 1 2" {
		t.Errorf("the order of times: %s (%v)", got, err)
	}
	for query, args := range map[string][]any{
		"DELETE FROM t WHERE at < NOW()":                            nil,
		"INSERT INTO t (id, at, must) VALUES (9, ?, 1)":             {time.Time{}},
		"INSERT INTO t (id, j, must) VALUES (9, ?, 1)":              {[]byte(`{"id":9007199254740993}`)},
		"UPDATE t SET at = ? WHERE id = 1":                          {time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"UPDATE t SET j = '{\"id\":9007199254740993}'":              nil,
		"INSERT INTO t (id, must) SELECT id, 1 FROM t WHERE n != 5": nil,
	} {
		if _, err := strict.Exec(query, args...); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s: err = %v, want ErrUnsupported", query, err)
		}
	}
	if n := dbtest.Get[int](t, strict, "SELECT COUNT(*) FROM t"); n != 4 {
		t.Errorf("%d rows, want 4", n)
	}
	for query, want := range map[string]string{
		"SELECT id FROM t WHERE n < 5 AND n IS NOT NULL":                            "3",
		"SELECT id FROM t WHERE n < 5 OR n IS NULL":                                 "2 3 4",
		"SELECT id FROM t WHERE must < 3 AND id <> 1":                               "2 3",
		"SELECT AVG(f) FROM (SELECT CAST(n AS FLOAT) AS f FROM t WHERE n > 0) AS x": "4.5",
	} {
		if got, err := told(strict.Query(query)); got != want || err != nil {
			t.Errorf("%s: %s (%v), want %s", query, got, err, want)
		}
	}
}

func TestCopyFromIsStrictAboutValues(t *testing.T) {
	db := dbtest.Open(t, "strict=1")
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, at TIMESTAMP, j JSON, PRIMARY KEY id)")
	for _, row := range [][]any{
		{1, time.Time{}, nil},
		{1, nil, []byte("9007199254740993")},
	} {
		if n, err := immudb.CopyFrom(t.Context(), db, "t", []string{"id", "at", "j"}, dbtest.Rows(row), nil); n != 0 || !errors.Is(err, immudb.ErrInvalidValue) {
			t.Errorf("%v: %d rows, %v, want ErrInvalidValue", row, n, err)
		}
	}
	if n, err := immudb.CopyFrom(t.Context(), db, "t", []string{"id", "at", "j"}, dbtest.Rows([]any{1, time.Unix(0, 0), `{"a":1.5}`}), nil); n != 1 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
}
