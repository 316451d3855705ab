package traptest

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// The server accepts each of these statements and does something else. The driver makes
// them work or refuses them.

func TestReturningInExecWritesAndCounts(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	for _, query := range []string{
		"INSERT INTO t (v) VALUES (1), (2) RETURNING id",
		"UPDATE t SET v = v + 1 WHERE id <= 2 RETURNING id, v",
		"UPSERT INTO t (id, v) VALUES (1, 7), (2, 8) RETURNING *",
		"DELETE FROM t WHERE id <= 2 RETURNING id",
	} {
		if n, err := dbtest.Exec(t, db, query).RowsAffected(); n != 2 || err != nil {
			t.Errorf("%s: %d rows (%v), want 2", query, n, err)
		}
	}
}

func TestReturningInQueryCommitsBeforeTheFirstRow(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	for _, row := range []struct {
		query string
		want  []int
	}{
		{"INSERT INTO t (v) VALUES (10), (20) RETURNING id", []int{1, 2}},
		{"UPDATE t SET v = v + 1 WHERE id = 2 RETURNING v", []int{21}},
		{"UPSERT INTO t (id, v) VALUES (2, 30) RETURNING v", []int{30}},
		{"DELETE FROM t WHERE id = 1 RETURNING id", []int{1}},
	} {
		rows, err := db.Query(row.query)
		if err != nil {
			t.Fatalf("%s: %v", row.query, err)
		}
		committed := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t WHERE v = 20 OR id = 2") // while rows are open
		if committed == 0 {
			t.Errorf("%s: rows are handed out before the commit", row.query)
		}
		var got []int
		for rows.Next() {
			var v int
			if err := rows.Scan(&v); err != nil {
				t.Fatal(err)
			}
			got = append(got, v)
		}
		if !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: %v, want %v", row.query, got, row.want)
		}
	}
}

func TestReturningInATransactionGivesTheRowsWritten(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	tx := dbtest.Begin(t, db, nil)
	if got := dbtest.List[int](t, tx, "INSERT INTO t (v) VALUES (1), (2) RETURNING id"); !reflect.DeepEqual(got, []int{1, 2}) {
		t.Errorf("got %v", got)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 2 {
		t.Errorf("%d rows", got)
	}
}

func TestReturningWhatTheServerAnswersWithNullIsRefusedByName(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY id)")
	tx := dbtest.Begin(t, db, nil)
	for _, row := range []struct {
		reason, item string
		kind         error
	}{
		{"an alias", "n AS k", immudb.ErrUnsupported},
		{"an alias that is another column, which the server would answer", "n AS id", immudb.ErrUnsupported},
		{"an expression", "n+1", immudb.ErrUnsupported},
	} {
		t.Run(row.reason, func(t *testing.T) {
			query := "INSERT INTO t (id, n) VALUES (1, 2) RETURNING id, " + row.item
			_, err := db.Query(query)
			if !errors.Is(err, row.kind) || !strings.Contains(err.Error(), row.item) {
				t.Errorf("Query: %v, want %v naming %q", err, row.kind, row.item)
			}
			if _, err := db.Exec(query); !errors.Is(err, row.kind) {
				t.Errorf("Exec: %v, want %v", err, row.kind)
			}
			if _, err := tx.Query(query); !errors.Is(err, row.kind) {
				t.Errorf("Query in a transaction: %v, want %v", err, row.kind)
			}
		})
	}
	dbtest.Exec(t, tx, "INSERT INTO t (id, n) VALUES (1, 2)") // nothing was sent, so the transaction goes on
}

func TestWriteThatReturnsAColumnThatDoesNotExistIsUndone(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY id)")
	const query = "INSERT INTO t (id, n) VALUES (1, 2) RETURNING id, nosuch"
	expect := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, immudb.ErrNoSuchColumn) || !strings.Contains(err.Error(), "nosuch") {
			t.Errorf("%s: %v, want ErrNoSuchColumn naming nosuch", what, err)
		}
	}
	_, err := db.Query(query)
	expect("Query", err)
	_, err = db.Exec(query)
	expect("Exec", err)
	tx := dbtest.Begin(t, db, nil)
	dbtest.Exec(t, tx, "INSERT INTO t (id, n) VALUES (2, 2)")
	_, err = tx.Query(query)
	expect("Query in a transaction", err)
	if err := tx.Commit(); !errors.Is(err, immudb.ErrTxAborted) {
		t.Errorf("Commit: %v, want ErrTxAborted", err)
	}
	if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); n != 0 {
		t.Errorf("%d rows are there, want none", n)
	}
}

