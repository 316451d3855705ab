package traptest

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// The server takes a snapshot of each index when a transaction first reads it. These tests
// commit something in between.

// twoTables opens a database with an amount of 100, which move takes from one table to the
// other in portions of 1.
func twoTables(t *testing.T, options ...string) (db *sql.DB, move func()) {
	db = dbtest.Open(t, options...)
	dbtest.Exec(t, db, "CREATE TABLE a (id INTEGER, n INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE TABLE b (id INTEGER, n INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE TABLE other (id INTEGER, n INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO a (id, n) VALUES (1, 100)")
	dbtest.Exec(t, db, "INSERT INTO b (id, n) VALUES (1, 0)")
	return db, func() {
		t.Helper()
		err := immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error {
			_, err := tx.Exec("UPDATE a SET n = n - 1 WHERE id = 1")
			if err == nil {
				_, err = tx.Exec("UPDATE b SET n = n + 1 WHERE id = 1")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

const amount = "SELECT n FROM a WHERE id = 1 UNION ALL SELECT n FROM b WHERE id = 1"

func sum(t *testing.T, tx *sql.Tx, queries ...string) (total int, err error) {
	for _, query := range queries {
		rows, err := tx.QueryContext(t.Context(), query)
		if err != nil {
			return 0, err
		}
		list, err := dbtest.Drain[int](rows)
		if err != nil {
			return 0, err
		}
		for _, n := range list {
			total += n
		}
	}
	return total, nil
}

func begin(ctx context.Context, t *testing.T, db *sql.DB, opts sql.TxOptions) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(ctx, &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// The first table was changed, so the answer that the program has got was of another moment.
func TestTablesReadAtDifferentMomentsAreAConflict(t *testing.T) {
	db, move := twoTables(t)
	for _, readOnly := range []bool{true, false} {
		tx := begin(t.Context(), t, db, sql.TxOptions{ReadOnly: readOnly})
		dbtest.Get[int](t, tx, "SELECT n FROM a WHERE id = 1")
		move()
		_, err := sum(t, tx, "SELECT n FROM b WHERE id = 1")
		if err == nil && !readOnly {
			err = tx.Commit()
		}
		if !errors.Is(err, immudb.ErrConflict) {
			t.Fatalf("read-only %v: err = %v, want ErrConflict", readOnly, err)
		}
	}
}

// Two tables were changed, but not what the program has read of the first.
func TestAnswersThatAreStillTheSameAreNoConflict(t *testing.T) {
	db, _ := twoTables(t)
	dbtest.Exec(t, db, "CREATE VIEW viewed AS SELECT n FROM a")
	for _, first := range []string{"SELECT n FROM a WHERE id = 1", "SELECT n FROM viewed WHERE n = 100"} {
		for _, readOnly := range []bool{true, false} {
			for round := range 2 { // the second time, the connector knows what such transactions do
				before := dbtest.Get[int](t, db, "SELECT n FROM b WHERE id = 1")
				tx := begin(t.Context(), t, db, sql.TxOptions{ReadOnly: readOnly})
				total, err := sum(t, tx, first)
				if err != nil {
					t.Fatal(err)
				}
				dbtest.Exec(t, db, "UPSERT INTO a (id, n) VALUES (2, ?)", round)
				dbtest.Exec(t, db, "UPDATE b SET n = n + 1 WHERE id = 1")
				n, err := sum(t, tx, "SELECT n FROM b WHERE id = 1")
				if total != 100 || n != before+1 || err != nil {
					t.Errorf("read-only %v: %d and %d, %v, want 100 and %d", readOnly, total, n, err, before+1)
				}
				if err := tx.Commit(); err != nil {
					t.Errorf("read-only %v: Commit: %v", readOnly, err)
				}
			}
		}
	}
}

// What is not remembered cannot be asked again.
func TestWithoutSavepointMemoryReadsThatMayBeTornAreAConflict(t *testing.T) {
	db, _ := twoTables(t, "savepoint_memory=0")
	readsThatMayBeTornAreAConflict(t, db, 1)
}

// The answers to 65 queries are more than the driver asks for again.
func TestReadsThatMayBeTornAreAConflictAfterManyAnswers(t *testing.T) {
	db, _ := twoTables(t)
	readsThatMayBeTornAreAConflict(t, db, 65)
}

func readsThatMayBeTornAreAConflict(t *testing.T, db *sql.DB, queries int) {
	t.Helper()
	for _, readOnly := range []bool{true, false} {
		tx := begin(t.Context(), t, db, sql.TxOptions{ReadOnly: readOnly})
		for range queries {
			dbtest.Get[int](t, tx, "SELECT n FROM a WHERE id = 1")
		}
		dbtest.Exec(t, db, "UPSERT INTO a (id, n) VALUES (2, 2)")
		dbtest.Exec(t, db, "UPSERT INTO b (id, n) VALUES (2, 2)")
		_, err := sum(t, tx, "SELECT n FROM b WHERE id = 1")
		if err == nil && !readOnly {
			err = tx.Commit()
		}
		if !errors.Is(err, immudb.ErrConflict) || !strings.Contains(err.Error(), "WithSnapshot") {
			t.Errorf("read-only %v: err = %v, want ErrConflict with its remedy", readOnly, err)
		}
	}
}

func TestChangesOfOneTableAreNoConflict(t *testing.T) {
	db, _ := twoTables(t)
	tx := begin(t.Context(), t, db, sql.TxOptions{ReadOnly: true})
	dbtest.Get[int](t, tx, "SELECT n FROM a WHERE id = 1")
	dbtest.Exec(t, db, "UPSERT INTO other (id, n) VALUES (1, 1)")
	if total, err := sum(t, tx, "SELECT n FROM b WHERE id = 1"); total != 0 || err != nil {
		t.Errorf("%d, %v", total, err)
	}
}

func TestTwoIndexesReadAtDifferentMomentsAreAConflict(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE INDEX ON t(n)")
	dbtest.Exec(t, db, "INSERT INTO t (id, n) VALUES (1, 1)")
	tx := begin(t.Context(), t, db, sql.TxOptions{ReadOnly: true})
	dbtest.Get[int](t, tx, "SELECT COUNT(*) FROM t")
	dbtest.Exec(t, db, "INSERT INTO t (id, n) VALUES (2, 2)")
	if _, err := sum(t, tx, "SELECT id FROM t USE INDEX ON (n) ORDER BY n"); !errors.Is(err, immudb.ErrConflict) {
		t.Errorf("err = %v, want ErrConflict", err)
	}
}

func TestWithSnapshotReadsOneMoment(t *testing.T) {
	db, move := twoTables(t)
	dbtest.Exec(t, db, "CREATE INDEX ON a(n)")
	for _, readOnly := range []bool{true, false} {
		tx := begin(immudb.WithSnapshot(t.Context(), "a", "b"), t, db, sql.TxOptions{ReadOnly: readOnly})
		move()
		before, err := sum(t, tx, "SELECT n FROM a WHERE id = 1")
		if err != nil {
			t.Fatal(err)
		}
		move()
		for _, query := range []string{"SELECT n FROM b WHERE id = 1", "SELECT n FROM b", "SELECT b.n FROM a INNER JOIN b ON a.id = b.id"} {
			if n, err := sum(t, tx, query); before+n != 100 || err != nil {
				t.Errorf("read-only %v, %s: %d and %d, %v", readOnly, query, before, n, err)
			}
		}
		if n, err := sum(t, tx, "SELECT n FROM a USE INDEX ON (n) ORDER BY n"); n != before || err != nil {
			t.Errorf("read-only %v, by the index: %d, %v, want %d", readOnly, n, err, before)
		}
	}
}

func TestWithSnapshotNamesWhatIsNoTable(t *testing.T) {
	db, _ := twoTables(t)
	if _, err := db.BeginTx(immudb.WithSnapshot(t.Context(), "a", "nothing"), nil); !errors.Is(err, immudb.ErrNoSuchTable) {
		t.Errorf("err = %v, want ErrNoSuchTable", err)
	}
	allowed := immudb.WithTxOptions(immudb.WithSnapshot(t.Context(), "a"), immudb.TxOptions{SnapshotMustIncludeTx: 1})
	if _, err := db.BeginTx(allowed, nil); !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("err = %v, want ErrUnsupported", err)
	}
	if n := dbtest.Get[int](t, db, "SELECT n FROM a"); n != 100 {
		t.Errorf("%d, want 100", n)
	}
}

// The server opens a table when the first row needs it. What a query has read may be less than what it
// names, and it may read more when it runs again, or until it has returned its last row.
func TestASnapshotTakenLateIsOfTheSameMomentOrAConflict(t *testing.T) {
	for _, row := range []struct {
		name          string
		first, second string // queries of one number; "": the same again
		before, after []any  // their arguments
		want          int    // 0: a conflict
	}{
		{"a join that has read one table", "SELECT a.n + c.n FROM a INNER JOIN c USE INDEX ON (n) ON a.id = c.id WHERE a.id = ?", "", []any{7}, []any{1}, 100},
		{"a subquery that no row has needed", "SELECT n FROM a WHERE id = ? AND (n > 0 OR EXISTS (SELECT id FROM b WHERE n = 0))", "SELECT n FROM b WHERE id = ?", []any{1}, []any{1}, 0},
		{"arguments that choose the index", "SELECT COUNT(*) FROM c WHERE n >= ? AND n <= ?", "", []any{0, 9}, []any{5, 5}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			db, _ := twoTables(t)
			dbtest.Exec(t, db, "CREATE TABLE c (id INTEGER, n INTEGER, PRIMARY KEY id)")
			dbtest.Exec(t, db, "CREATE INDEX ON c(n)")
			dbtest.Exec(t, db, "INSERT INTO c (id, n) VALUES (1, 0)")
			tx := begin(t.Context(), t, db, sql.TxOptions{ReadOnly: true})
			rows, err := tx.QueryContext(t.Context(), row.first, row.before...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := dbtest.Drain[int](rows); err != nil {
				t.Fatal(err)
			}
			dbtest.Exec(t, db, "UPDATE a SET n = 99 WHERE id = 1; UPDATE b SET n = 1 WHERE id = 1; UPDATE c SET n = 1 WHERE id = 1; INSERT INTO c (id, n) VALUES (2, 5)")
			got := 0
			err = tx.QueryRowContext(t.Context(), cmp.Or(row.second, row.first), row.after...).Scan(&got)
			if row.want == 0 && !errors.Is(err, immudb.ErrConflict) || row.want != 0 && (err != nil || got != row.want) {
				t.Errorf("%d, %v, want %d (0: a conflict)", got, err, row.want)
			}
		})
	}
}

// The answer is longer than what the server sends ahead, and its last rows need the second table.
func TestALongAnswerIsOfOneMomentOrAConflict(t *testing.T) {
	db, _ := twoTables(t)
	dbtest.Exec(t, db, "CREATE TABLE big (id INTEGER, n VARCHAR, PRIMARY KEY id)")
	const query = "SELECT n FROM big WHERE id <= 35000 OR EXISTS (SELECT id FROM b WHERE n > 0)"
	dbtest.Exec(t, db, "CREATE VIEW viewed AS "+query)
	rows := func(yield func([]any, error) bool) {
		for i := 1; i <= 40_000 && yield([]any{i, strings.Repeat("x", 64)}, nil); i++ {
		}
	}
	if _, err := immudb.CopyFrom(t.Context(), db, "big", []string{"id", "n"}, rows, nil); err != nil {
		t.Fatal(err)
	}
	ends := map[string]func(*sql.Tx, *sql.Rows) error{
		"read": func(_ *sql.Tx, rows *sql.Rows) error {
			for rows.Next() {
			}
			return rows.Err()
		},
		"closed":         func(_ *sql.Tx, rows *sql.Rows) error { return rows.Close() },
		"next statement": func(tx *sql.Tx, _ *sql.Rows) error { return tx.QueryRow("SELECT COUNT(*) FROM other").Scan(new(int)) },
	}
	changes := []struct {
		query    string
		conflict bool
	}{
		{"UPSERT INTO other (id, n) VALUES (1, 1)", false},
		{"UPDATE b SET n = 0 WHERE id = 1; UPDATE a SET n = 1 WHERE id = 1", false}, // the answer is still the same
		{"UPDATE b SET n = 1 WHERE id = 1; UPDATE big SET n = 'y' WHERE id = 40000", true},
	}
	for _, query := range []string{query, "SELECT n FROM viewed"} {
		for end, do := range ends {
			for _, change := range changes {
				dbtest.Exec(t, db, "UPDATE b SET n = 0 WHERE id = 1; UPDATE big SET n = 'x' WHERE id = 40000")
				tx := begin(t.Context(), t, db, sql.TxOptions{ReadOnly: true})
				rows, err := tx.QueryContext(t.Context(), query)
				if err != nil || !rows.Next() {
					t.Fatal(err, rows.Err())
				}
				dbtest.Exec(t, db, change.query)
				if err := do(tx, rows); change.conflict != errors.Is(err, immudb.ErrConflict) || !change.conflict && err != nil {
					t.Errorf("%s, %s, %s: %v, want a conflict: %v", query, end, change.query, err, change.conflict)
				}
				if err := tx.Commit(); change.conflict == (err == nil) {
					t.Errorf("%s, %s, %s: Commit: %v", query, end, change.query, err)
				}
			}
		}
	}
}

// A constant writer moves the amount while transactions sum it up, each in its own way.
func TestTransactionsThatReadBesideAWriterSeeEachTransactionWhole(t *testing.T) {
	db, move := twoTables(t)
	dbtest.Exec(t, db, "CREATE VIEW viewed AS SELECT a.n + b.n AS n FROM a INNER JOIN b ON a.id = b.id")
	stop := make(chan struct{})
	var writer, readers sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				move()
			}
		}
	})
	for i, queries := range [][]string{{"SELECT n FROM a", "SELECT n FROM b"}, {amount}, {"SELECT a.n + b.n FROM a INNER JOIN b ON a.id = b.id"}, {"SELECT n FROM viewed"}, {"SELECT n FROM a", "SELECT n FROM b"}} {
		readers.Go(func() {
			for range 20 {
				total := 0
				err := immudb.RunTx(t.Context(), db, &sql.TxOptions{ReadOnly: i < 4}, func(tx *sql.Tx) (err error) {
					total, err = sum(t, tx, queries...)
					return err
				})
				if err != nil || total != 100 {
					t.Errorf("%s: %d, %v", queries, total, err)
					return
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	writer.Wait()
}
