package immudb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// savepointTable opens a database with a table t (id, v) with rows 1 and 2.
func savepointTable(t *testing.T, options ...string) *sql.DB {
	t.Helper()
	db := dbtest.Open(t, options...)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (v) VALUES (10), (20)")
	return db
}

func sqlState(err error) string {
	var e *immudb.Error
	if errors.As(err, &e) {
		return e.SQLState
	}
	return ""
}

// Each script runs in a transaction. A statement is followed by => and the SQLSTATE that it must fail with, if it must.
func TestSavepointsDoWhatTheyDoInPostgreSQL(t *testing.T) {
	methods := []string{"Exec", "Query", "prepared"}
	for i, row := range []struct {
		name   string
		script []string
		want   []string // id:v of the rows afterwards
	}{
		{"what came after the savepoint is undone", []string{"INSERT INTO t (v) VALUES (30)", "SAVEPOINT a", "INSERT INTO t (v) VALUES (40)", "ROLLBACK TO a"}, []string{"1:10", "2:20", "3:30"}},
		{"every kind of write is undone", []string{"SAVEPOINT a", "UPDATE t SET v = 0 WHERE id = 1", "DELETE FROM t WHERE id = 2", "UPSERT INTO t (id, v) VALUES (1, 5)",
			"CREATE TABLE u (id INTEGER, PRIMARY KEY id)", "INSERT INTO u (id) VALUES (1)", "ROLLBACK TO a", "SELECT id FROM u => 42P01"}, []string{"1:10", "2:20"}},
		{"a table made before stays", []string{"CREATE TABLE u (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)", "SAVEPOINT a", "INSERT INTO u (v) VALUES (1)", "ROLLBACK TO a",
			"INSERT INTO u (v) VALUES (7)", "UPDATE t SET v = 7 WHERE id = 1"}, []string{"1:7", "2:20"}},
		{"the savepoint stays after a return to it", []string{"SAVEPOINT a", "INSERT INTO t (v) VALUES (30)", "ROLLBACK TO SAVEPOINT a", "INSERT INTO t (v) VALUES (40)", "ROLLBACK TO a", "INSERT INTO t (v) VALUES (50)"},
			[]string{"1:10", "2:20", "3:50"}},
		{"a return to an outer savepoint destroys the inner one", []string{"SAVEPOINT a", "SAVEPOINT b", "INSERT INTO t (v) VALUES (30)", "ROLLBACK TO a", "ROLLBACK TO b => 3B001", "SELECT 1 => 25P02", "ROLLBACK TO a"}, []string{"1:10", "2:20"}},
		{"RELEASE destroys the savepoint and those after it", []string{"SAVEPOINT a", "SAVEPOINT b", "SAVEPOINT c", "RELEASE SAVEPOINT b", "ROLLBACK TO c => 3B001", "ROLLBACK TO b => 3B001", "ROLLBACK TO a"}, []string{"1:10", "2:20"}},
		{"RELEASE keeps what was done", []string{"SAVEPOINT a", "INSERT INTO t (v) VALUES (30)", "RELEASE a"}, []string{"1:10", "2:20", "3:30"}},
		{"names hide names", []string{"SAVEPOINT a", "INSERT INTO t (v) VALUES (30)", "SAVEPOINT a", "INSERT INTO t (v) VALUES (40)", "ROLLBACK TO a", "RELEASE a", "ROLLBACK TO a", "INSERT INTO t (v) VALUES (50)"},
			[]string{"1:10", "2:20", "3:50"}},
		{"case does not count", []string{"SAVEPOINT Abc", "DELETE FROM t WHERE id = 1", `rollback to savepoint "ABC"`}, []string{"1:10", "2:20"}},
		{"a statement that fails can be returned from", []string{"INSERT INTO t (v) VALUES (30)", "SAVEPOINT a", "INSERT INTO t (id, v) VALUES (1, 1) => 23505", "SELECT 1 => 25P02", "SAVEPOINT b => 25P02",
			"RELEASE a => 25P02", "ROLLBACK TO a", "UPDATE t SET v = 11 WHERE id = 1"}, []string{"1:11", "2:20", "3:30"}},
		{"an unknown savepoint aborts", []string{"SAVEPOINT a", "INSERT INTO t (v) VALUES (30)", "ROLLBACK TO b => 3B001", "INSERT INTO t (v) VALUES (30) => 25P02", "ROLLBACK TO a"}, []string{"1:10", "2:20"}},
		{"a query that failed before is no obstacle", []string{"SELECT 1/0 FROM t => 22012", "SAVEPOINT a", "INSERT INTO t (v) VALUES (30)", "ROLLBACK TO a"}, []string{"1:10", "2:20"}},
		{"reads alone are no work", []string{"SAVEPOINT a", "SELECT v FROM t", "ROLLBACK TO a", "INSERT INTO t (v) VALUES (30)"}, []string{"1:10", "2:20", "3:30"}},
		{"one text of several statements", []string{"INSERT INTO t (v) VALUES (30); SAVEPOINT a; INSERT INTO t (v) VALUES (40); SELECT v FROM t; ROLLBACK TO a; INSERT INTO t (v) VALUES (50)"},
			[]string{"1:10", "2:20", "3:30", "4:50"}},
		{"own writes are seen as they are after a return", []string{"UPDATE t SET v = 1 WHERE id = 1", "SAVEPOINT a", "UPDATE t SET v = 2 WHERE v = 1", "ROLLBACK TO a", "UPDATE t SET v = 3 WHERE v = 1"}, []string{"1:3", "2:20"}},
	} {
		for round := range testserver.Rounds(t, 1, len(methods)) {
			method := methods[(i+round)%len(methods)]
			t.Run(row.name+", "+method, func(t *testing.T) {
				db := savepointTable(t)
				tx := dbtest.Begin(t, db, nil)
				for _, line := range row.script {
					text, want, _ := strings.Cut(line, " => ")
					if err := runBy(tx, method, text); sqlState(err) != want || (want == "") != (err == nil) {
						t.Fatalf("%s: %v, want SQLSTATE %q", text, err, want)
					}
				}
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
				if got := dbtest.List[string](t, db, "SELECT CONCAT(CAST(id AS VARCHAR), ':', CAST(v AS VARCHAR)) FROM t ORDER BY id"); !slices.Equal(got, row.want) {
					t.Errorf("rows %q, want %q", got, row.want)
				}
			})
		}
	}
}