func TestSkippedInsertHasNoLastInsertId(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (v) VALUES (1)")
	tx := dbtest.Begin(t, db, nil)
	for _, on := range []struct {
		where string
		dbtest.Execer
	}{{"outside a transaction", db}, {"in a transaction", tx}} {
		res := dbtest.Exec(t, on, "INSERT INTO t (id, v) VALUES (1, 2) ON CONFLICT DO NOTHING")
		if n, err := res.RowsAffected(); n != 0 || err != nil {
			t.Errorf("%s: %d rows (%v), want 0", on.where, n, err)
		}
		if id, err := res.LastInsertId(); err == nil {
			t.Errorf("%s: LastInsertId = %d, want an error", on.where, id)
		}
	}
}

func TestOnConflictDoUpdateChangesTheRow(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id, v) VALUES (1, 1)")
	res := dbtest.Exec(t, db, "INSERT INTO t (id, v) VALUES (1, 9) ON CONFLICT DO UPDATE SET v = 5")
	if n, err := res.RowsAffected(); n != 1 || err != nil {
		t.Errorf("%d rows (%v), want 1", n, err)
	}
	if got := dbtest.Get[int](t, db, "SELECT v FROM t"); got != 5 {
		t.Errorf("v = %d, want 5", got)
	}
	if _, err := db.Exec("INSERT INTO t (id, v) VALUES (1, 9) ON CONFLICT (id) DO NOTHING"); !errors.Is(err, immudb.ErrSyntax) {
		t.Errorf("ON CONFLICT with a column: %v, want ErrSyntax", err)
	}

	// On a table with a unique index the server fails even where only the
	// primary key clashes.
	dbtest.Exec(t, db, "CREATE TABLE u (id INTEGER, v VARCHAR[9], PRIMARY KEY id); CREATE UNIQUE INDEX ON u(v)")
	dbtest.Exec(t, db, "INSERT INTO u (id, v) VALUES (1, 'a')")
	for _, values := range []string{"(1, 'b')", "(2, 'a')"} {
		if _, err := db.Exec("INSERT INTO u (id, v) VALUES " + values + " ON CONFLICT DO UPDATE SET id = id"); !errors.Is(err, immudb.ErrDuplicateKey) {
			t.Errorf("%s: %v, want ErrDuplicateKey", values, err)
		}
	}
}

