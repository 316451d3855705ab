package traptest

import (
	"slices"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

// To check a unique index, the server reads only the first entry with the value. If the row of that entry was deleted or
// has another value now, the server accepts a duplicate. The driver cannot prevent that without a search of the table
// before each write. If this test fails, the server was fixed: then change docs/transactions.md.
func TestServerAcceptsADuplicateIfARowWithASmallerKeyHadTheValue(t *testing.T) {
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
