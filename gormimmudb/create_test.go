package gormimmudb_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gormimmudb"
)

type Article struct {
	ID     uint
	Slug   string `gorm:"uniqueIndex"`
	Title  string
	Status string `gorm:"default:draft"`
	Stamp  string `gorm:"default:(CONCAT('a','b'))"`
	Views  int
}

func TestCreateFillsInKeysAndDefaults(t *testing.T) {
	for _, where := range []string{"outside a transaction", "in a transaction"} {
		t.Run(where, func(t *testing.T) {
			db := open(t, &Article{})
			create := func(db *gorm.DB) error {
				one := Article{Slug: "one"}
				if err := db.Create(&one).Error; err != nil {
					return err
				}
				if one.ID != 1 || one.Status != "draft" || one.Stamp != "ab" {
					t.Errorf("one row: %+v", one)
				}
				batch := []*Article{{Slug: "two"}, {Slug: "three", Stamp: "mine"}, {Slug: "four"}}
				res := db.Create(&batch)
				if res.Error != nil {
					return res.Error
				}
				if res.RowsAffected != 3 {
					t.Errorf("%d rows affected, want 3", res.RowsAffected)
				}
				for i, want := range []Article{{ID: 2, Stamp: "ab"}, {ID: 3, Stamp: "mine"}, {ID: 4, Stamp: "ab"}} {
					if batch[i].ID != want.ID || batch[i].Stamp != want.Stamp || batch[i].Status != "draft" {
						t.Errorf("row %d of the batch: %+v", i, *batch[i])
					}
				}
				return nil
			}
			if where == "in a transaction" {
				must(t, db.Transaction(create))
			} else {
				must(t, create(db))
			}
			var slugs []string
			must(t, db.Model(&Article{}).Order("id").Pluck("slug", &slugs).Error)
			if want := []string{"one", "two", "three", "four"}; !slices.Equal(slugs, want) {
				t.Errorf("slugs %q, want %q", slugs, want)
			}
		})
	}
}

// The server has no DEFAULT keyword, so that rows with and without a key cannot
// share a statement.
func TestBatchOfRowsWithAndWithoutAKeyIsOneTransaction(t *testing.T) {
	db := open(t, &Article{})
	batch := []Article{{Slug: "a"}, {ID: 10, Slug: "b"}, {Slug: "c"}}
	res := db.Create(&batch)
	must(t, res.Error)
	if ids := []uint{batch[0].ID, batch[1].ID, batch[2].ID}; !slices.Equal(ids, []uint{1, 10, 2}) || res.RowsAffected != 3 {
		t.Errorf("ids %v, %d rows affected", ids, res.RowsAffected)
	}
	bad := []Article{{Slug: "d"}, {ID: 20, Slug: "a"}}
	if err := db.Create(&bad).Error; !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Fatalf("err = %v, want ErrDuplicateKey", err)
	}
	if n := count(t, db, &Article{}); n != 3 {
		t.Errorf("%d rows, want 3: the failed batch must leave nothing", n)
	}
}

func TestCreateFromMaps(t *testing.T) {
	db := open(t, &Article{})
	must(t, db.Model(&Article{}).Create(map[string]any{"Slug": "m1", "Title": "M"}).Error)
	must(t, db.Model(&Article{}).Create([]map[string]any{{"Slug": "m2"}, {"Slug": "m3", "Title": "T"}}).Error)
	row := map[string]any{"slug": "m4"}
	must(t, db.Table("articles").Create(row).Error)
	if row["@id"] != int64(4) {
		t.Errorf("@id = %v, want 4", row["@id"])
	}
	if n := count(t, db, &Article{}); n != 4 {
		t.Errorf("%d rows, want 4", n)
	}
}

func TestRowThatNamesNoColumnIsRefused(t *testing.T) {
	type Empty struct{ ID uint }
	db := open(t, &Empty{})
	if err := db.Create(&Empty{}).Error; !errors.Is(err, immudb.ErrUnsupported) || !strings.Contains(err.Error(), "names no column") {
		t.Errorf("err = %v, want ErrUnsupported that says why", err)
	}
}

