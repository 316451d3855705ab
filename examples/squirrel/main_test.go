package main

import (
	"database/sql"
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	sq "github.com/Masterminds/squirrel"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

func open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("immudb", testserver.Shared(t).NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(schema); err != nil {
		t.Fatal(err)
	}
	return db
}

var stock = []item{
	{Name: "nails", Shelf: shelf("a1"), Stock: 100},
	{Name: "screws", Shelf: shelf("a2"), Stock: 50},
	{Name: "hammer? yes", Stock: 1},
}

// addAll adds stock, whose keys are 1, 2 and 3 then.
func addAll(t *testing.T, build sq.StatementBuilderType) {
	t.Helper()
	for i, it := range stock {
		if id, err := add(t.Context(), build, it); err != nil || id != int64(i+1) {
			t.Fatalf("key %d (%v), want %d", id, err, i+1)
		}
	}
}

// eachBuilder runs a test with both kinds of placeholders, and with statements
// prepared or not.
func eachBuilder(t *testing.T, test func(t *testing.T, db *sql.DB, build sq.StatementBuilderType)) {
	for name, format := range map[string]sq.PlaceholderFormat{"?": sq.Question, "$1": sq.Dollar} {
		build := build.PlaceholderFormat(format)
		t.Run(name, func(t *testing.T) {
			db := open(t)
			test(t, db, build.RunWith(db))
		})
		t.Run(name+" prepared", func(t *testing.T) {
			db := open(t)
			cache := sq.NewStmtCache(db)
			test(t, db, build.RunWith(cache))
			if err := cache.Clear(); err != nil {
				t.Error(err)
			}
		})
	}
}

func names(items []item) (names []string) {
	for _, it := range items {
		names = append(names, it.Name)
	}
	return names
}

func TestItRuns(t *testing.T) {
	if err := run(t.Context(), testserver.Shared(t).NewDatabase(t)); err != nil {
		t.Fatal(err)
	}
}

func TestFiltersAreCombined(t *testing.T) {
	eachBuilder(t, func(t *testing.T, _ *sql.DB, build sq.StatementBuilderType) {
		addAll(t, build)
		for _, row := range []struct {
			filter filter
			want   []string
		}{
			{filter{}, []string{"nails", "screws", "hammer? yes"}},
			{filter{Limit: 2}, []string{"nails", "screws"}},
			{filter{Shelves: []string{"a2", "a1", "b1"}, AtLeast: 51}, []string{"nails"}},
			{filter{Shelves: []string{}}, nil},
			{filter{Name: "%ws", AtLeast: 1}, []string{"screws"}},
		} {
			if got, err := find(t.Context(), build, row.filter); err != nil || !reflect.DeepEqual(names(got), row.want) {
				t.Errorf("%+v: got %q (%v), want %q", row.filter, names(got), err, row.want)
			}
		}
	})
}

func TestNullIsNilBothWays(t *testing.T) {
	eachBuilder(t, func(t *testing.T, _ *sql.DB, build sq.StatementBuilderType) {
		addAll(t, build)
		var it item
		err := build.Select("name", "shelf").From("items").Where(sq.Eq{"shelf": nil}).QueryRow().Scan(&it.Name, &it.Shelf)
		if err != nil || it.Name != "hammer? yes" || it.Shelf.Valid {
			t.Errorf("%+v, err = %v", it, err)
		}
	})
}

func TestEachRowOfAnInsertIsReturned(t *testing.T) {
	eachBuilder(t, func(t *testing.T, _ *sql.DB, build sq.StatementBuilderType) {
		rows, err := build.Insert("items").Columns("name", "stock").Values("a", 1).Values("b", 2).Suffix("RETURNING id, name").Query()
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for _, want := range []item{{ID: 1, Name: "a"}, {ID: 2, Name: "b"}} {
			var got item
			if !rows.Next() || rows.Scan(&got.ID, &got.Name) != nil || got != want {
				t.Errorf("got %+v (%v), want %+v", got, rows.Err(), want)
			}
		}
	})
}

func TestUpdateAndDeleteReturnWhatTheyChanged(t *testing.T) {
	eachBuilder(t, func(t *testing.T, _ *sql.DB, build sq.StatementBuilderType) {
		addAll(t, build)
		var name string
		var left int64
		err := build.Update("items").Set("stock", sq.Case("shelf").When("'a1'", "7").Else("0")).Set("name", "nails, short").
			Where(sq.And{sq.Eq{"id": 1}, sq.NotEq{"shelf": nil}}).Suffix("RETURNING name, stock").QueryRow().Scan(&name, &left)
		if err != nil || name != "nails, short" || left != 7 {
			t.Errorf("updated %q with %d, err = %v", name, left, err)
		}
		rows, err := build.Delete("items").Where(sq.Or{sq.Lt{"stock": 7}, sq.Eq{"id": 99}}).Suffix("RETURNING name").Query()
		if err != nil || !rows.Next() {
			t.Fatalf("nothing was deleted, err = %v", err)
		}
		if err := errors.Join(rows.Scan(&name), rows.Close()); err != nil || name != "hammer? yes" {
			t.Errorf("deleted %q, err = %v", name, err)
		}
		res, err := build.Delete("items").Exec()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := res.RowsAffected(); err != nil || n != 2 {
			t.Errorf("%d deleted (%v), want the other two", n, err)
		}
	})
}

func TestTakeIsAllOrNothing(t *testing.T) {
	db := open(t)
	build := build.RunWith(db)
	addAll(t, build)
	if err := take(t.Context(), db, 2, 51); !errors.Is(err, errTooFew) {
		t.Errorf("more than there is: %v", err)
	}
	before := time.Now().Add(-time.Hour)
	if err := errors.Join(take(t.Context(), db, 1, 30), take(t.Context(), db, 1, 20)); err != nil {
		t.Fatal(err)
	}
	var name string
	var left, moves, sum int64
	err := build.Select("i.name", "i.stock").Column("COUNT(*) AS moves").Column(sq.Alias(sq.Expr("SUM(m.amount)"), "total")).
		From("items AS i").Join("moves AS m ON m.item = i.id").Where("m.at > ?", before).
		GroupBy("i.name", "i.stock").Having("COUNT(*) > ?", 1).QueryRow().Scan(&name, &left, &moves, &sum)
	if err != nil || name != "nails" || left != 50 || moves != 2 || sum != -50 {
		t.Errorf("%s: %d left after %d moves of %d, err = %v", name, left, moves, sum, err)
	}

	if _, err := db.Exec("DROP TABLE moves"); err != nil {
		t.Fatal(err)
	}
	if err := take(t.Context(), db, 1, 1); !errors.Is(err, immudb.ErrNoSuchTable) {
		t.Errorf("a move that cannot be entered: err = %v, want ErrNoSuchTable", err)
	}
	if err := build.Select("stock").From("items").Where(sq.Eq{"id": 1}).QueryRow().Scan(&left); err != nil || left != 50 {
		t.Errorf("%d left after a rollback (%v), want 50", left, err)
	}
}

func TestSubqueriesKeepTheirArguments(t *testing.T) {
	eachBuilder(t, func(t *testing.T, _ *sql.DB, build sq.StatementBuilderType) {
		addAll(t, build)
		few := sq.Select("id AS few").From("items").Where(sq.Lt{"stock": 60})
		var name string
		err := build.Select("name").From("items").Where(sq.Gt{"stock": 10}).Where(sq.Expr("id IN (?)", few)).
			Where("name <> ?", "x").QueryRow().Scan(&name)
		if err != nil || name != "screws" {
			t.Errorf("got %q, err = %v", name, err)
		}
		err = build.Select("MAX(stock)").FromSelect(sq.Select("stock").From("items").Where(sq.Lt{"stock": 60}), "few").
			Where(sq.NotEq{"stock": 0}).QueryRow().Scan(&name)
		if err != nil || name != "50" {
			t.Errorf("got %q, err = %v", name, err)
		}
	})
}
