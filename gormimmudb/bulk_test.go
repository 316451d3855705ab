package gormimmudb_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gormimmudb"
)

type Parcel struct {
	ID    uint
	Batch int `gorm:"index"`
	Title string
	Items []Item
}

type Item struct {
	ID       uint
	ParcelID uint
	Text     string
}

// Memo has a hook and is soft-deleted, so that gorm's default transaction is used.
type Memo struct {
	gorm.Model
	Title string
}

func (n *Memo) BeforeCreate(*gorm.DB) error { n.Title += "!"; return nil }

func parcels(n int) []Parcel {
	all := make([]Parcel, n)
	for i := range all {
		all[i] = Parcel{Batch: 1, Title: fmt.Sprint(i)}
	}
	return all
}

func TestRowsBeyondATransactionAreRefusedWithTheRemedyAndNothingIsWritten(t *testing.T) {
	db := open(t, &Parcel{}, &Item{}, &Memo{})
	must(t, db.Exec("CREATE TABLE keyed (id INTEGER, title VARCHAR, PRIMARY KEY id)").Error)
	keyed := make([]map[string]any, 1500)
	for i := range keyed {
		keyed[i] = map[string]any{"id": i, "title": "t"}
	}
	skip := db.Session(&gorm.Session{SkipDefaultTransaction: true})
	tx := func(write func(tx *gorm.DB) error) error { return db.Transaction(write) }
	upsert := clause.OnConflict{UpdateAll: true}
	for _, c := range []struct {
		name, remedy string
		err          error
	}{
		{"Create", "SkipDefaultTransaction", db.Create(ptr(parcels(1500))).Error},
		{"Create without RETURNING", "SkipDefaultTransaction", db.Table("keyed").Create(keyed).Error},
		{"Create with hooks", "SkipDefaultTransaction", db.Create(ptr(make([]Memo, 1500))).Error},
		{"Create of many associations", "SkipDefaultTransaction", db.Create(&Parcel{Items: make([]Item, 1500)}).Error},
		{"CreateInBatches", "SkipDefaultTransaction", db.CreateInBatches(ptr(parcels(1500)), 500).Error},
		{"CreateBatchSize", "SkipDefaultTransaction", db.Session(&gorm.Session{CreateBatchSize: 500}).Create(ptr(parcels(1500))).Error},
		{"CreateInBatches of upserts", "CopyFrom", db.Clauses(upsert).Table("keyed").CreateInBatches(keyed, 500).Error},
		{"Create, SkipDefaultTransaction", "CreateInBatches", skip.Create(ptr(parcels(1500))).Error},
		{"Create in a transaction", "commit in between", tx(func(tx *gorm.DB) error { return tx.Create(ptr(parcels(1500))).Error })},
		{"batches in a transaction, SkipDefaultTransaction", "commit in between", tx(func(tx *gorm.DB) error {
			return tx.Session(&gorm.Session{SkipDefaultTransaction: true}).CreateInBatches(ptr(parcels(1500)), 500).Error
		})},
	} {
		if !errors.Is(c.err, immudb.ErrTooManyEntries) || !strings.Contains(c.err.Error(), c.remedy) || strings.Count(c.err.Error(), "gormimmudb: ") > 1 {
			t.Errorf("%s: err = %v, want ErrTooManyEntries that says %s", c.name, c.err, c.remedy)
		}
	}
	for _, model := range []any{&Parcel{}, &Item{}, &Memo{}} {
		if n := count(t, db, model); n != 0 {
			t.Errorf("%T: %d rows, want none", model, n)
		}
	}
}

func TestBatchesWithoutTheDefaultTransactionHoldAnyNumberOfRows(t *testing.T) {
	for name, write := range map[string]func(db *gorm.DB, rows *[]Parcel) *gorm.DB{
		"CreateInBatches": func(db *gorm.DB, rows *[]Parcel) *gorm.DB { return db.CreateInBatches(rows, 1000) },
		"CreateBatchSize": func(db *gorm.DB, rows *[]Parcel) *gorm.DB {
			return db.Session(&gorm.Session{CreateBatchSize: 1000}).Create(rows)
		},
	} {
		db := openWith(t, gormimmudb.Config{}, &gorm.Config{SkipDefaultTransaction: true}, &Parcel{}, &Item{})
		rows := parcels(3000)
		rows[2999].Items = make([]Item, 1500)
		res := write(db, &rows)
		if name == "CreateInBatches" { // its batch size is not that of associations
			rows[2999].Items = nil
			if !errors.Is(res.Error, immudb.ErrTooManyEntries) {
				t.Errorf("%s: err = %v, want ErrTooManyEntries for the lines", name, res.Error)
			}
		} else {
			must(t, res.Error)
			if n := count(t, db, &Item{}); n != 1500 || res.RowsAffected != 3000 {
				t.Errorf("%s: %d lines, %d rows affected", name, n, res.RowsAffected)
			}
		}
		if n := count(t, db, &Parcel{}); n != 3000 || rows[1999].ID != 2000 {
			t.Errorf("%s: %d rows, and the 2000th has key %d", name, n, rows[1999].ID)
		}
	}
}

