package traptest

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

// Of no rows the server (v1.11.1) returns no row for an expression of aggregates.
func TestExpressionOfAggregatesOfNoRowsIsOneRow(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE none (id INTEGER AUTO_INCREMENT, n INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE INDEX ON none (n)")
	dbtest.Exec(t, db, "CREATE TABLE two (id INTEGER, n INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO two (id, n) VALUES (1, 5), (2, 7)")
	rows := []struct {
		query string
		args  []any
		want  string
	}{
		{"SELECT COUNT(*) + 1 FROM none", nil, "1"},
		{"SELECT COALESCE(MAX(n), 0) FROM none", nil, "0"},
		{"SELECT COALESCE(MAX(n), ?) + ? FROM none WHERE id > ?", []any{3, 4, 0}, "4"},
		{"SELECT 7, COUNT(*) FROM none", nil, "7 0"},
		{"SELECT COUNT(*), COUNT(*) * 2 FROM two", nil, "2 4"},
		{"SELECT MAX(n) - MIN(n) FROM two", nil, "2"},
		{"SELECT CASE WHEN COUNT(*) = 0 THEN 'none' ELSE 'some' END FROM none", nil, "none"},
		{"SELECT CAST(COUNT(*) AS VARCHAR) FROM none WHERE n = @n", []any{sql.Named("n", 1)}, "0"},
		{"SELECT COALESCE(SUM(two.n), 0) + 1 FROM two INNER JOIN none ON none.id = two.id", nil, "1"},
		{"SELECT COUNT(*) = 0 FROM two WHERE id IN (SELECT id FROM none)", nil, "true"},
		{"SELECT c FROM (SELECT COUNT(*) + 1 AS c FROM none WHERE id > ?) AS d", []any{1}, "1"},
		{"SELECT n FROM two WHERE id = (SELECT COUNT(*) + 1 FROM none WHERE id > ?)", []any{1}, "5"},
		{"SELECT COALESCE(MAX(n), 0) + 1 FROM none LIMIT 1", nil, "1"},
	}
	check := func(t *testing.T, on dbtest.Execer) {
		for _, row := range rows {
			got := ""
			list, err := on.QueryContext(t.Context(), row.query, row.args...)
			if err != nil {
				t.Errorf("%s: %v", row.query, err)
				continue
			}
			columns, _ := list.Columns()
			for n := 0; list.Next(); n++ {
				values, into := make([]any, len(columns)), make([]any, len(columns))
				for i := range into {
					into[i] = &values[i]
				}
				if err := list.Scan(into...); err != nil {
					t.Error(err)
				}
				for i, v := range values {
					if n+i > 0 {
						got += " "
					}
					got += fmt.Sprint(v)
				}
			}
			if err := list.Err(); err != nil || got != row.want {
				t.Errorf("%s: %q, want %q (%v)", row.query, got, row.want, err)
			}
			_ = list.Close()
		}
	}
	check(t, db)
	tx := dbtest.Begin(t, db, nil)
	defer tx.Rollback()
	dbtest.Exec(t, tx, "UPDATE two SET n = n WHERE id = 1")
	dbtest.Exec(t, tx, "INSERT INTO none (n) VALUES (1)")
	dbtest.Exec(t, tx, "DELETE FROM none WHERE n = 1")
	check(t, tx)
}
