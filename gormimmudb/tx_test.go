package gormimmudb_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"gorm.io/gorm"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gormimmudb"
)

var errWanted = errors.New("wanted")

func TestNestedTransactionThatSucceedsIsPartOfTheOuterOne(t *testing.T) {
	db := open(t, &Article{})
	must(t, db.Transaction(func(tx *gorm.DB) error {
		must(t, tx.Create(&Article{Slug: "outer"}).Error)
		return tx.Transaction(func(tx *gorm.DB) error { return tx.Create(&Article{Slug: "inner"}).Error })
	}))
	if n := count(t, db, &Article{}); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	err := db.Transaction(func(tx *gorm.DB) error {
		must(t, tx.CreateInBatches(&[]Article{{Slug: "b1"}, {Slug: "b2"}, {Slug: "b3"}}, 2).Error) // a nested one of gorm's own
		return errWanted
	})
	if n := count(t, db, &Article{}); !errors.Is(err, errWanted) || n != 2 {
		t.Errorf("err %v, %d rows, want 2", err, n)
	}
}

func TestNestedTransactionThatFailsIsUndone(t *testing.T) {
	for _, prepared := range []bool{false, true} {
		db := openWith(t, gormimmudb.Config{}, &gorm.Config{PrepareStmt: prepared}, &Article{})
		must(t, db.Transaction(func(tx *gorm.DB) error {
			must(t, tx.Create(&Article{Slug: "outer"}).Error)
			inner := tx.Session(&gorm.Session{}).Transaction(func(tx *gorm.DB) error {
				must(t, tx.Create(&Article{Slug: "inner"}).Error)
				return errWanted
			})
			if !errors.Is(inner, errWanted) {
				t.Errorf("inner: %v, want the error of the function", inner)
			}
			return tx.Create(&Article{Slug: "after"}).Error
		}))
		var slugs []string
		must(t, db.Model(&Article{}).Order("id").Pluck("slug", &slugs).Error)
		if !slices.Equal(slugs, []string{"outer", "after"}) {
			t.Errorf("prepared %v: %q were committed", prepared, slugs)
		}
	}
}

func TestStatementThatFailsInANestedTransactionIsUndone(t *testing.T) {
	db := open(t, &Article{})
	must(t, db.Transaction(func(tx *gorm.DB) error {
		must(t, tx.Create(&Article{Slug: "first"}).Error)
		inner := tx.Transaction(func(tx *gorm.DB) error {
			must(t, tx.Create(&Article{Slug: "lost"}).Error)
			return tx.Exec("INSERT INTO articles (id) VALUES (1)").Error
		})
		if !errors.Is(inner, immudb.ErrDuplicateKey) {
			t.Errorf("inner: %v, want ErrDuplicateKey", inner)
		}
		return tx.Model(&Article{}).Where("slug = ?", "first").Update("views", 7).Error
	}))
	var all []Article
	must(t, db.Find(&all).Error)
	if len(all) != 1 || all[0].Slug != "first" || all[0].Views != 7 {
		t.Errorf("%+v, want the first article with 7 views", all)
	}
}