func TestUpsert(t *testing.T) {
	byKey := []clause.Column{{Name: "id"}}
	bySlug := []clause.Column{{Name: "slug"}}
	for _, row := range []struct {
		reason   string
		conflict clause.OnConflict
		give     []Article
		want     []string // slug=title/views of all rows
		affected int64
	}{
		{"key, nothing", clause.OnConflict{Columns: byKey, DoNothing: true},
			[]Article{{ID: 1, Slug: "x", Title: "new"}, {Slug: "y", Title: "Y"}}, []string{"a=A/1", "b=B/1", "y=Y/0"}, 1},
		{"key, the excluded row's values", clause.OnConflict{Columns: byKey, DoUpdates: clause.AssignmentColumns([]string{"title"})},
			[]Article{{ID: 1, Slug: "x", Title: "A2"}, {ID: 2, Slug: "z", Title: "B2"}}, []string{"a=A2/1", "b=B2/1"}, 2},
		{"key, an expression of the stored row", clause.OnConflict{Columns: byKey, DoUpdates: clause.Assignments(map[string]any{"views": gorm.Expr("views + ?", 10)})},
			[]Article{{ID: 1, Slug: "x"}, {ID: 2, Slug: "z"}}, []string{"a=A/11", "b=B/11"}, 2},
		{"key, an expression of both rows", clause.OnConflict{Columns: byKey, DoUpdates: clause.Assignments(map[string]any{"views": gorm.Expr("articles.views + excluded.views + ?", 100)})},
			[]Article{{ID: 1, Slug: "x", Views: 5}}, []string{"a=A/106", "b=B/1"}, 1},
		{"everything", clause.OnConflict{UpdateAll: true},
			[]Article{{ID: 2, Slug: "bb", Title: "BB", Views: 7}}, []string{"a=A/1", "bb=BB/7"}, 1},
		{"unique index, the excluded row's values", clause.OnConflict{Columns: bySlug, DoUpdates: clause.AssignmentColumns([]string{"title", "views"})},
			[]Article{{Slug: "a", Title: "A3", Views: 3}, {Slug: "c", Title: "C", Views: 4}}, []string{"a=A3/3", "b=B/1", "c=C/4"}, 2},
		{"unique index, nothing", clause.OnConflict{Columns: bySlug, DoNothing: true},
			[]Article{{Slug: "a", Title: "no"}, {Slug: "c", Title: "C"}}, []string{"a=A/1", "b=B/1", "c=C/0"}, 1},
		{"whatever key, nothing", clause.OnConflict{DoNothing: true},
			[]Article{{Slug: "b", Title: "no"}, {ID: 1, Slug: "q"}, {Slug: "c", Title: "C"}}, []string{"a=A/1", "b=B/1", "c=C/0"}, 1},
	} {
		t.Run(row.reason, func(t *testing.T) {
			db := open(t, &Article{})
			must(t, db.Create([]Article{{Slug: "a", Title: "A", Views: 1}, {Slug: "b", Title: "B", Views: 1}}).Error)
			res := db.Clauses(row.conflict).Create(&row.give)
			must(t, res.Error)
			var rows []Article
			must(t, db.Order("id").Find(&rows).Error)
			var got []string
			for _, r := range rows {
				got = append(got, fmt.Sprintf("%s=%s/%d", r.Slug, r.Title, r.Views))
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("rows %q, want %q", got, row.want)
			}
			if row.affected != res.RowsAffected {
				t.Errorf("%d rows affected, want %d", res.RowsAffected, row.affected)
			}
		})
	}
}

func TestUpsertOnAUniqueIndexFindsTheKey(t *testing.T) {
	db := open(t, &Article{})
	must(t, db.Create(&Article{Slug: "a", Title: "A"}).Error)
	again := Article{Slug: "a", Title: "A2"}
	must(t, db.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "slug"}}, UpdateAll: true}).Create(&again).Error)
	if again.ID != 1 {
		t.Errorf("id %d, want that of the row that was updated, 1", again.ID)
	}
}

func TestConflictTargetsThatCannotBe(t *testing.T) {
	db := open(t, &Article{})
	for _, row := range []struct {
		reason   string
		conflict clause.OnConflict
	}{
		{"not unique", clause.OnConflict{Columns: []clause.Column{{Name: "title"}}, DoNothing: true}},
		{"constraints have no names", clause.OnConflict{OnConstraint: "x", DoNothing: true}},
		{"no WHERE in ON CONFLICT", clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, UpdateAll: true,
			Where: clause.Where{Exprs: []clause.Expression{clause.Eq{Column: "views", Value: 1}}}}},
	} {
		if err := db.Clauses(row.conflict).Create(&Article{Slug: "s"}).Error; !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s: err = %v, want ErrUnsupported", row.reason, err)
		}
	}
}

