package immudb_test

import (
	"database/sql"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestCommitKeepsAndRollbackUndoes(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	tx := dbtest.Begin(t, db, nil)
	dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (1)")
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 0 {
		t.Errorf("others see %d rows before the commit", got)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	tx = dbtest.Begin(t, db, nil)
	dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (2)")
	dbtest.Exec(t, tx, "CREATE TABLE u (id INTEGER, PRIMARY KEY id)")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := dbtest.List[int](t, db, "SELECT id FROM t"); !reflect.DeepEqual(got, []int{1}) {
		t.Errorf("rows %v, want [1]", got)
	}
	if _, err := db.Query("SELECT id FROM u"); !errors.Is(err, immudb.ErrNoSuchTable) {
		t.Errorf("table of a rolled back transaction: %v", err)
	}
}

func TestReadOnlyTransactionDoesNotWrite(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	tx := dbtest.Begin(t, db, &sql.TxOptions{ReadOnly: true})
	if _, err := tx.Exec("INSERT INTO t (id) VALUES (1)"); !errors.Is(err, immudb.ErrReadOnly) {
		t.Errorf("err = %v, want ErrReadOnly", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	tx = dbtest.Begin(t, db, &sql.TxOptions{ReadOnly: true})
	if got := dbtest.Get[int](t, tx, "SELECT COUNT(*) FROM t"); got != 0 {
		t.Errorf("%d rows", got)
	}
	if err := tx.Commit(); err != nil {
		t.Errorf("committing a read-only transaction: %v", err)
	}
}

func TestEachLevelUpToSerializableIsTheServersOwn(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY (id))")
	for level := sql.LevelDefault; level <= sql.LevelSerializable; level++ {
		dbtest.Exec(t, db, "UPSERT INTO t (id, v) VALUES (1, 0)")
		tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
		if err != nil {
			t.Errorf("%s: %v", level, err)
			continue
		}
		before := dbtest.Get[int](t, tx, "SELECT v FROM t WHERE id = 1")
		dbtest.Exec(t, db, "UPDATE t SET v = 7 WHERE id = 1")
		if v := dbtest.Get[int](t, tx, "SELECT v FROM t WHERE id = 1"); v != before {
			t.Errorf("%s: a row reads %d, and then %d", level, before, v)
		}
		dbtest.Exec(t, tx, "UPSERT INTO t (id, v) VALUES (2, 0)")
		if err := tx.Commit(); !errors.Is(err, immudb.ErrConflict) {
			t.Errorf("%s: Commit = %v, want ErrConflict", level, err)
		}
	}
	for _, level := range []sql.IsolationLevel{sql.LevelLinearizable, 99} {
		if _, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level}); !errors.Is(err, immudb.ErrUnsupported) || !strings.Contains(err.Error(), level.String()) {
			t.Errorf("%s: err = %v, want ErrUnsupported naming the level", level, err)
		}
	}
}

func TestFailedWriteAbortsTheTransaction(t *testing.T) {
	for _, row := range []struct {
		reason string
		fail   func(tx *sql.Tx) error
	}{
		{"an Exec of one row", func(tx *sql.Tx) error { _, err := tx.Exec("INSERT INTO t (id) VALUES (1)"); return err }},
		{"an Exec whose first row went well", func(tx *sql.Tx) error { _, err := tx.Exec("INSERT INTO t (id) VALUES (9), (1)"); return err }},
		{"a Query with RETURNING", func(tx *sql.Tx) error {
			_, err := tx.Query("INSERT INTO t (id) VALUES (9), (1) RETURNING id")
			return err
		}},
		{"the second statement of a text", func(tx *sql.Tx) error {
			_, err := tx.Exec("INSERT INTO t (id) VALUES (9); INSERT INTO t (id) VALUES (1)")
			return err
		}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			db := dbtest.Open(t)
			dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
			dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
			tx := dbtest.Begin(t, db, nil)
			dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (2)")
			if err := row.fail(tx); !errors.Is(err, immudb.ErrDuplicateKey) {
				t.Fatalf("err = %v, want ErrDuplicateKey", err)
			}
			_, err := tx.Exec("INSERT INTO t (id) VALUES (3)")
			if !errors.Is(err, immudb.ErrTxAborted) || !errors.Is(err, immudb.ErrDuplicateKey) {
				t.Errorf("next statement: %v, want ErrTxAborted that wraps the first error", err)
			}
			if err := tx.Commit(); !errors.Is(err, immudb.ErrTxAborted) || !errors.Is(err, immudb.ErrDuplicateKey) {
				t.Errorf("Commit: %v, want ErrTxAborted that wraps the first error", err)
			}
			if got := dbtest.List[int](t, db, "SELECT id FROM t"); !reflect.DeepEqual(got, []int{1}) {
				t.Errorf("rows %v, want [1]", got)
			}
		})
	}
}

func TestRollbackAfterAFailedWriteReturnsNil(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER NOT NULL, PRIMARY KEY id)")
	tx := dbtest.Begin(t, db, nil)
	if _, err := tx.Exec("INSERT INTO nosuch (id) VALUES (1)"); !errors.Is(err, immudb.ErrNoSuchTable) {
		t.Fatalf("err = %v, want ErrNoSuchTable", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Errorf("Rollback: %v", err)
	}
	if err := db.Ping(); err != nil {
		t.Errorf("the connection is of no use any more: %v", err)
	}
}