func TestNestedTransactionThatWroteNothingMayFail(t *testing.T) {
	db := open(t, &Article{})
	must(t, db.Transaction(func(tx *gorm.DB) error {
		must(t, tx.Create(&Article{Slug: "outer"}).Error)
		inner := tx.Transaction(func(tx *gorm.DB) error { return tx.First(&Article{}, "slug = ?", "nosuch").Error })
		if !errors.Is(inner, gorm.ErrRecordNotFound) {
			t.Errorf("inner: %v", inner)
		}
		return nil
	}))
	if n := count(t, db, &Article{}); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestSavePointOutsideOfATransactionIsRefused(t *testing.T) {
	db := open(t, &Article{})
	var e *immudb.Error
	if err := db.SavePoint("a").Error; !errors.As(err, &e) || e.SQLState != "25P01" {
		t.Errorf("err = %v, want SQLSTATE 25P01", err)
	}
}

type Job struct {
	gorm.Model
	Queue string `gorm:"index"`
	Name  string
}

// The driver does this, also for gorm's queries and prepared statements.
func TestTransactionReadsItsOwnWrites(t *testing.T) {
	for _, prepared := range []bool{false, true} {
		db := openWith(t, gormimmudb.Config{}, &gorm.Config{PrepareStmt: prepared}, &Job{})
		must(t, db.Create(&[]Job{{Queue: "q", Name: "committed"}, {Queue: "old", Name: "moved"}}).Error)
		must(t, db.Transaction(func(tx *gorm.DB) error {
			names := func(query *gorm.DB) (list []string) {
				t.Helper()
				must(t, query.Model(&Job{}).Order("id").Pluck("name", &list).Error)
				return list
			}
			must(t, tx.Create(&[]Job{{Queue: "q", Name: "a"}, {Queue: "q", Name: "b"}, {Queue: "r", Name: "c"}}).Error)
			if got, want := names(tx.Where("queue = ?", "q")), []string{"committed", "a", "b"}; !slices.Equal(got, want) {
				t.Errorf("prepared %v: after INSERT %q, want %q", prepared, got, want)
			}
			must(t, tx.Model(&Job{}).Where("name = ?", "moved").Update("queue", "new").Error)
			if got := names(tx.Where(&Job{Queue: "old"})); len(got) > 0 {
				t.Errorf("prepared %v: after UPDATE %q, want none", prepared, got)
			}
			var ordered []Job
			must(t, tx.Order("queue, id").Find(&ordered).Error)
			if len(ordered) != 5 || ordered[0].Name != "moved" {
				t.Errorf("prepared %v: in the index's order: %+v", prepared, ordered)
			}
			must(t, tx.Where("name = ?", "a").Delete(&Job{}).Error)
			if got, want := names(tx.Where("queue = ? OR queue = ?", "q", "none")), []string{"committed", "b"}; !slices.Equal(got, want) {
				t.Errorf("prepared %v: after a soft delete %q, want %q", prepared, got, want)
			}
			return nil
		}))
		if n := count(t, db, &Job{}); n != 5 {
			t.Errorf("%d rows, want 5", n)
		}
	}
}

// Outside gorm's default transaction the driver runs statements again after a conflict.
func TestParallelCreatesDoNotConflict(t *testing.T) {
	db := open(t, &Article{})
	var wg sync.WaitGroup
	errs := make(chan error, 24)
	for i := range 24 {
		wg.Go(func() { errs <- db.Create(&Article{Slug: string(rune('A' + i))}).Error })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		must(t, err)
	}
	if n := count(t, db, &Article{}); n != 24 {
		t.Errorf("%d rows, want 24", n)
	}
}

type Hooked struct {
	ID   uint
	Name string
}

func (h *Hooked) AfterCreate(tx *gorm.DB) error {
	if h.Name == "bad" {
		return errWanted
	}
	return tx.Model(h).Update("name", h.Name+"!").Error
}

func TestHookThatFailsUndoesTheStatement(t *testing.T) {
	db := open(t, &Hooked{})
	if err := db.Create(&Hooked{Name: "bad"}).Error; !errors.Is(err, errWanted) {
		t.Fatalf("err = %v", err)
	}
	must(t, db.Create(&Hooked{Name: "good"}).Error)
	var names []string
	must(t, db.Model(&Hooked{}).Pluck("name", &names).Error)
	if !slices.Equal(names, []string{"good!"}) {
		t.Errorf("names %q, want [good!]", names)
	}
}

func TestTransactionThatReadWhatAnotherChangedConflicts(t *testing.T) {
	db := open(t, &Article{})
	a := Article{Slug: "a"}
	must(t, db.Create(&a).Error)
	err := db.Transaction(func(tx *gorm.DB) error {
		must(t, tx.First(&a).Error)
		must(t, db.Model(&Article{}).Where("id = 1").Update("views", 5).Error)
		return tx.Model(&a).Update("views", a.Views+1).Error
	})
	if !errors.Is(err, immudb.ErrConflict) {
		t.Errorf("err = %v, want ErrConflict", err)
	}
}