func runBy(tx *sql.Tx, method, text string) error {
	switch method {
	case "Exec":
		_, err := tx.Exec(text)
		return err
	case "prepared":
		st, err := tx.Prepare(text)
		if err != nil {
			return err
		}
		defer st.Close()
		_, err = st.Exec()
		return err
	}
	rows, err := tx.Query(text)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

func TestSavepointOutsideATransaction(t *testing.T) {
	db := savepointTable(t)
	for _, text := range []string{"SAVEPOINT a", "ROLLBACK TO a", "RELEASE a", "INSERT INTO t (v) VALUES (1); SAVEPOINT a"} {
		if _, err := db.Exec(text); sqlState(err) != "25P01" {
			t.Errorf("%s: %v, want SQLSTATE 25P01", text, err)
		}
		if _, err := db.Query(text); sqlState(err) != "25P01" {
			t.Errorf("Query %s: %v, want SQLSTATE 25P01", text, err)
		}
	}
	res, err := db.Exec("BEGIN; INSERT INTO t (v) VALUES (?); SAVEPOINT a; INSERT INTO t (v) VALUES (?); ROLLBACK TO a; INSERT INTO t (v) VALUES (?); COMMIT", 30, 40, 50)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := res.LastInsertId(); id != 4 || err != nil {
		t.Errorf("last id %d, %v, want 4", id, err)
	}
	if got := dbtest.List[int](t, db, "SELECT v FROM t ORDER BY id"); !slices.Equal(got, []int{10, 20, 30, 50}) {
		t.Errorf("rows %v", got)
	}
	if _, err := db.Exec("BEGIN; SAVEPOINT a; DELETE FROM t WHERE v = @old; RELEASE a; UPDATE t SET v = @new WHERE v = 30; ROLLBACK",
		sql.Named("old", 10), sql.Named("new", 31)); err != nil {
		t.Fatal(err)
	}
	if got := dbtest.List[int](t, db, "SELECT v FROM t ORDER BY id"); !slices.Equal(got, []int{10, 20, 30, 50}) {
		t.Errorf("rows %v after BEGIN … ROLLBACK", got)
	}
}

// ROLLBACK TO is a conflict if another client has committed a change of rows that the transaction has read, by any
// statement before or after the savepoint. Otherwise it succeeds.
func TestRollbackToSavepointConflictsIfRowsReadHaveChanged(t *testing.T) {
	for _, row := range []struct {
		name     string
		before   []string // the savepoint
		after    []string // the savepoint
		other    string
		conflict bool
	}{
		{"a row read before the savepoint", []string{"SELECT v FROM t WHERE id = 1"}, []string{"INSERT INTO t (v) VALUES (1)"}, "UPDATE t SET v = 11 WHERE id = 1", true},
		{"a row read after the savepoint", nil, []string{"SELECT v FROM t WHERE id = 1", "INSERT INTO t (v) VALUES (1)"}, "UPDATE t SET v = 11 WHERE id = 1", true},
		{"a row read after a write that is undone", nil, []string{"INSERT INTO u (id) VALUES (1)", "SELECT v FROM t WHERE id = 1"}, "UPDATE t SET v = 11 WHERE id = 1", true},
		{"a row read through a write that is undone", nil, []string{"UPDATE t SET v = v + 1 WHERE id = 1", "SELECT v FROM t WHERE id = 1"}, "UPDATE t SET v = 11 WHERE id = 1", true},
		{"the count of an undone UPDATE", nil, []string{"UPDATE t SET v = 0 WHERE v = 10"}, "UPDATE t SET v = 11 WHERE id = 1", true},
		{"a generated key", []string{"INSERT INTO t (v) VALUES (1)"}, []string{"INSERT INTO u (id) VALUES (1)"}, "INSERT INTO t (v) VALUES (2)", true},
		{"generated keys of many rows", []string{"INSERT INTO t (v) VALUES (1), (2)"}, []string{"INSERT INTO u (id) VALUES (1)"}, "INSERT INTO t (v) VALUES (2)", true},
		{"another row", []string{"SELECT v FROM t WHERE id = 1"}, []string{"INSERT INTO u (id) VALUES (1)", "SELECT v FROM t WHERE id = 1"}, "UPDATE t SET v = 21 WHERE id = 2", false},
		{"another table", []string{"SELECT v FROM t", "INSERT INTO t (v) VALUES (1)"}, []string{"UPDATE t SET v = 5 WHERE id = 1"}, "INSERT INTO u (id) VALUES (9)", false},
		{"a key that an undone INSERT was given", nil, []string{"INSERT INTO t (v) VALUES (1)"}, "INSERT INTO t (v) VALUES (2)", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			db := savepointTable(t)
			dbtest.Exec(t, db, "CREATE TABLE u (id INTEGER, PRIMARY KEY id)")
			tx := dbtest.Begin(t, db, nil)
			for _, text := range row.before {
				dbtest.Exec(t, tx, text)
			}
			dbtest.Exec(t, tx, "SAVEPOINT a")
			for _, text := range row.after {
				dbtest.Exec(t, tx, text)
			}
			dbtest.Exec(t, db, row.other)
			_, err := tx.Exec("ROLLBACK TO a")
			if !row.conflict {
				if err != nil {
					t.Fatal(err)
				}
				dbtest.Exec(t, tx, "INSERT INTO u (id) VALUES (77)")
				if err := tx.Commit(); err != nil {
					t.Error(err)
				}
				return
			}
			var e *immudb.Error
			if !errors.Is(err, immudb.ErrConflict) || !errors.As(err, &e) || !e.Retryable() {
				t.Fatalf("err = %v, want a retryable ErrConflict", err)
			}
			if _, err := tx.Exec("ROLLBACK TO a"); !errors.Is(err, immudb.ErrTxAborted) {
				t.Errorf("after the conflict: %v, want ErrTxAborted", err)
			}
			if err := tx.Commit(); !errors.Is(err, immudb.ErrTxAborted) {
				t.Errorf("Commit: %v, want ErrTxAborted", err)
			}
			if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM u"); n != 0 {
				t.Errorf("%d rows were committed", n)
			}
		})
	}
}

