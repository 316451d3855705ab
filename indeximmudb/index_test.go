package indeximmudb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// accounts makes a table of three rows, of which one was changed and one deleted.
func accounts(t testing.TB, db *sql.DB) {
	t.Helper()
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id, owner, balance) VALUES (1, 'ann', 10), (2, 'bob', 20), (3, 'cid', 30)")
	dbtest.Exec(t, db, "UPDATE accounts SET balance = 11 WHERE id = 1")
	dbtest.Exec(t, db, "DELETE FROM accounts WHERE id = 2")
}

func TestARowIsTheLatestRevisionOrProvenAbsent(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	accounts(t, db)
	x := newIndex(t, db)
	if _, err := x.Row(t.Context(), "accounts", 1); x.Tx() != 0 || !errors.Is(err, immudb.ErrNoSuchTable) {
		t.Errorf("a new index is as of tx %d: err = %v, want ErrNoSuchTable", x.Tx(), err)
	}
	update(t, x)
	if x.Tx() != 4 {
		t.Errorf("the index is as of tx %d, want 4", x.Tx())
	}
	row, err := x.Row(t.Context(), "ACCOUNTS", 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(row.TxID, row.Columns, row.Values); got != "3 [id owner balance] [1 ann 11]" {
		t.Errorf("got %s", got)
	}
	for _, id := range []int{2, 4, -1} {
		if _, err := x.Row(t.Context(), "accounts", id); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("row %d: err = %v, want ErrNoRows", id, err)
		}
	}
	if got := rowsOf(t, x, "accounts", ""); !slices.Equal(got, []string{"[id owner balance] [1 ann 11]", "[id owner balance] [3 cid 30]"}) {
		t.Errorf("rows: %q", got)
	}
	if latest, _, err := immudb.NewVerifier(db).Latest(t.Context(), row, 10); err != nil || !latest {
		t.Errorf("the driver takes the row for an older one: %v, %v", latest, err)
	}
}

// What was committed after the index's transaction changes none of its answers.
func TestAnswersAreThoseOfTheIndexsTransaction(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	accounts(t, db)
	dbtest.Exec(t, db, "CREATE TABLE other (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO other (id) VALUES (1)")
	x := newIndex(t, db)
	update(t, x)
	before := rowsOf(t, x, "accounts", "")
	dbtest.Exec(t, db, "UPSERT INTO accounts (id, owner, balance) VALUES (1, 'eve', 0), (9, 'new', 0)")
	dbtest.Exec(t, db, "DELETE FROM accounts WHERE id = 3")
	dbtest.Exec(t, db, "ALTER TABLE accounts RENAME COLUMN balance TO cents")
	dbtest.Exec(t, db, "ALTER TABLE accounts RENAME TO deposits")
	dbtest.Exec(t, db, "DROP TABLE other")
	if got := rowsOf(t, x, "accounts", ""); !slices.Equal(got, before) {
		t.Errorf("rows: %q, before %q", got, before)
	}
	if row, err := x.Row(t.Context(), "accounts", 3); err != nil || row.Values[1] != "cid" {
		t.Errorf("row: %v, %v", row, err)
	}
	if got := rowsOf(t, x, "other", ""); len(got) != 1 {
		t.Errorf("a table that was dropped later: %q", got)
	}
	update(t, x)
	if got := rowsOf(t, x, "deposits", ""); !slices.Equal(got, []string{"[id owner cents] [1 eve 0]", "[id owner cents] [9 new 0]"}) {
		t.Errorf("rows: %q", got)
	}
	for _, table := range []string{"accounts", "other"} {
		if _, err := x.Row(t.Context(), table, 1); !errors.Is(err, immudb.ErrNoSuchTable) {
			t.Errorf("table %s: err = %v, want ErrNoSuchTable", table, err)
		}
	}
}

func TestATableMadeAnewHasNoRowsOfTheOldOne(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	accounts(t, db)
	x := newIndex(t, db)
	for _, step := range []string{
		"", "TRUNCATE TABLE accounts", "INSERT INTO accounts (id, owner, balance) VALUES (7, 'dan', 70)",
		"DROP TABLE accounts", "CREATE TABLE accounts (id VARCHAR[5], PRIMARY KEY id)", "INSERT INTO accounts (id) VALUES ('1')",
	} {
		if step != "" {
			dbtest.Exec(t, db, step)
		}
		update(t, x)
		if step == "DROP TABLE accounts" {
			continue
		}
		want := map[string]int{"": 2, "INSERT INTO accounts (id, owner, balance) VALUES (7, 'dan', 70)": 1, "INSERT INTO accounts (id) VALUES ('1')": 1}[step]
		if got := rowsOf(t, x, "accounts", ""); len(got) != want {
			t.Errorf("after %s: %q", step, got)
		}
	}
	if n := buckets(t, x); n != 1 {
		t.Errorf("the file has %d tables, want 1", n)
	}
	// The same history, read at once.
	y := newIndex(t, db)
	update(t, y)
	if got := rowsOf(t, y, "accounts", ""); !slices.Equal(got, []string{"[id] [1]"}) {
		t.Errorf("rows: %q", got)
	}
}

