package traptest

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// written is the expected result of a write.
type written struct {
	query string
	rows  int64
	id    int64 // 0: must be an error
}

func (w written) expect(t *testing.T, db dbtest.Execer) {
	t.Helper()
	res := dbtest.Exec(t, db, w.query)
	if n, err := res.RowsAffected(); n != w.rows || err != nil {
		t.Errorf("%s: %d rows (%v), want %d", w.query, n, err, w.rows)
	}
	if id, err := res.LastInsertId(); id != w.id || (err == nil) != (w.id != 0) {
		t.Errorf("%s: id %d (%v), want %d", w.query, id, err, w.id)
	}
}

func TestExecInATransactionCountsExactly(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE TABLE src (id INTEGER, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO src (id, v) VALUES (1, 1), (2, 2), (3, 3)")
	tx := dbtest.Begin(t, db, nil)
	for _, row := range []written{
		{"INSERT INTO t (v) VALUES (10)", 1, 1},
		{"INSERT INTO t (v) VALUES (20), (30)", 2, 3},
		{"INSERT INTO t (v) SELECT v FROM src", 3, 6},
		{"INSERT INTO t (v) VALUES (1); INSERT INTO t (v) VALUES (2)", 2, 8},
		{"UPSERT INTO t (id, v) VALUES (1, 11), (2, 21)", 2, 2},
		{"UPDATE t SET v = 0 WHERE id <= 3", 3, 0},
		{"UPDATE t SET v = 0 WHERE id > 99", 0, 0},
		{"DELETE FROM t WHERE id = 1", 1, 0},
		{"INSERT INTO src (id, v) VALUES (4, 4)", 1, 0},
		{"INSERT INTO src (id, v) VALUES (4, 4) ON CONFLICT DO NOTHING", 0, 0},
		{"INSERT INTO src (id, v) VALUES (4, 4) ON CONFLICT DO UPDATE SET v = 9", 1, 0},
		{"CREATE TABLE u (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)", 0, 0},
		{"SELECT * FROM t", 0, 0},
	} {
		row.expect(t, tx)
	}
	// A table that only this transaction can see.
	if id, err := dbtest.Exec(t, tx, "INSERT INTO u (v) VALUES (1), (2)").LastInsertId(); id != 2 || err != nil {
		t.Errorf("table created in the transaction: id %d (%v), want 2", id, err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if id, err := dbtest.Exec(t, db, "INSERT INTO u (v) VALUES (3)").LastInsertId(); id != 3 || err != nil {
		t.Errorf("after the commit: id %d (%v), want 3", id, err)
	}
}

func TestExecOutsideATransactionCountsExactly(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE TABLE plain (id INTEGER, PRIMARY KEY id)")
	for _, row := range []written{
		{"INSERT INTO t (v) VALUES (10)", 1, 1},
		{"INSERT INTO t (v) VALUES (20), (30)", 2, 3},
		{"INSERT INTO t (id, v) VALUES (50, 1)", 1, 50},
		{"INSERT INTO t (id, v) VALUES (50, 1) ON CONFLICT DO NOTHING", 0, 0},
		{"INSERT INTO t (id, v) VALUES (60, 1), (50, 1) ON CONFLICT DO NOTHING", 1, 0},
		{"INSERT INTO t (id, v) VALUES (70, 1) ON CONFLICT DO NOTHING", 1, 70},
		{"UPDATE t SET v = 0 WHERE id <= 3", 3, 0},
		{"INSERT INTO plain (id) VALUES (1)", 1, 0},
		{"INSERT INTO plain (id) VALUES (2); INSERT INTO t (v) VALUES (5)", 2, 71},
		{"DELETE FROM t WHERE id > 50", 3, 0},
	} {
		row.expect(t, db)
	}
}

func TestLastInsertIdSurvivesSchemaChangesOfOthers(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db, other := dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	insert := func() (int64, error) {
		tx := dbtest.Begin(t, db, nil)
		defer tx.Rollback()
		res := dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (1)")
		if n, err := res.RowsAffected(); n != 1 || err != nil {
			t.Errorf("%d rows (%v), want 1", n, err)
		}
		return res.LastInsertId()
	}
	if id, err := insert(); id != 1 || err != nil {
		t.Fatalf("id %d (%v), want 1", id, err)
	}
	dbtest.Exec(t, other, "DROP TABLE t")
	dbtest.Exec(t, other, "CREATE TABLE t (k INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY k)")
	if id, err := insert(); id != 1 && err == nil {
		t.Errorf("id %d right after the change, want 1 or an error", id)
	}
	if id, err := insert(); id != 1 || err != nil {
		t.Errorf("id %d (%v) later, want 1", id, err)
	}
	dbtest.Exec(t, db, "DROP TABLE t")
	dbtest.Exec(t, db, "CREATE TABLE t (v INTEGER, PRIMARY KEY v)")
	if id, err := insert(); err == nil {
		t.Errorf("id %d in a table without AUTO_INCREMENT, want an error", id)
	}
}

func TestATransactionDoesNotRememberForOthersWhatOnlyItStillSees(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
	old := dbtest.Begin(t, db, nil)
	dbtest.Get[int](t, old, "SELECT COUNT(*) FROM t")
	dbtest.Exec(t, db, "DROP TABLE t")
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, old, "INSERT INTO t (id, v) VALUES (7, 7)")
	if err := old.Rollback(); err != nil {
		t.Fatal(err)
	}
	if id, err := dbtest.Exec(t, dbtest.Begin(t, db, nil), "INSERT INTO t (v) VALUES (1)").LastInsertId(); id != 1 || err != nil {
		t.Errorf("id %d (%v), want 1", id, err)
	}
}

func TestReturningFindsColumnsAddedByOthers(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db, other := dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.List[int](t, db, "INSERT INTO t (id) VALUES (1) RETURNING id")
	dbtest.Exec(t, other, "ALTER TABLE t ADD COLUMN v INTEGER")
	if got := dbtest.Get[int](t, db, "INSERT INTO t (id, v) VALUES (2, 7) RETURNING v"); got != 7 {
		t.Errorf("v = %d, want 7", got)
	}
}

func TestServersOlderThanReturningWorkWithoutIt(t *testing.T) {
	for _, version := range []string{"v1.9.5", "v1.10.0"} {
		t.Run(version, func(t *testing.T) {
			db := dbtest.OpenDSN(t, testserver.StartVersion(t, version).DSN())
			dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
			if id, err := dbtest.Exec(t, db, "INSERT INTO t (v) VALUES (1), (2)").LastInsertId(); id != 2 || err != nil {
				t.Errorf("id %d (%v), want 2", id, err)
			}
			if n, err := dbtest.Exec(t, db, "INSERT INTO t (v) VALUES (3) RETURNING id").RowsAffected(); n != 1 || err != nil {
				t.Errorf("Exec with RETURNING, which is cut: %d rows (%v)", n, err)
			}
			_, err := db.Query("INSERT INTO t (v) VALUES (4) RETURNING id")
			if !errors.Is(err, immudb.ErrUnsupported) || !strings.Contains(err.Error(), "RETURNING") {
				t.Errorf("Query with RETURNING: %v, want ErrUnsupported that names it", err)
			}
			tx := dbtest.Begin(t, db, nil)
			res := dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (5)")
			if n, err := res.RowsAffected(); !errors.Is(err, immudb.ErrUnsupported) {
				t.Errorf("RowsAffected in a transaction = %d, %v, want ErrUnsupported", n, err)
			}
			if _, err := tx.Exec("INSERT INTOO t (v) VALUES (5)"); !errors.Is(err, immudb.ErrSyntax) {
				t.Errorf("a real syntax error: %v, want ErrSyntax", err)
			}
			tx.Rollback()
			tx = dbtest.Begin(t, db, nil)
			dbtest.Exec(t, tx, "UPDATE t SET v = 9 WHERE id = 1")
			if err := tx.Commit(); err != nil {
				t.Error(err)
			}
			if got := dbtest.Get[int](t, db, "SELECT v FROM t WHERE id = 1"); got != 9 {
				t.Errorf("v = %d, want 9", got)
			}
			if err := immudb.RunTx(context.Background(), db, nil, func(tx *sql.Tx) error {
				_, err := tx.Exec("DELETE FROM t WHERE id = 2")
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// The server commits before it deletes the indexes of dropped tables. If the deletion
// fails, it reports that the commit has failed.
func TestCommitThatFailsAfterTheCommitIsUnknown(t *testing.T) {
	db := dbtest.Open(t)
	tx := dbtest.Begin(t, db, nil)
	dbtest.Exec(t, tx, "CREATE TABLE kept (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, tx, "CREATE TABLE gone (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, tx, "DROP TABLE gone")
	if err := tx.Commit(); !errors.Is(err, immudb.ErrOutcomeUnknown) {
		t.Errorf("err = %v, want ErrOutcomeUnknown", err)
	}
	dbtest.Exec(t, db, "INSERT INTO kept (id) VALUES (1)")
}