// A read that ROLLBACK TO has repeated still makes the commit fail if its rows change.
func TestReadBeforeASavepointConflictsAtTheCommit(t *testing.T) {
	for _, read := range []string{"before", "after"} {
		db := savepointTable(t)
		dbtest.Exec(t, db, "CREATE TABLE u (id INTEGER, PRIMARY KEY id)")
		tx := dbtest.Begin(t, db, nil)
		if read == "before" {
			dbtest.Exec(t, tx, "SELECT v FROM t WHERE id = 1")
		}
		dbtest.Exec(t, tx, "SAVEPOINT a")
		if read == "after" {
			dbtest.Exec(t, tx, "SELECT v FROM t WHERE id = 1")
		}
		dbtest.Exec(t, tx, "INSERT INTO u (id) VALUES (1)")
		dbtest.Exec(t, tx, "ROLLBACK TO a")
		dbtest.Exec(t, tx, "INSERT INTO u (id) VALUES (2)")
		dbtest.Exec(t, db, "UPDATE t SET v = 11 WHERE id = 1")
		if err := tx.Commit(); !errors.Is(err, immudb.ErrConflict) {
			t.Errorf("read %s the savepoint: %v, want ErrConflict", read, err)
		}
	}
}

func TestRunTxRunsAgainAfterAConflictAtASavepoint(t *testing.T) {
	db := savepointTable(t)
	tries := 0
	err := immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error {
		tries++
		v := dbtest.Get[int](t, tx, "SELECT v FROM t WHERE id = 1")
		dbtest.Exec(t, tx, "SAVEPOINT a")
		dbtest.Exec(t, tx, "DELETE FROM t WHERE id = 2")
		if tries == 1 {
			dbtest.Exec(t, db, "UPDATE t SET v = 11 WHERE id = 1")
		}
		if _, err := tx.Exec("ROLLBACK TO a"); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE t SET v = ? WHERE id = 1", v+1)
		return err
	})
	if v := dbtest.Get[int](t, db, "SELECT v FROM t WHERE id = 1"); err != nil || tries != 2 || v != 12 {
		t.Errorf("err %v after %d tries, v = %d, want 12", err, tries, v)
	}
}

