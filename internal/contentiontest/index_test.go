package contentiontest

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// A transaction of the server takes a snapshot of each index when it first reads it. A row that
// is written between the first look at the table and the first look at an index is in the
// index only, and UPDATE through the index fails.
func TestRowWrittenBetweenTwoSnapshotsIsAConflict(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, a INTEGER, b INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE INDEX ON t(a)")
	for i, change := range []string{"UPDATE t SET b = 2 WHERE a = ?", "UPDATE t SET b = 2 WHERE a = ? RETURNING id"} {
		tries := 0
		err := immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error {
			tries++
			dbtest.List[int](t, tx, "SELECT id FROM t WHERE id = 0")
			if tries == 1 {
				dbtest.Exec(t, db, "INSERT INTO t (id, a) VALUES (?, ?)", i, i)
			}
			_, err := tx.ExecContext(t.Context(), change, i)
			var e *immudb.Error
			if tries == 1 && (!errors.Is(err, immudb.ErrConflict) || !errors.As(err, &e) || e.SQLState != "40001") {
				t.Errorf("%s: %v, want ErrConflict", change, err)
			}
			return err
		})
		if err != nil || tries != 2 {
			t.Errorf("%s: %v after %d tries", change, err, tries)
		}
	}
}

// DROP of a table with CHECK constraints fails with the same words of the server, and does so
// for good (v1.11.1).
func TestTableThatCannotBeDroppedIsNoConflict(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, a INTEGER, CHECK a > 0, PRIMARY KEY id)")
	if _, err := db.Exec("DROP TABLE t"); err == nil || errors.Is(err, immudb.ErrConflict) {
		t.Errorf("outside a transaction: %v", err)
	}
	tx := dbtest.Begin(t, db, nil)
	defer tx.Rollback()
	if _, err := tx.Exec("DROP TABLE t"); err == nil || errors.Is(err, immudb.ErrConflict) {
		t.Errorf("in a transaction: %v", err)
	}
}