func TestStatementsThatWouldLieAreRefused(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	for _, row := range []struct {
		query  string
		inTx   bool
		outTx  bool
		says   string
		reason string
	}{
		{"ALTER TABLE t ALTER COLUMN v SET NOT NULL", true, true, "ALTER COLUMN", "changes nothing"},
		{"BEGIN TRANSACTION", true, true, "BeginTx", "the transaction would be thrown away with the answer"},
		{"COMMIT", true, true, "BeginTx", "sql.Tx would not know"},
		{"ROLLBACK", true, true, "BeginTx", "sql.Tx would not know"},
		{"BEGIN; INSERT INTO t (v) VALUES (1); COMMIT; INSERT INTO t (v) VALUES (1)", true, true, "BeginTx", "a part would be committed even if the rest fails"},
		{"INSERT INTO t (v) VALUES (1); BEGIN", true, true, "BeginTx", "an error would be answered and the row committed"},
		{"CREATE TABLE u (id INTEGER, PRIMARY KEY id); CREATE DATABASE x", true, true, "only statement", "it is not part of a transaction"},
		{"BEGIN; INSERT INTO t (v) VALUES (1); COMMIT", true, false, "nest", "transactions do not nest"},
		{"USE defaultdb", true, false, "USE", "it moves the session, not the transaction"},
		{"CREATE DATABASE x", true, false, "CREATE DATABASE", "it would throw the transaction away"},
		{"INSERT INTO t (v) SELECT v FROM t", true, false, "crash", "after a write to t the server panics"},
		{"INSERT INTO t (v) VALUES (1); INSERT INTO t (v) SELECT v FROM t", true, true, "crash", "the server panics"},
	} {
		t.Run(row.query, func(t *testing.T) {
			tx := dbtest.Begin(t, db, nil)
			for _, on := range []struct {
				refused bool
				dbtest.Execer
			}{{row.outTx, db}, {row.inTx, tx}} {
				if !on.refused {
					continue
				}
				_, err := on.ExecContext(context.Background(), row.query)
				if !errors.Is(err, immudb.ErrUnsupported) || !strings.Contains(err.Error(), row.says) {
					t.Errorf("%v, want ErrUnsupported saying %q, because %s", err, row.says, row.reason)
				}
			}
			dbtest.Exec(t, tx, "INSERT INTO t (v) VALUES (1)") // nothing was sent, so the transaction goes on
		})
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 0 {
		t.Errorf("%d rows were written", got)
	}
}

// The server crashes at a list of IN whose values need a transaction, because it
// evaluates the list without one.
func TestListsThatCrashTheServerAreRefused(t *testing.T) {
	db := dbtest.OpenDSN(t, testserver.Start(t).DSN())
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, name VARCHAR, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id, name) VALUES (1, 'a'), (2, 'b')")
	dbtest.Exec(t, db, "CREATE SEQUENCE s")
	for _, where := range []string{
		"id IN ((SELECT MAX(id) FROM t))",
		"id IN (7, 1 + (SELECT MAX(id) FROM t))",
		"name = 'a' OR id IN (COALESCE((SELECT MAX(id) FROM t), 1))",
		"name IN ('a', CURRENT_USER())",
		"id IN (NEXTVAL('s'))",
		"id IN (NOW())",
	} {
		for _, statement := range []string{"SELECT id FROM t WHERE ", "DELETE FROM t WHERE ", "UPDATE t SET name = 'c' WHERE "} {
			if _, err := db.Exec(statement + where); !errors.Is(err, immudb.ErrUnsupported) {
				t.Fatalf("%s: err = %v, want ErrUnsupported", statement+where, err)
			}
		}
	}
	for where, want := range map[string]int{
		"id IN (SELECT MAX(id) FROM t)":                                  1,
		"id IN (SELECT id FROM t WHERE name IN ('a', UPPER('b'), 'c'))":  1,
		"id NOT IN ((SELECT MAX(id) FROM t))":                            1,
		"id = (SELECT MAX(id) FROM t) OR id = COALESCE(NEXTVAL('s'), 1)": 2,
		"id IN (1, 2) AND (SELECT COUNT(*) FROM t) = 2":                  2,
		"id IN (1, 2) AND COALESCE(CURRENT_USER(), 'a') <> 'a'":          2,
	} {
		if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t WHERE "+where); got != want {
			t.Errorf("%s: %d rows, want %d", where, got, want)
		}
	}
}

func TestTextEnclosedInBeginAndCommitRunsAsOneTransaction(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	res := dbtest.Exec(t, db, "BEGIN TRANSACTION; INSERT INTO t (id) VALUES (1); INSERT INTO t (id) VALUES (2); COMMIT;")
	if n, err := res.RowsAffected(); n != 2 || err != nil {
		t.Errorf("%d rows (%v), want 2", n, err)
	}
	if _, err := db.Exec("BEGIN; INSERT INTO t (id) VALUES (3); INSERT INTO t (id) VALUES (1); COMMIT"); !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Errorf("err = %v, want ErrDuplicateKey", err)
	}
	if got := dbtest.List[int](t, db, "SELECT id FROM t"); !reflect.DeepEqual(got, []int{1, 2}) {
		t.Errorf("rows %v, want [1 2]", got)
	}
}