// buckets is how many tables the file has.
func buckets(t testing.TB, x *Index) int {
	t.Helper()
	var ids []uint32
	err := x.view(func(tx *bolt.Tx, _ *position) (err error) {
		ids, err = indexedIn(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(ids)
}

// A file that was damaged may only lead to an error, as far as the history tells.
func TestAFileThatDoesNotFitTheHistoryIsAnError(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	accounts(t, db)
	x := newIndex(t, db)
	update(t, x)
	for _, wrong := range []uint64{1, 4} { // transactions without row 1
		err := x.store.Update(func(tx *bolt.Tx) error {
			rows := tx.Bucket(rowsBucket).Bucket(tableKey(1))
			return put(rows, map[string]uint64{"\x80\x80\x00\xf9\x01": wrong, "\x80\x80\x00\xf9\x02": wrong})
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []int{1, 2} { // transaction 4 deletes row 2
			if _, err := x.Row(t.Context(), "accounts", id); !errors.Is(err, errUnfit) {
				t.Errorf("row %d of tx %d: err = %v, want that the index does not fit", id, wrong, err)
			}
		}
		if _, err := x.Rows(t.Context(), "accounts", ""); !errors.Is(err, errUnfit) {
			t.Errorf("rows of tx %d: err = %v, want that the index does not fit", wrong, err)
		}
	}
}

func TestOnlyTheTablesThatWereNamedAreIndexed(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	path := filepath.Join(t.TempDir(), "index")
	for _, name := range []string{"a", "b"} {
		dbtest.Exec(t, db, "CREATE TABLE "+name+" (id INTEGER, PRIMARY KEY id)")
		dbtest.Exec(t, db, "INSERT INTO "+name+" (id) VALUES (1)")
	}
	x, err := Open(path, db, Options{Tables: []string{"A"}})
	if err != nil {
		t.Fatal(err)
	}
	update(t, x)
	dbtest.Exec(t, db, "ALTER TABLE a RENAME TO c")
	dbtest.Exec(t, db, "ALTER TABLE b RENAME TO a")
	update(t, x)
	if got := rowsOf(t, x, "c", ""); len(got) != 1 {
		t.Errorf("a table that was renamed: %q", got)
	}
	if _, err := x.Rows(t.Context(), "a", ""); !errors.Is(err, immudb.ErrInvalidValue) || !strings.Contains(err.Error(), "not in the index") {
		t.Errorf("a table that was renamed to the name: err = %v", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, db, Options{}); err == nil || !strings.Contains(err.Error(), "of the tables a") {
		t.Errorf("opened for other tables: err = %v", err)
	}
	again := openAt(t, path, db, Options{Tables: []string{"a"}})
	if got := rowsOf(t, again, "c", ""); len(got) != 1 || again.Tx() != 6 {
		t.Errorf("opened again as of tx %d: %q", again.Tx(), got)
	}
}

func TestAFileIsOpenOnce(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	path := filepath.Join(t.TempDir(), "index")
	openAt(t, path, db, Options{})
	if _, err := Open(path, db, Options{}); err == nil || !strings.Contains(err.Error(), "is open already") {
		t.Errorf("err = %v", err)
	}
}

func TestConditionsThatCannotBeEvaluatedAreRefused(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	accounts(t, db)
	x := newIndex(t, db)
	update(t, x)
	for tail, want := range map[string]error{
		"ORDER BY id": immudb.ErrSyntax, "LIMIT 1": immudb.ErrSyntax, "LIMIT ALL": immudb.ErrSyntax, "OFFSET 1": immudb.ErrSyntax,
		"WHERE": immudb.ErrSyntax, "a": immudb.ErrSyntax, "; SELECT 1": immudb.ErrSyntax, "WHERE id = ?": immudb.ErrSyntax,
		"UNION SELECT * FROM accounts": immudb.ErrSyntax, "BEFORE TX 1": immudb.ErrSyntax,
		"WHERE id IN (SELECT id FROM accounts)": immudb.ErrUnsupported, "WHERE nosuch = 1": immudb.ErrUnsupported,
	} {
		if _, err := x.Rows(t.Context(), "accounts", tail); !errors.Is(err, want) {
			t.Errorf("%s: err = %v, want %v", tail, err, want)
		}
	}
	if _, err := x.Row(t.Context(), "accounts", "one"); !errors.Is(err, immudb.ErrInvalidValue) {
		t.Errorf("a key of another type: err = %v, want ErrInvalidValue", err)
	}
}

// While Run reads, Update waits for it.
func TestUpdateBesideRunSeesWhatWasCommitted(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	accounts(t, db)
	x := newIndex(t, db)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	for id := range 20 {
		dbtest.Exec(t, db, "UPSERT INTO accounts (id, owner, balance) VALUES (?, 'x', 1)", id)
		update(t, x)
		if row, err := x.Row(t.Context(), "accounts", id); err != nil || row.Values[1] != "x" {
			t.Fatalf("row %d: %v, %v", id, row, err)
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run has ended with %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if err := x.Update(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Update has ended with %v", err)
	}
}