func TestSaveWritesAllFieldsOrInserts(t *testing.T) {
	db := open(t, &Article{})
	a := Article{Slug: "a", Title: "A", Views: 3}
	must(t, db.Save(&a).Error)
	a.Title, a.Views = "", 0
	must(t, db.Save(&a).Error)
	must(t, db.Save(&Article{ID: 7, Slug: "seven"}).Error)
	must(t, db.Select("*").Save(&a).Error) // assigns the key to itself, which the server refuses
	var rows []Article
	must(t, db.Order("id").Find(&rows).Error)
	if len(rows) != 2 || rows[0].Title != "" || rows[0].Views != 0 || rows[1].ID != 7 {
		t.Errorf("rows %+v", rows)
	}
}

func TestTimesAreWhatTheyWereWhenCreated(t *testing.T) {
	type Event struct {
		gorm.Model
		At *time.Time
	}
	db := open(t, &Event{})
	at := time.Now().Truncate(time.Microsecond)
	e := Event{At: &at}
	must(t, db.Create(&e).Error)
	var got Event
	must(t, db.First(&got).Error)
	if !got.CreatedAt.Equal(e.CreatedAt) || !got.UpdatedAt.Equal(e.UpdatedAt) || !got.At.Equal(at) {
		t.Errorf("created %v, read %v", e, got)
	}
}

func TestNullInANotNullColumnIsRefused(t *testing.T) {
	type Strict struct {
		ID   uint
		Name *string `gorm:"not null"`
	}
	db := open(t, &Strict{})
	if err := db.Create(&Strict{}).Error; !errors.Is(err, immudb.ErrNotNull) {
		t.Errorf("Create: %v, want ErrNotNull", err)
	}
	name := "n"
	must(t, db.Create(&Strict{Name: &name}).Error)
	// The server accepts this one.
	if err := db.Model(&Strict{ID: 1}).Update("name", nil).Error; !errors.Is(err, immudb.ErrNotNull) {
		t.Errorf("Update: %v, want ErrNotNull", err)
	}
}

func TestErrorsAreTranslated(t *testing.T) {
	type Checked struct {
		ID   uint
		Name string `gorm:"unique"`
		N    int    `gorm:"check:n > 0"`
	}
	db := openWith(t, gormimmudb.Config{}, &gorm.Config{TranslateError: true}, &Checked{})
	must(t, db.Create(&Checked{Name: "a", N: 1}).Error)
	if err := db.Create(&Checked{Name: "a", N: 1}).Error; !errors.Is(err, gorm.ErrDuplicatedKey) || !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Errorf("err = %v, want gorm's ErrDuplicatedKey and the driver's", err)
	}
	if err := db.Create(&Checked{Name: "b", N: 0}).Error; !errors.Is(err, gorm.ErrCheckConstraintViolated) || !errors.Is(err, immudb.ErrCheck) {
		t.Errorf("err = %v, want gorm's ErrCheckConstraintViolated and the driver's", err)
	}
}

type Shelf struct {
	ID      int
	Name    string
	Volumes []Volume
}

type Volume struct {
	ShelfID int    `gorm:"primaryKey"`
	Title   string `gorm:"primaryKey"`
	Pages   int
}

// gorm sets the foreign key of existing rows of an association again, also if it is a part of their primary key, which
// the server does not allow to be set in an UPDATE.
func TestAssociationsWhoseKeyHoldsTheForeignKeyAreSaved(t *testing.T) {
	db := open(t, &Shelf{}, &Volume{})
	shelf := Shelf{Name: "upper", Volumes: []Volume{{Title: "a", Pages: 1}, {Title: "b", Pages: 2}}}
	must(t, db.Create(&shelf).Error)
	shelf.Volumes[0].Pages, shelf.Volumes = 10, append(shelf.Volumes, Volume{Title: "c", Pages: 3})
	must(t, db.Session(&gorm.Session{FullSaveAssociations: true}).Save(&shelf).Error)
	var found Shelf
	must(t, db.Preload("Volumes").First(&found, shelf.ID).Error)
	if got, want := fmt.Sprint(found), fmt.Sprint(shelf); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// A change to a different key is still refused.
	other := clause.OnConflict{DoUpdates: clause.Assignments(map[string]any{"title": "z"})}
	if err := db.Clauses(other).Create(&Volume{ShelfID: shelf.ID, Title: "a"}).Error; !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("err = %v, want ErrUnsupported", err)
	}
}
