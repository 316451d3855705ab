package main

import (
	"database/sql"
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/doug-martin/goqu/v9"
	"github.com/doug-martin/goqu/v9/exp"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

// open returns a library of three books, of which the second is out.
func open(t *testing.T) *goqu.Database {
	t.Helper()
	conns, err := sql.Open("immudb", testserver.Shared(t).NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conns.Close() })
	if _, err := conns.Exec(schema); err != nil {
		t.Fatal(err)
	}
	db := goqu.New("immudb", conns)
	shelf := "a1"
	keys, err := add(t.Context(), db, book{Title: "Emma", Shelf: &shelf}, book{Title: "Why? 'Tis", Out: true}, book{Title: "Persuasion", Shelf: &shelf})
	if want := []int64{1, 2, 3}; err != nil || !reflect.DeepEqual(keys, want) {
		t.Fatalf("keys %v (%v), want %v", keys, err, want)
	}
	return db
}

func TestItRuns(t *testing.T) {
	if err := run(t.Context(), testserver.Shared(t).NewDatabase(t)); err != nil {
		t.Fatal(err)
	}
}

func TestConditionsPickTheirRows(t *testing.T) {
	db := open(t)
	out := db.From("books").Select("id").Where(goqu.C("out").IsTrue())
	for _, row := range []struct {
		name  string
		query *goqu.SelectDataset
		want  []int64
	}{
		{"all", db.From("books"), []int64{1, 2, 3}},
		{"true", db.From("books").Where(goqu.C("out").IsTrue()), []int64{2}},
		{"not true", db.From("books").Where(goqu.Ex{"out": goqu.Op{"neq": true}}), []int64{1, 3}},
		{"false", db.From("books").Where(goqu.Ex{"out": false}), []int64{1, 3}},
		{"NULL", db.From("books").Where(goqu.C("shelf").IsNull()), []int64{2}},
		{"not NULL", db.From("books").Where(goqu.Ex{"shelf": goqu.Op{"neq": nil}}), []int64{1, 3}},
		{"or", db.From("books").Where(goqu.Or(goqu.C("title").Like("E%"), goqu.C("title").ILike("PERS%"))), []int64{1, 3}},
		{"a list", db.From("books").Where(goqu.C("id").In(3, 1, 7)), []int64{1, 3}},
		{"a range", db.From("books").Where(goqu.C("id").Between(goqu.Range(2, 3))), []int64{2, 3}},
		{"a page", db.From("books").Order(goqu.C("id").Asc()).Limit(1).Offset(1), []int64{2}},
		{"a subquery", db.From("books").Where(goqu.C("id").Eq(out)), []int64{2}},
		{"none of a subquery", db.From("books").Where(goqu.C("id").NotIn(out)), []int64{1, 3}},
		{"a union", out.Union(db.From("books").Select("id").Where(goqu.C("id").Eq(1))), []int64{1, 2}},
		{"a common table expression", db.From("gone").With("gone", out), []int64{2}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got []int64
			if err := db.From(row.query.Select("id").As("found")).Order(goqu.C("id").Asc()).ScanVals(&got); err != nil || !reflect.DeepEqual(got, row.want) {
				t.Errorf("got %v (%v), want %v", got, err, row.want)
			}
		})
	}
}

func TestStructsAreScanned(t *testing.T) {
	db := open(t)
	var got book
	found, err := db.From("books").Where(goqu.C("title").Eq("Why? 'Tis")).ScanStruct(&got)
	if want := (book{ID: 2, Title: "Why? 'Tis", Out: true}); err != nil || !found || got != want {
		t.Errorf("got %+v, %v (%v), want %+v", got, found, err, want)
	}
	if found, err = db.From("books").Where(goqu.C("id").Eq(99)).ScanStruct(&got); err != nil || found {
		t.Errorf("no such book: found = %v, err = %v", found, err)
	}
	if n, err := db.From("books").Count(); err != nil || n != 3 {
		t.Errorf("%d books (%v), want 3", n, err)
	}
	var shelves []struct {
		Shelf sql.NullString `db:"shelf"`
		Books int            `db:"books"`
	}
	err = db.From("books").Select("shelf", goqu.COUNT("*").As("books")).GroupBy("shelf").Having(goqu.COUNT("*").Gt(1)).ScanStructs(&shelves)
	if err != nil || len(shelves) != 1 || shelves[0].Shelf.String != "a1" || shelves[0].Books != 2 {
		t.Errorf("shelves %+v (%v)", shelves, err)
	}
}

func TestUpdateAndDeleteReturnWhatTheyChanged(t *testing.T) {
	db := open(t)
	var got book
	found, err := db.Update("books").Set(book{Title: "Emma, again"}).Where(goqu.C("id").Eq(1)).Returning("id", "title", "shelf", "out").Executor().ScanStruct(&got)
	if want := (book{ID: 1, Title: "Emma, again"}); err != nil || !found || got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	var keys []int64
	if err := db.Delete("books").Where(goqu.C("out").IsNotTrue()).Returning("id").Executor().ScanVals(&keys); err != nil || !reflect.DeepEqual(keys, []int64{1, 3}) {
		t.Errorf("deleted %v (%v), want 1 and 3", keys, err)
	}
	if _, err := db.Truncate("books").Executor().Exec(); err != nil {
		t.Fatal(err)
	}
	if n, err := db.From("books").Count(); err != nil || n != 0 {
		t.Errorf("%d books are left (%v)", n, err)
	}
}