// The server does not end a transaction when it refuses a query in it.
func TestRefusedQueryLeavesTheTransactionAsItWas(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	tx := dbtest.Begin(t, db, nil)
	dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (1)")
	if _, err := tx.Query("SELECT nosuch FROM t"); !errors.Is(err, immudb.ErrNoSuchColumn) {
		t.Fatalf("err = %v, want ErrNoSuchColumn", err)
	}
	dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (2)")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 2 {
		t.Errorf("%d rows, want 2", got)
	}
}

// It does not end it either if the query fails after some rows.
func TestQueryThatFailsBetweenItsRowsLeavesTheTransactionAsItWas(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Fill(t, db, 3000, []byte("x"))
	dbtest.Exec(t, db, "CREATE TABLE u (id INTEGER, PRIMARY KEY id)")
	tx := dbtest.Begin(t, db, nil)
	dbtest.Exec(t, tx, "INSERT INTO u (id) VALUES (1)")
	rows, err := tx.Query("SELECT 100 / (2500 - id) FROM t ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := dbtest.Drain[int64](rows); len(got) == 0 || !errors.Is(err, immudb.ErrInvalidValue) {
		t.Fatalf("%d rows and err = %v, want the division by zero in row 2500", len(got), err)
	}
	dbtest.Exec(t, tx, "INSERT INTO u (id) VALUES (2)")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM u"); got != 2 {
		t.Errorf("%d rows, want 2", got)
	}
}

func TestConflictingCommitFails(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id, v) VALUES (1, 0)")
	tx := dbtest.Begin(t, db, nil)
	v := dbtest.Get[int](t, tx, "SELECT v FROM t WHERE id = 1")
	dbtest.Exec(t, db, "UPDATE t SET v = 10 WHERE id = 1")
	dbtest.Exec(t, tx, "UPDATE t SET v = ? WHERE id = 1", v+1)
	err := tx.Commit()
	var e *immudb.Error
	if !errors.Is(err, immudb.ErrConflict) || !errors.As(err, &e) || !e.Retryable() || e.SQLState != "40001" {
		t.Errorf("Commit: %v, want a retryable ErrConflict", err)
	}
	if got := dbtest.Get[int](t, db, "SELECT v FROM t"); got != 10 {
		t.Errorf("v = %d, want 10", got)
	}
}

func TestStatementsMayRunWhileRowsAreOpenInATransaction(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Fill(t, db, 5000, []byte("x"))
	tx := dbtest.Begin(t, db, nil)
	rows, err := tx.Query("SELECT id FROM t")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		if n++; n%2500 == 1 {
			dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (?)", 10000+n)
		}
	}
	if err := rows.Err(); err != nil || n != 5000 {
		t.Errorf("%d rows (%v), want the 5000 of before the inserts", n, err)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 5002 {
		t.Errorf("%d rows, want 5002", got)
	}
}

func TestTransactionSeesOneSnapshot(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	tx := dbtest.Begin(t, db, &sql.TxOptions{ReadOnly: true})
	before := dbtest.Get[int](t, tx, "SELECT COUNT(*) FROM t")
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
	if after := dbtest.Get[int](t, tx, "SELECT COUNT(*) FROM t"); after != before {
		t.Errorf("the transaction saw %d rows, then %d", before, after)
	}
}

func TestTxOptionsReachTheServer(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	var commit immudb.CommitInfo
	if _, err := db.ExecContext(immudb.WithCommitInfo(t.Context(), &commit), "INSERT INTO t (id) VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	ctx := immudb.WithTxOptions(t.Context(), immudb.TxOptions{SnapshotMustIncludeTx: commit.TxID})
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := dbtest.Get[int](t, tx, "SELECT COUNT(*) FROM t"); got != 1 {
		t.Errorf("%d rows, want the one of transaction %d", got, commit.TxID)
	}
	tx.Rollback()

	ctx = immudb.WithTxOptions(t.Context(), immudb.TxOptions{UnsafeMVCC: true, SnapshotRenewalPeriod: time.Second})
	if tx, err = db.BeginTx(ctx, nil); err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (3)")
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
}

func TestCommitInfoTellsTheTransaction(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
	var first, second, third, none immudb.CommitInfo
	if _, err := db.ExecContext(immudb.WithCommitInfo(t.Context(), &first), "INSERT INTO t (id, v) VALUES (1, 1)"); err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(immudb.WithCommitInfo(t.Context(), &second), nil)
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, tx, "UPDATE t SET v = 2 WHERE id = 1")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(immudb.WithCommitInfo(t.Context(), &third), "UPDATE t SET v = 3 WHERE id = 1 RETURNING v")
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
	if _, err := db.ExecContext(immudb.WithCommitInfo(t.Context(), &none), "UPDATE t SET v = 3 WHERE id = 77"); err != nil {
		t.Fatal(err)
	}
	if !(0 < first.TxID && first.TxID < second.TxID && second.TxID < third.TxID) || third.Time.IsZero() {
		t.Errorf("transactions %+v, %+v, %+v", first, second, third)
	}
	if none.TxID != 0 {
		t.Errorf("a statement that wrote nothing committed as %d", none.TxID)
	}
	if got := dbtest.Get[int](t, db, "SELECT v FROM t UNTIL TX "+strconv.FormatUint(second.TxID, 10)); got != 2 {
		t.Errorf("v was %d in transaction %d, want 2", got, second.TxID)
	}
}
