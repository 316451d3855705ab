package traptest

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// indexed makes a table with a secondary index, and returns a transaction that has
// changed, deleted and inserted rows of it.
func indexed(t *testing.T, options ...string) *sql.Tx {
	t.Helper()
	db := dbtest.Open(t, options...)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, ok BOOLEAN, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE INDEX ON t (v)")
	dbtest.Exec(t, db, "CREATE INDEX ON t (ok)")
	dbtest.Exec(t, db, "INSERT INTO t (id, v, ok) VALUES (0, 0, TRUE), (1, 10, NULL), (2, 20, FALSE), (3, 30, TRUE)")
	tx := dbtest.Begin(t, db, nil)
	dbtest.Exec(t, tx, "UPDATE t SET v = 99 WHERE id = 1")
	dbtest.Exec(t, tx, "DELETE FROM t WHERE id = 2")
	dbtest.Exec(t, tx, "INSERT INTO t (id, v, ok) VALUES (7, 30, TRUE)")
	return tx
}

func TestTransactionSeesItsWritesThroughAnyCondition(t *testing.T) {
	tx := indexed(t)
	for query, want := range map[string]string{
		"SELECT id FROM t WHERE v = 10":                                                 "",
		"SELECT id FROM t WHERE v = 99":                                                 "1",
		"SELECT id FROM t WHERE v = 20 OR v = 30":                                       "3 7",
		"SELECT id FROM t ORDER BY v, id":                                               "0 3 7 1",
		"SELECT v, COUNT(*) FROM t GROUP BY v ORDER BY v":                               "0,1 30,2 99,1",
		"SELECT id FROM t WHERE v > 5 AND v < 100 ORDER BY v DESC, id":                  "1 3 7",
		"SELECT id FROM t WHERE ok ORDER BY id":                                         "0 3 7",
		"SELECT id FROM t WHERE id = 1 AND v = 99":                                      "1",
		"SELECT a.id, b.id FROM t AS a JOIN t AS b ON a.v = b.v WHERE a.id = 3":         "3,3 3,7",
		"SELECT id FROM t WHERE v IN (SELECT v FROM t WHERE v = 30)":                    "3 7",
		"SELECT d.id FROM (SELECT id FROM t WHERE v = 30) AS d":                         "3 7",
		"SELECT id FROM t WHERE v = 30 UNION SELECT id FROM t WHERE v = 99 ORDER BY id": "1 3 7",
	} {
		if got, err := told(tx.Query(query)); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", query, got, err, want)
		}
	}
}

func TestWritesOfATransactionHitTheRowsThatItSees(t *testing.T) {
	tx := indexed(t)
	for _, row := range []struct {
		text string
		rows int64
	}{{"UPDATE t SET ok = FALSE WHERE v = 10", 0}, {"DELETE FROM t WHERE v = 20", 0}, {"DELETE FROM t WHERE v < 5", 1}} {
		if n, err := dbtest.Exec(t, tx, row.text).RowsAffected(); err != nil || n != row.rows {
			t.Errorf("%s: %d rows, %v, want %d", row.text, n, err, row.rows)
		}
	}
}

// The statements of one Exec are one transaction too.
func TestStatementsOfOneTextSeeEachOther(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE INDEX ON t (v)")
	dbtest.Exec(t, db, "INSERT INTO t (id, v) VALUES (1, 10), (2, 20)")
	dbtest.Exec(t, db, "UPDATE t SET v = ? WHERE id = 1; DELETE FROM t WHERE v = ?", 99, 10)
	if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); n != 2 {
		t.Errorf("%d rows are left of 2: the DELETE took the row that is 99 now for the one that was 10", n)
	}
}

func TestTableTooLargeToBeReadWholeIsRefused(t *testing.T) {
	tx := indexed(t, "own_writes_scan=3")
	dbtest.Exec(t, tx, "INSERT INTO t (id, v) VALUES (8, 80)")
	if got := dbtest.Get[int](t, tx, "SELECT v FROM t WHERE id = 8"); got != 80 {
		t.Errorf("by its key: %d", got)
	}
	err := tx.QueryRow("SELECT id FROM t WHERE v = 80").Scan(new(int))
	if !errors.Is(err, immudb.ErrUnsupported) || !strings.Contains(err.Error(), "own_writes_scan") {
		t.Errorf("err = %v, want ErrUnsupported that names own_writes_scan", err)
	}
	if err := tx.Commit(); err != nil {
		t.Errorf("a refused query ends the transaction: %v", err)
	}
}