func TestBatchThatFailsLeavesThoseBeforeItCommitted(t *testing.T) {
	db := open(t, &Article{})
	batch := []Article{{Slug: "a"}, {Slug: "b"}, {Slug: "c"}, {Slug: "a"}}
	if err := db.CreateInBatches(&batch, 2).Error; !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Fatalf("err = %v, want ErrDuplicateKey", err)
	}
	if n := count(t, db, &Article{}); n != 0 {
		t.Errorf("%d rows, want none: the batches are one transaction", n)
	}
	batch = []Article{{Slug: "a"}, {Slug: "b"}, {Slug: "c"}, {Slug: "a"}}
	skip := db.Session(&gorm.Session{SkipDefaultTransaction: true})
	if err := skip.CreateInBatches(&batch, 2).Error; !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Fatalf("err = %v, want ErrDuplicateKey", err)
	}
	if n := count(t, db, &Article{}); n != 2 {
		t.Errorf("%d rows, want the 2 of the first batch", n)
	}
}

func TestManyRowsAreUpdatedAndDeletedInPortions(t *testing.T) {
	type Log struct {
		gorm.Model
		Kind string `gorm:"index"`
	}
	db := openWith(t, gormimmudb.Config{}, &gorm.Config{SkipDefaultTransaction: true, CreateBatchSize: 1000}, &Log{})
	must(t, db.Create(ptr(make([]Log, 2500))).Error)
	all := func() *gorm.DB { return db.Session(&gorm.Session{AllowGlobalUpdate: true}) }
	for _, c := range []struct {
		name    string
		whole   error
		portion func() *gorm.DB
	}{
		{"update", all().Model(&Log{}).Update("kind", "new").Error,
			func() *gorm.DB { return db.Model(&Log{}).Where("kind = ?", "").Limit(400).Update("kind", "new") }},
		{"soft delete", db.Where("kind = ?", "").Delete(&Log{}).Error,
			func() *gorm.DB { return db.Where("kind = ?", "new").Limit(500).Delete(&Log{}) }},
		{"delete", db.Unscoped().Where("kind = ?", "").Delete(&Log{}).Error,
			func() *gorm.DB { return db.Unscoped().Where("kind = ?", "new").Limit(1000).Delete(&Log{}) }},
	} {
		if !errors.Is(c.whole, immudb.ErrTooManyEntries) || !strings.Contains(c.whole.Error(), "Limit(500)") {
			t.Errorf("%s: err = %v, want ErrTooManyEntries that says Limit", c.name, c.whole)
		}
		var total int64
		for {
			res := c.portion()
			must(t, res.Error)
			total += res.RowsAffected
			if res.RowsAffected == 0 {
				break
			}
		}
		if total != 2500 {
			t.Errorf("%s: %d rows in all portions, want 2500", c.name, total)
		}
	}
	if n := count(t, db, &Log{}); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestLimitOfUpdateAndDelete(t *testing.T) {
	db := open(t, &Article{})
	must(t, db.Create(&[]Article{{Slug: "a"}, {Slug: "b"}, {Slug: "c"}}).Error)
	where := func() *gorm.DB { return db.Model(&Article{}).Where("views = 0") }
	for _, c := range []struct {
		name string
		res  *gorm.DB
		want int64
	}{
		{"Limit(0) is nothing", where().Limit(0).Update("title", "x"), 0},
		{"Limit(0) is nothing", where().Limit(0).Delete(&Article{}), 0},
		{"Limit(-1) is no limit", where().Limit(-1).Update("title", "x"), 3},
		{"Limit", where().Limit(2).Update("title", "y"), 2},
		{"Limit and Offset", where().Limit(5).Offset(2).Update("title", "z"), 1},
		{"RETURNING", where().Clauses(clause.Returning{}).Limit(1).Delete(&[]Article{}), 1},
		{"First is limited and ordered, its Update is not", db.First(&Article{}, "views = 0").Update("title", "w"), 1},
	} {
		if c.res.Error != nil || c.res.RowsAffected != c.want {
			t.Errorf("%s: %d rows, err = %v; want %d", c.name, c.res.RowsAffected, c.res.Error, c.want)
		}
	}
	// The server has no ORDER BY here: other rows than the first would be deleted.
	if err := where().Order("id DESC").Limit(1).Delete(&Article{}).Error; !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("err = %v, want ErrUnsupported", err)
	}
	if n := count(t, db, &Article{}); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}