func TestRowsBeingReadAtAReturnToASavepoint(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, pad VARCHAR, PRIMARY KEY id)")
	for from := 0; from < 6000; from += 1000 {
		var values []string
		for i := range 1000 {
			values = append(values, fmt.Sprintf("(%d, '%s')", from+i, strings.Repeat("x", 300)))
		}
		dbtest.Exec(t, db, "INSERT INTO t (id, pad) VALUES "+strings.Join(values, ","))
	}
	tx := dbtest.Begin(t, db, nil)
	before, err := tx.Query("SELECT id, pad FROM t")
	if err != nil || !before.Next() {
		t.Fatal(err)
	}
	dbtest.Exec(t, tx, "SAVEPOINT a")
	after, err := tx.Query("SELECT id, pad FROM t")
	if err != nil || !after.Next() {
		t.Fatal(err)
	}
	if _, err := tx.Exec("INSERT INTO t (id, pad) VALUES (1, '')"); !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Fatal(err)
	}
	late := 0
	dbtest.Exec(t, tx, "ROLLBACK TO a")
	undone, err := tx.Query("SELECT id, pad FROM t")
	if err != nil || !undone.Next() {
		t.Fatal(err)
	}
	dbtest.Exec(t, tx, "UPDATE t SET pad = 'y' WHERE id = 5999")
	for n := range 3 {
		rows := []*sql.Rows{before, after, undone}[n]
		for late = 1; rows.Next(); late++ {
		}
		if rows.Err() != nil || late != 6000 {
			t.Errorf("rows %d: %d, %v", n, late, rows.Err())
		}
		rows.Close()
	}
	third, err := tx.Query("SELECT id, pad FROM t")
	if err != nil || !third.Next() {
		t.Fatal(err)
	}
	dbtest.Exec(t, tx, "ROLLBACK TO a")
	for late = 1; third.Next(); late++ {
	}
	if sqlState(third.Err()) != "24000" {
		t.Errorf("rows of an undone query: %d and %v, want an error with SQLSTATE 24000", late, third.Err())
	}
	third.Close()
	dbtest.Exec(t, tx, "INSERT INTO t (id, pad) VALUES (6000, '')")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t WHERE pad = 'y' OR id = 6000"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestSavepointMemoryIsBounded(t *testing.T) {
	pad := strings.Repeat("x", 300_000)
	long := func(tx *sql.Tx) {
		for range 4 {
			dbtest.Exec(t, tx, "UPSERT INTO t (id, v) VALUES (1, LENGTH(?))", pad)
		}
	}
	db := savepointTable(t, "savepoint_memory=1")
	tx := dbtest.Begin(t, db, nil)
	long(tx)
	if err := tx.Commit(); err != nil {
		t.Fatalf("without a savepoint: %v", err)
	}
	tx = dbtest.Begin(t, db, nil)
	long(tx)
	if _, err := tx.Exec("SAVEPOINT a"); sqlState(err) != "54000" || !strings.Contains(err.Error(), "savepoint_memory") {
		t.Errorf("SAVEPOINT in a long transaction: %v", err)
	}
	tx = dbtest.Begin(t, db, nil)
	dbtest.Exec(t, tx, "SAVEPOINT a")
	long(tx)
	if _, err := tx.Exec("ROLLBACK TO a"); sqlState(err) != "54000" {
		t.Errorf("ROLLBACK TO in a long transaction: %v", err)
	}
	if err := tx.Commit(); !errors.Is(err, immudb.ErrTxAborted) {
		t.Errorf("Commit of what was to be undone: %v", err)
	}
	off := savepointTable(t, "savepoint_memory=0")
	tx = dbtest.Begin(t, off, nil)
	if _, err := tx.Exec("SAVEPOINT a"); !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("savepoint_memory=0: %v", err)
	}
	dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (1)")
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
}

