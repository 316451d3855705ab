package answertest

import (
	"database/sql"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// both opens a database of the server and one of SQLite with the same tables. With
// indexes, the server's tables have indexes.
func both(t *testing.T, indexes bool) (db, lite *sql.DB) {
	t.Helper()
	lite, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lite.Close() })
	lite.SetMaxOpenConns(1) // each connection has its own database in memory
	db = dbtest.Open(t)
	for _, text := range []string{
		"CREATE TABLE t (id INTEGER, a INTEGER, b INTEGER, PRIMARY KEY (id))",
		"CREATE TABLE u (id INTEGER, tid INTEGER, c INTEGER, PRIMARY KEY (id))",
	} {
		dbtest.Exec(t, lite, text)
		dbtest.Exec(t, db, text)
	}
	if indexes {
		dbtest.Exec(t, db, "CREATE INDEX ON t (a)")
		dbtest.Exec(t, db, "CREATE INDEX ON t (b, a)")
		dbtest.Exec(t, db, "CREATE INDEX ON u (tid)")
	}
	return db, lite
}

const (
	rowsOfT = "INTO t (id, a, b) VALUES (0, 2, 2), (1, 3, 5), (2, 1, 5), (3, 3, 2), (4, 0, 1), (5, 3, 5)"
	rowsOfU = "INTO u (id, tid, c) VALUES (1, 3, 1), (2, 1, 4), (3, 2, 4), (4, 3, 0), (9, 1, 1)"
)

func TestQueriesAnswerAsInSQLite(t *testing.T) {
	for name, indexes := range map[string]bool{"with indexes": true, "without indexes": false} {
		t.Run(name, func(t *testing.T) {
			db, lite := both(t, indexes)
			for _, rows := range []string{rowsOfT, rowsOfU} {
				dbtest.Exec(t, lite, "INSERT "+rows)
				dbtest.Exec(t, db, "INSERT "+rows)
			}
			answered := 0
			n := testserver.Rounds(t, 400, 1500)
			for i := range n {
				g := newGenerator(1, uint64(i))
				query, ordered := g.query()
				want, err := answer(lite, ordered, query, g.args)
				if err != nil {
					t.Fatalf("SQLite: %s %v: %v", query, g.args, err)
				}
				got, err := answer(db, ordered, query, g.args)
				switch {
				case errors.Is(err, immudb.ErrUnsupported):
				case err != nil:
					t.Errorf("%s %v: %v", query, g.args, err)
				case got != want:
					t.Errorf("%s %v\ngot  %s\nwant %s", query, g.args, got, want)
				default:
					answered++
				}
			}
			if answered < n*9/10 {
				t.Errorf("%d of %d queries were answered", answered, n)
			}
		})
	}
}

// querier is a *sql.DB or a *sql.Tx.
type querier interface {
	Query(query string, args ...any) (*sql.Rows, error)
}

// answer returns the result of a query as text. Rows without an order are sorted, and
// MAX, MIN and SUM of no rows are 0, as on the server.
func answer(db querier, ordered bool, query string, args []any) (string, error) {
	rows, err := db.Query(query, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var lines []string
	for rows.Next() {
		values, into := make([]sql.NullFloat64, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		lines = append(lines, show(values))
	}
	if !ordered {
		slices.Sort(lines)
	}
	return strings.Join(lines, " "), rows.Err()
}