func TestLimitOfADeleteIsKept(t *testing.T) {
	db := open(t)
	if _, err := db.Delete("books").Limit(1).Executor().Exec(); err != nil {
		t.Fatal(err)
	}
	if n, err := db.From("books").Count(); err != nil || n != 2 {
		t.Errorf("%d books are left (%v), want 2", n, err)
	}
	if _, err := db.Delete("books").Order(goqu.C("id").Desc()).Limit(1).Executor().Exec(); !errors.Is(err, immudb.ErrSyntax) {
		t.Errorf("an order, which the server has not: err = %v, want ErrSyntax", err)
	}
}

func TestConflictOfThePrimaryKeyIsResolved(t *testing.T) {
	db := open(t)
	again := goqu.Record{"id": 1, "title": "Emma, again", "out": false}
	if _, err := db.Insert("books").Rows(again).Executor().Exec(); !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Errorf("err = %v, want ErrDuplicateKey", err)
	}
	for _, row := range []struct {
		conflict exp.ConflictExpression
		want     string
	}{{goqu.DoNothing(), "Emma"}, {goqu.DoUpdate("id", goqu.Record{"title": "Emma, again"}), "Emma, again"}} {
		if _, err := db.Insert("books").Rows(again).OnConflict(row.conflict).Executor().Exec(); err != nil {
			t.Fatal(err)
		}
		var title string
		if _, err := db.From("books").Select("title").Where(goqu.C("id").Eq(1)).ScanVal(&title); err != nil || title != row.want {
			t.Errorf("title %q (%v), want %q", title, err, row.want)
		}
	}
}

func TestWhatImmudbHasNotIsAnError(t *testing.T) {
	db := open(t)
	books := db.From("books").Select("id")
	for _, row := range []struct {
		name  string
		query *goqu.SelectDataset
		want  error
	}{
		// goqu gives it two pairs of parentheses, at which the server (v1.11.1)
		// crashes if the driver sends it. With Eq it is IN with one.
		{"a subquery in In", books.Where(goqu.C("id").In(books)), immudb.ErrUnsupported},
		{"In of nothing", books.Where(goqu.C("id").In()), immudb.ErrSyntax},
		{"a regular expression", books.Where(goqu.C("title").RegexpLike("E.*")), immudb.ErrSyntax},
	} {
		var keys []int64
		if err := row.query.ScanVals(&keys); !errors.Is(err, row.want) {
			t.Errorf("%s: err = %v, want %v", row.name, err, row.want)
		}
	}
}

func TestLocksAndNestedStructsWork(t *testing.T) {
	db := open(t)
	var row struct {
		Book struct {
			ID    int64  `db:"id"`
			Title string `db:"title"`
		} `db:"book"`
	}
	query := db.From("books").Select(goqu.C("id").As(goqu.C("book.id")), goqu.C("title").As(goqu.C("book.title"))).Where(goqu.C("id").Eq(1)).ForUpdate(goqu.Wait)
	if found, err := query.ScanStruct(&row); !found || err != nil || row.Book.ID != 1 || row.Book.Title != "Emma" {
		t.Errorf("found %v, %+v, %v", found, row, err)
	}
}

func TestTimesNeedPreparedMode(t *testing.T) {
	db := open(t)
	due := time.Date(2026, 2, 28, 12, 0, 0, 123456000, time.UTC)
	if err := lend(t.Context(), db, 1, "ada", due); err != nil {
		t.Fatal(err)
	}
	query := db.From("loans").Select("due").Where(goqu.C("due").Eq(due))
	var got time.Time
	if found, err := query.ScanVal(&got); err != nil || !found || got != due {
		t.Errorf("got %s, %v (%v), want %s", got, found, err, due)
	}
	if _, err := query.Prepared(false).ScanVal(&got); !errors.Is(err, immudb.ErrInvalidValue) {
		t.Errorf("without it: err = %v, want ErrInvalidValue", err)
	}
}

func TestLendIsAllOrNothing(t *testing.T) {
	db := open(t)
	now := time.Now().Truncate(time.Microsecond)
	if err := lend(t.Context(), db, 2, "ada", now); !errors.Is(err, errOut) {
		t.Errorf("a book that is out: err = %v, want errOut", err)
	}
	if err := errors.Join(lend(t.Context(), db, 1, "ada", now.Add(-time.Hour)), lend(t.Context(), db, 3, "bob", now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	loans, err := overdue(t.Context(), db, now)
	if err != nil || len(loans) != 1 || loans[0].Reader != "ada" || loans[0].Title != "Emma" || !loans[0].Due.Equal(now.Add(-time.Hour)) {
		t.Errorf("overdue %+v (%v), want ada's Emma", loans, err)
	}

	if _, err := db.Update("books").Set(goqu.Record{"out": false}).Executor().Exec(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("DROP TABLE loans"); err != nil {
		t.Fatal(err)
	}
	if err := lend(t.Context(), db, 1, "ada", now); !errors.Is(err, immudb.ErrNoSuchTable) {
		t.Errorf("a loan that cannot be entered: err = %v, want ErrNoSuchTable", err)
	}
	if n, err := db.From("books").Where(goqu.C("out").IsTrue()).Count(); err != nil || n != 0 {
		t.Errorf("%d books are marked as lent (%v)", n, err)
	}
}