func TestReadOnlyTransactionReturnsToASavepoint(t *testing.T) {
	db := savepointTable(t)
	tx := dbtest.Begin(t, db, &sql.TxOptions{ReadOnly: true})
	dbtest.Exec(t, tx, "SELECT v FROM t")
	dbtest.Exec(t, tx, "SAVEPOINT a")
	if _, err := tx.Exec("INSERT INTO t (id, v) VALUES (7, 1)"); err == nil {
		t.Fatal("a read-only transaction has written")
	}
	dbtest.Exec(t, tx, "ROLLBACK TO a")
	if n := dbtest.Get[int](t, tx, "SELECT COUNT(*) FROM t"); n != 2 {
		t.Errorf("%d rows", n)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
}

func TestCommitAfterAReturnToASavepointIsProvenAndDescribed(t *testing.T) {
	db := savepointTable(t, "verify=trust-first-use,commits")
	for _, keep := range []bool{true, false} {
		var info immudb.CommitInfo
		tx, err := db.BeginTx(immudb.WithCommitInfo(context.Background(), &info), nil)
		if err != nil {
			t.Fatal(err)
		}
		if keep {
			dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (30)")
		}
		dbtest.Exec(t, tx, "SAVEPOINT a")
		dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (40)")
		dbtest.Exec(t, tx, "ROLLBACK TO a")
		if err := tx.Commit(); err != nil || (info.TxID > 0) != keep {
			t.Errorf("keep %v: err %v, transaction %d", keep, err, info.TxID)
		}
	}
}