func TestSeveralStatementsInOneExecAreAllOrNothing(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	res := dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1);; INSERT INTO t (id) VALUES (2), (3); DELETE FROM t WHERE id = 1;")
	if n, err := res.RowsAffected(); n != 4 || err != nil {
		t.Errorf("%d rows (%v), want 4", n, err)
	}
	if _, err := db.Exec("INSERT INTO t (id) VALUES (4); INSERT INTO t (id) VALUES (2)"); !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Errorf("err = %v, want ErrDuplicateKey", err)
	}
	if got := dbtest.List[int](t, db, "SELECT id FROM t"); !reflect.DeepEqual(got, []int{2, 3}) {
		t.Errorf("rows %v, want [2 3]", got)
	}
}

func TestUseDatabaseIsUndoneBeforeTheNextUser(t *testing.T) {
	here, there := dbtest.FreshDSN(t), dbtest.FreshDSN(t)
	other, err := immudb.ParseDSN(there)
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, dbtest.OpenDSN(t, there), "CREATE TABLE there (id INTEGER, PRIMARY KEY id)")
	db := dbtest.OpenDSN(t, here)
	dbtest.Exec(t, db, "CREATE TABLE here (id INTEGER, PRIMARY KEY id)")
	db.SetMaxOpenConns(1)
	for _, use := range []string{"USE ", "USE DATABASE "} {
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		dbtest.Exec(t, conn, use+other.Database)
		if got := dbtest.List[string](t, conn, "SHOW TABLES"); !reflect.DeepEqual(got, []string{"there"}) {
			t.Errorf("%s: the connection sees the tables %v", use, got)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if got := dbtest.List[string](t, db, "SHOW TABLES"); !reflect.DeepEqual(got, []string{"here"}) {
			t.Errorf("after %s the next user sees the tables %v", use, got)
		}
	}
}

func TestExecOfAQueryRunsIt(t *testing.T) {
	db := dbtest.Open(t)
	if _, err := db.Exec("SELECT 1/0"); !errors.Is(err, immudb.ErrInvalidValue) {
		t.Errorf("err = %v, want the division by zero", err)
	}
	dbtest.Exec(t, db, "SELECT 1")
}

func TestTruncateDoesNotPretendToCount(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1), (2)")
	if n, err := dbtest.Exec(t, db, "TRUNCATE TABLE t").RowsAffected(); err == nil {
		t.Errorf("RowsAffected = %d, want an error", n)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 0 {
		t.Errorf("%d rows are left", got)
	}
}

func TestReplicaRefusesWrites(t *testing.T) {
	primary := testserver.Start(t)
	replica := testserver.Start(t, "-replica-of="+primary.DSN())
	db := dbtest.OpenDSN(t, replica.DSN())
	if _, err := db.Exec("CREATE TABLE t (id INTEGER, PRIMARY KEY id)"); !errors.Is(err, immudb.ErrReplica) || !strings.Contains(err.Error(), replica.Addr()) {
		t.Errorf("err = %v, want ErrReplica that names the host", err)
	}
	if err := db.QueryRow("SELECT id FROM t").Scan(new(int)); errors.Is(err, sql.ErrNoRows) || err == nil {
		t.Errorf("reading a table that is not there: %v", err)
	}
}

// This is a limit of the server. CopyFrom and groups must not hit it.
func TestAnIndexedValueCannotComeAndGoInOneTransaction(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE INDEX ON t(v)")
	dbtest.Exec(t, db, "INSERT INTO t (id, v) VALUES (1, 10), (2, 20)")
	tx := dbtest.Begin(t, db, nil)
	dbtest.Exec(t, tx, "UPDATE t SET v = 11 WHERE id = 1")
	_, err := tx.Exec("UPDATE t SET v = 12 WHERE id = 1")
	if !errors.Is(err, immudb.ErrUnsupported) || !strings.Contains(err.Error(), "commit in between") {
		t.Errorf("err = %v, want ErrUnsupported with the remedy", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.Rows([]any{1, 20}, []any{2, 10}), &immudb.CopyOptions{Upsert: true})
	if err != nil || n != 2 {
		t.Errorf("CopyFrom: %d rows, err = %v", n, err)
	}
	if got := dbtest.List[int](t, db, "SELECT v FROM t ORDER BY id"); !reflect.DeepEqual(got, []int{20, 10}) {
		t.Errorf("v = %v, want 20 and 10", got)
	}
}
