package traptest

import (
	"slices"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

// The server finds whether a value is in a unique index by the first entry of that value. If that is one of a row that
// was deleted or has another value now, it looks no further. The driver does not mend it: only a search of the table
// before each write would tell. This test fails when the server does: then docs/transactions.md is to be changed.
func TestUniqueIndexForgetsAValueThatARowWithASmallerKeyHad(t *testing.T) {
	for name, leaves := range map[string]string{
		"deleted": "DELETE FROM t WHERE id = 1",
		"changed": "UPDATE t SET v = 3 WHERE id = 1",
	} {
		t.Run(name, func(t *testing.T) {
			db := dbtest.Open(t)
			for _, text := range []string{
				"CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)", "CREATE UNIQUE INDEX ON t (v)",
				"INSERT INTO t (id, v) VALUES (1, 2)", leaves, "INSERT INTO t (id, v) VALUES (5, 2)", "INSERT INTO t (id, v) VALUES (11, 2)",
			} {
				dbtest.Exec(t, db, text)
			}
			if got := dbtest.List[int64](t, db, "SELECT id FROM t WHERE v = 2 ORDER BY id"); !slices.Equal(got, []int64{5, 11}) {
				t.Errorf("rows %v have the value, want 5 and 11", got)
			}
		})
	}
}
