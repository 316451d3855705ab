package copytest

import (
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// fromTable is the rows of a query, as CopyFrom takes them.
func fromTable(db *sql.DB, query string) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		rows, err := db.Query(query)
		if err != nil {
			yield(nil, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			row := make([]any, 2)
			if err := rows.Scan(&row[0], &row[1]); !yield(row, err) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, err)
		}
	}
}

func TestCopyFromTakesRowsOfTheSameDatabase(t *testing.T) {
	const n = 5000
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE source (id INTEGER, v INTEGER, PRIMARY KEY id)")
	if _, err := immudb.CopyFrom(t.Context(), db, "source", nil, dbtest.NumberedRows(0, n), nil); err != nil {
		t.Fatal(err)
	}
	for _, conns := range []int{2, 3, 4, 0} {
		t.Run(fmt.Sprintf("%d conns", conns), func(t *testing.T) {
			db.SetMaxOpenConns(conns)
			table := fmt.Sprintf("copy%d", conns)
			dbtest.Exec(t, db, "CREATE TABLE "+table+" (id INTEGER, v INTEGER, PRIMARY KEY id)")
			if got, err := immudb.CopyFrom(t.Context(), db, table, nil, fromTable(db, "SELECT id, v FROM source"), nil); got != n || err != nil {
				t.Errorf("%d rows, %v; want %d", got, err, n)
			}
		})
	}
	t.Run("1 conn, which the rows hold", func(t *testing.T) {
		db.SetMaxOpenConns(1)
		dbtest.Exec(t, db, "CREATE TABLE copy1 (id INTEGER, v INTEGER, PRIMARY KEY id)")
		_, err := immudb.CopyFrom(t.Context(), db, "copy1", nil, fromTable(db, "SELECT id, v FROM source"), nil)
		if !errors.Is(err, immudb.ErrOverloaded) {
			t.Errorf("err = %v, want one that says to raise SetMaxOpenConns", err)
		}
	})
}
