package eval_test

import (
	"database/sql"
	"database/sql/driver"
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/sqltext/eval"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// columns are the columns of the table of everything: one or more of each type.
var columns = []eval.Column{
	{Name: "id", Type: "INTEGER"}, {Name: "n", Type: "INTEGER"}, {Name: "m", Type: "INTEGER"}, {Name: "f", Type: "FLOAT"},
	{Name: "g", Type: "FLOAT"}, {Name: "b", Type: "BOOLEAN"}, {Name: "s", Type: "VARCHAR"}, {Name: "r", Type: "VARCHAR"},
	{Name: "k", Type: "VARCHAR"}, {Name: "x", Type: "BLOB"}, {Name: "y", Type: "BLOB"}, {Name: "ts", Type: "TIMESTAMP"},
	{Name: "t2", Type: "TIMESTAMP"}, {Name: "u", Type: "UUID"}, {Name: "w", Type: "UUID"}, {Name: "j", Type: "JSON"},
}

const createTable = `CREATE TABLE v (id INTEGER, n INTEGER, m INTEGER, f FLOAT, g FLOAT, b BOOLEAN, s VARCHAR, r VARCHAR[40], k VARCHAR[40] NOT NULL,
	x BLOB[20], y BLOB, ts TIMESTAMP, t2 TIMESTAMP, u UUID, w UUID, j JSON, PRIMARY KEY id)`

// compile compiles a query of one statement.
func compile(t testing.TB, text string) (*eval.Query, error) {
	t.Helper()
	script, err := tree.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return eval.Compile(text, script.Statements[0].(*tree.Select))
}

// bind compiles a query and binds it to the table of everything.
func bind(t testing.TB, text string, args []driver.Value) *eval.Bound {
	t.Helper()
	q, err := compile(t, text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	b, err := q.Bind(columns, args)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return b
}

// read runs a query of whole rows and returns them with the driver's types.
func read(db *sql.DB, text string, args ...any) (list [][]driver.Value, err error) {
	rows, err := db.Query(text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]driver.Value, len(names))
		for i := range row {
			row[i] = values[i]
		}
		list = append(list, row)
	}
	return list, rows.Err()
}

func anys(args []driver.Value) []any {
	list := make([]any, len(args))
	for i := range args {
		list[i] = args[i]
	}
	return list
}
