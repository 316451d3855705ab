package gormimmudb_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gormimmudb"
)

type Author struct {
	ID       uint
	Name     string
	Books    []Book
	Editor   *Editor
	EditorID *uint
}

type Book struct {
	ID       uint
	AuthorID uint
	Title    string
}

type Editor struct {
	ID   uint
	Name string
}

// commit runs f and returns the id of the transaction that it committed.
func commit(t *testing.T, db *gorm.DB, f func(db *gorm.DB) error) uint64 {
	t.Helper()
	var info immudb.CommitInfo
	must(t, f(db.WithContext(immudb.WithCommitInfo(t.Context(), &info))))
	if info.TxID == 0 {
		t.Fatal("nothing was committed")
	}
	return info.TxID
}

func TestAsOfReadsThePast(t *testing.T) {
	db := open(t, &Editor{}, &Author{}, &Book{})
	first := commit(t, db, func(db *gorm.DB) error {
		return db.Create(&Author{Name: "old", Editor: &Editor{Name: "e1"}, Books: []Book{{Title: "b1"}}}).Error
	})
	commit(t, db, func(db *gorm.DB) error { return db.Model(&Editor{ID: 1}).Update("name", "e2").Error })
	commit(t, db, func(db *gorm.DB) error { return db.Model(&Book{ID: 1}).Update("title", "b2").Error })
	second := commit(t, db, func(db *gorm.DB) error { return db.Model(&Author{ID: 1}).Update("name", "new").Error })
	commit(t, db, func(db *gorm.DB) error { return db.Delete(&Author{}, 1).Error })

	for _, row := range []struct {
		tx   uint64
		want [3]string
	}{
		{first, [3]string{"old", "e1", "b1"}},
		{second, [3]string{"new", "e2", "b2"}},
	} {
		var got Author
		must(t, db.Clauses(gormimmudb.AsOfTx(row.tx)).Joins("Editor").Preload("Books").First(&got).Error)
		if len(got.Books) != 1 || [3]string{got.Name, got.Editor.Name, got.Books[0].Title} != row.want {
			t.Errorf("as of %d: %+v, want %q", row.tx, got, row.want)
		}
	}
	if err := db.First(&Author{}).Error; !errors.Is(err, gorm.ErrRecordNotFound) {
		t.Errorf("now: %v, want ErrRecordNotFound", err)
	}
	if err := db.Clauses(gormimmudb.AsOf(time.Now().Add(-time.Hour))).First(&Author{}).Error; !errors.Is(err, gorm.ErrRecordNotFound) {
		t.Errorf("an hour ago: %v, want ErrRecordNotFound", err)
	}
	var names []string
	must(t, db.Model(&Editor{}).Clauses(gormimmudb.Between(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))).Pluck("name", &names).Error)
	if !slices.Equal(names, []string{"e2"}) {
		t.Errorf("between: %q, want [e2]", names)
	}
	must(t, db.Table("authors AS a").Clauses(gormimmudb.BetweenTx(first+1, second)).Pluck("a.name", &names).Error)
	if !slices.Equal(names, []string{"new"}) {
		t.Errorf("between transactions: %q, want [new]", names)
	}
}

func TestHistoryReadsEveryRevision(t *testing.T) {
	db := open(t, &Editor{})
	e := Editor{Name: "one"}
	must(t, db.Create(&e).Error)
	must(t, db.Model(&e).Update("name", "two").Error)
	must(t, db.Create(&Editor{Name: "other"}).Error)
	type revision struct {
		Editor
		Rev int64 `gorm:"column:_rev"`
	}
	var all []revision
	must(t, db.Table("editors").Clauses(gormimmudb.History()).Where("id = ?", 1).Order("_rev").Find(&all).Error)
	if len(all) != 2 || all[0].Name != "one" || all[0].Rev != 1 || all[1].Name != "two" || all[1].Rev != 2 {
		t.Errorf("revisions %+v", all)
	}
}

func TestTimeTravelThatCannotBe(t *testing.T) {
	db := open(t, &Editor{}, &Author{}, &Book{})
	past := db.Clauses(gormimmudb.AsOfTx(1)).Session(&gorm.Session{})
	for _, row := range []struct {
		reason string
		err    error
	}{
		{"a write", past.Create(&Author{Name: "a"}).Error},
		{"a change", past.Model(&Author{ID: 1}).Update("name", "b").Error},
		{"a deletion", past.Delete(&Author{}, 1).Error},
		{"a join written as text, whose table would be read as it is now", past.Joins("JOIN books ON books.author_id = authors.id").Find(&[]Author{}).Error},
		{"raw SQL, which says by itself what it reads", past.Raw("SELECT * FROM authors").Find(&[]Author{}).Error},
		{"raw SQL that is scanned", past.Raw("SELECT * FROM authors").Scan(&[]Author{}).Error},
		{"raw SQL that is executed", past.Exec("DELETE FROM authors").Error},
		{"a subquery", past.Table("(?) AS a", db.Model(&Author{})).Find(&[]Author{}).Error},
	} {
		if !errors.Is(row.err, immudb.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", row.reason, row.err)
		}
	}
}
