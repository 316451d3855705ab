package main

import (
	"database/sql"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

// eachBindType runs a test with sqlx's placeholders for an unknown driver, and with $1.
func eachBindType(t *testing.T, test func(t *testing.T, db *sqlx.DB)) {
	sqlx.BindDriver(immudb.DriverName, sqlx.DOLLAR)
	for name, driver := range map[string]string{"?": "immudb", "$1": immudb.DriverName} {
		t.Run(name, func(t *testing.T) {
			db := sqlx.MustOpen(driver, testserver.Shared(t).NewDatabase(t))
			t.Cleanup(func() { db.Close() })
			db.MustExec(schema)
			test(t, db)
		})
	}
}

var due = time.Date(2026, 2, 28, 12, 30, 0, 123456000, time.UTC)

func tasks() []Task {
	ada, bob := "ada", "bob"
	return []Task{
		{Title: "write", Owner: &ada, Due: sql.Null[time.Time]{V: due, Valid: true}},
		{Title: "print", Owner: &bob, Done: true},
		{Title: "why? 12:30"},
	}
}

func same(a, b Task) bool {
	return a.ID == b.ID && a.Title == b.Title && a.Due == b.Due && a.Done == b.Done &&
		(a.Owner == nil) == (b.Owner == nil) && (a.Owner == nil || *a.Owner == *b.Owner)
}

func TestItRuns(t *testing.T) {
	if err := run(t.Context(), testserver.Shared(t).NewDatabase(t)); err != nil {
		t.Fatal(err)
	}
}

func TestRowsComeBackAsTheyWereInserted(t *testing.T) {
	eachBindType(t, func(t *testing.T, db *sqlx.DB) {
		want := tasks()
		if err := addAll(t.Context(), db, want); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			want[i].ID = int64(i + 1)
		}
		var got []Task
		if err := db.Select(&got, "SELECT * FROM tasks ORDER BY id"); err != nil || !slices.EqualFunc(got, want, same) {
			t.Errorf("got %+v (%v), want %+v", got, err, want)
		}
		var one Task
		if err := db.Get(&one, db.Rebind("SELECT * FROM tasks WHERE due = ?"), due); err != nil || !same(one, want[0]) {
			t.Errorf("got %+v (%v), want %+v", one, err, want[0])
		}
		if err := db.Get(&one, "SELECT * FROM tasks WHERE id = 99"); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("err = %v, want ErrNoRows", err)
		}
	})
}

func TestPreparedNamedInsertReturnsTheKey(t *testing.T) {
	eachBindType(t, func(t *testing.T, db *sqlx.DB) {
		for i, task := range tasks() {
			if err := add(t.Context(), db, &task); err != nil || task.ID != int64(i+1) {
				t.Errorf("key %d (%v), want %d", task.ID, err, i+1)
			}
		}
	})
}

func TestEachRowOfABatchIsReturned(t *testing.T) {
	eachBindType(t, func(t *testing.T, db *sqlx.DB) {
		rows, err := db.NamedQuery("INSERT INTO tasks (title, owner) VALUES (:title, :owner) RETURNING *", tasks())
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var titles []string
		for rows.Next() {
			var task Task
			if err := rows.StructScan(&task); err != nil || task.ID != int64(len(titles)+1) {
				t.Fatalf("%+v, err = %v", task, err)
			}
			titles = append(titles, task.Title)
		}
		if want := []string{"write", "print", "why? 12:30"}; rows.Err() != nil || !slices.Equal(titles, want) {
			t.Errorf("got %q (%v), want %q", titles, rows.Err(), want)
		}
	})
}

func TestStructsAndMapsAreNamedArguments(t *testing.T) {
	eachBindType(t, func(t *testing.T, db *sqlx.DB) {
		const insert = "INSERT INTO tasks (title, owner, due) VALUES (:title, :owner, :due)"
		for i, arg := range []any{tasks()[0], map[string]any{"title": "write", "owner": "ada", "due": due}} {
			res, err := db.NamedExec(insert, arg)
			if err != nil {
				t.Fatal(err)
			}
			if id, err := res.LastInsertId(); err != nil || id != int64(i+1) {
				t.Errorf("id %d (%v), want %d", id, err, i+1)
			}
			var got Task
			rows, err := db.NamedQuery("SELECT * FROM tasks WHERE title = :title AND due = :due ORDER BY id DESC LIMIT 1", arg)
			if err != nil || !rows.Next() {
				t.Fatalf("no row: %v", err)
			}
			if err := errors.Join(rows.StructScan(&got), rows.Close()); err != nil || got.ID != int64(i+1) || *got.Owner != "ada" || got.Due.V != due {
				t.Errorf("got %+v (%v)", got, err)
			}
		}
	})
}

func TestListsAreExpanded(t *testing.T) {
	eachBindType(t, func(t *testing.T, db *sqlx.DB) {
		if err := addAll(t.Context(), db, tasks()); err != nil {
			t.Fatal(err)
		}
		got, err := owned(t.Context(), db, "bob", "eve", "ada")
		if err != nil || len(got) != 2 || got[0].Title != "write" || got[1].Title != "print" {
			t.Errorf("got %+v (%v)", got, err)
		}
	})
}

func TestHandOverIsAllOrNothing(t *testing.T) {
	eachBindType(t, func(t *testing.T, db *sqlx.DB) {
		if err := addAll(t.Context(), db, tasks()); err != nil {
			t.Fatal(err)
		}
		if err := handOver(t.Context(), db, "ada", "eve", 1, 2); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("bob's task: err = %v, want ErrNoRows", err)
		}
		if got, err := owned(t.Context(), db, "eve"); err != nil || len(got) != 0 {
			t.Errorf("after a rollback eve has %+v (%v)", got, err)
		}
		if err := handOver(t.Context(), db, "ada", "eve", 1); err != nil {
			t.Fatal(err)
		}
		if got, err := owned(t.Context(), db, "eve"); err != nil || len(got) != 1 || got[0].ID != 1 {
			t.Errorf("eve has %+v (%v), want task 1", got, err)
		}
	})
}

func TestTransactionOfSqlxSeesItsRowsAndRollsBack(t *testing.T) {
	eachBindType(t, func(t *testing.T, db *sqlx.DB) {
		tx := db.MustBegin()
		defer tx.Rollback()
		if _, err := tx.NamedExec("INSERT INTO tasks (title) VALUES (:title)", tasks()); err != nil {
			t.Fatal(err)
		}
		var key int64
		if err := tx.Get(&key, tx.Rebind("INSERT INTO tasks (title) VALUES (?) RETURNING id"), "last"); err != nil || key != 4 {
			t.Errorf("key %d (%v), want 4", key, err)
		}
		count, err := tx.PrepareNamed("SELECT COUNT(*) FROM tasks WHERE id <= :id")
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := count.Get(&n, map[string]any{"id": key}); err != nil || n != 4 {
			t.Errorf("%d rows in the transaction (%v), want 4", n, err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := db.Get(&n, "SELECT COUNT(*) FROM tasks"); err != nil || n != 0 {
			t.Errorf("%d rows after the rollback (%v)", n, err)
		}
	})
}
