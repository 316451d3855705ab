package gormimmudb_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	. "gorm.io/gorm/utils/tests"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gormimmudb"
)

// family is gorm's own set of associated models.
func family(t testing.TB) *gorm.DB {
	t.Helper()
	return open(t, &User{}, &Account{}, &Pet{}, &Company{}, &Toy{}, &Language{}, &Tools{})
}

// jinzhu returns a user with one of each association.
func jinzhu() *User {
	birthday := time.Now().Truncate(time.Second)
	return &User{
		Name: "jinzhu", Age: 18, Birthday: &birthday, Active: true,
		Account:   Account{Number: "n1"},
		Company:   Company{Name: "c1"},
		Manager:   &User{Name: "boss"},
		Pets:      []*Pet{{Name: "p1", Toy: Toy{Name: "t1"}}, {Name: "p2"}},
		Toys:      []Toy{{Name: "t2"}},
		Team:      []User{{Name: "m1"}, {Name: "m2"}},
		Languages: []Language{{Code: "en", Name: "English"}, {Code: "fr", Name: "French"}},
		Friends:   []*User{{Name: "f1"}},
	}
}

func TestAssociationsAreSavedAndPreloaded(t *testing.T) {
	db := family(t)
	user := jinzhu()
	must(t, db.Create(user).Error)
	var got User
	must(t, db.Preload("Pets.Toy").Preload(clause.Associations).First(&got, user.ID).Error)
	if got.Company.Name != "c1" || got.Manager == nil || got.Manager.Name != "boss" || got.Account.Number != "n1" ||
		len(got.Pets) != 2 || got.Pets[0].Toy.Name != "t1" || len(got.Toys) != 1 || len(got.Team) != 2 ||
		len(got.Languages) != 2 || len(got.Friends) != 1 {
		t.Errorf("got %+v", got)
	}
	var joined User
	must(t, db.Joins("Company").Joins("Manager").Joins("Account").First(&joined, "users.id = ?", user.ID).Error)
	if joined.Company.Name != "c1" || joined.Manager == nil || joined.Manager.Name != "boss" || joined.Account.Number != "n1" {
		t.Errorf("Joins: %+v", joined)
	}
	must(t, db.Model(&got).Association("Languages").Append(&Language{Code: "de", Name: "German"}))
	must(t, db.Model(&got).Association("Languages").Delete(&Language{Code: "fr"}))
	must(t, db.Model(&got).Association("Pets").Replace(&Pet{Name: "p3"}))
	if n := db.Model(&got).Association("Languages").Count(); n != 2 {
		t.Errorf("%d languages, want 2", n)
	}
	if n := db.Model(&got).Association("Pets").Count(); n != 1 {
		t.Errorf("%d pets, want 1", n)
	}
	must(t, db.Select("Account", "Languages").Delete(&got).Error)
	if err := db.First(&User{}, got.ID).Error; !errors.Is(err, gorm.ErrRecordNotFound) {
		t.Errorf("deleted user: %v, want ErrRecordNotFound", err)
	}
}

func TestFullSaveAssociationsUpdatesThem(t *testing.T) {
	db := family(t)
	user := jinzhu()
	must(t, db.Create(user).Error)
	user.Company.Name, user.Pets[0].Name, user.Languages[0].Name = "c2", "renamed", "British"
	must(t, db.Session(&gorm.Session{FullSaveAssociations: true}).Save(user).Error)
	var got User
	must(t, db.Preload(clause.Associations).First(&got, user.ID).Error)
	if got.Company.Name != "c2" || !slices.ContainsFunc(got.Pets, func(p *Pet) bool { return p.Name == "renamed" }) ||
		!slices.ContainsFunc(got.Languages, func(l Language) bool { return l.Name == "British" }) {
		t.Errorf("got %+v", got)
	}
}

func TestSoftDeleteHidesAndUnscopedFinds(t *testing.T) {
	db := family(t)
	users := []User{{Name: "a"}, {Name: "b"}}
	must(t, db.Create(&users).Error)
	must(t, db.Delete(&users[0]).Error)
	var names []string
	must(t, db.Model(&User{}).Pluck("name", &names).Error)
	if !slices.Equal(names, []string{"b"}) {
		t.Errorf("names %q, want [b]", names)
	}
	must(t, db.Unscoped().Delete(&users[0]).Error)
	if n := count(t, db, &User{}); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

type Stock struct {
	Warehouse string   `gorm:"primaryKey"`
	Item      int      `gorm:"primaryKey;autoIncrement:false"`
	UserName  string   `gorm:"column:UserName"` // the server folds it to lower case
	Tags      []string `gorm:"serializer:json"`
}

func TestCompositeKeys(t *testing.T) {
	db := open(t, &Stock{})
	stocks := []Stock{{"north", 1, "ann", []string{"x", "y"}}, {"north", 2, "bob", nil}, {"south", 1, "cid", nil}}
	must(t, db.Create(&stocks).Error)
	var got []Stock
	must(t, db.Order("warehouse, item").Find(&got).Error)
	if !reflect.DeepEqual(got, stocks) {
		t.Errorf("got %+v, want %+v", got, stocks)
	}
	one := Stock{Warehouse: "north", Item: 2}
	if err := db.First(&one).Error; err != nil || one.UserName != "bob" {
		t.Errorf("got %+v (%v), want bob's", one, err)
	}
	must(t, db.Delete(stocks[1:]).Error)
	if n := count(t, db, &Stock{}); n != 1 {
		t.Errorf("%d rows left, want 1", n)
	}
}

func TestQueriesThatTheServerWouldTakeAmiss(t *testing.T) {
	db := family(t)
	must(t, db.Create(&[]User{{Name: "a", Age: 1}, {Name: "b", Age: 2}, {Name: "c", Age: 3}}).Error)
	must(t, db.Create(&[]Pet{{Name: "b"}, {Name: "dog", UserID: ptr[uint](2)}, {Name: "cat", UserID: ptr[uint](3)}}).Error)
	for _, row := range []struct {
		reason string
		query  *gorm.DB
		want   []string
	}{
		{"LIMIT 0 is no limit to it", db.Model(&User{}).Limit(0), nil},
		{"a number in text is no number to it", db.Model(&User{}).Where("id", "2").Where(map[string]any{"age": []string{"2", "3"}}), []string{"b"}},
		{"OFFSET without LIMIT", db.Model(&User{}).Order("id").Offset(2), []string{"c"}},
		{"a name in a subquery is the outer table's to it",
			db.Model(&Pet{}).Where("user_id IN (?)", db.Model(&User{}).Select("id").Where("name = ?", "b")), []string{"dog"}},
		{"the same with a map",
			db.Model(&Pet{}).Where("user_id IN (?)", db.Model(&User{}).Select("id").Where(map[string]any{"name": "c"})), []string{"cat"}},
		{"EXISTS with arguments",
			db.Model(&Pet{}).Where("EXISTS (?)", db.Model(&User{}).Select("1").Where("users.id = pets.user_id AND users.name = ?", "b")), []string{"dog"}},
		{"EXISTS written out", db.Model(&Pet{}).Where("EXISTS (SELECT 1 FROM users WHERE users.id = pets.user_id AND users.age > ? AND users.name IN ?)", 2, []string{"b", "c"}), []string{"cat"}},
		{"LEFT OUTER JOIN", db.Model(&Pet{}).Joins("LEFT OUTER JOIN users u ON u.id = pets.user_id").Where("u.age = ?", 3), []string{"cat"}},
		{"tuples", db.Model(&Pet{}).Where(clause.IN{Column: []clause.Column{{Name: "name"}, {Name: "user_id"}}, Values: []any{[]any{"dog", 2}, []any{"cat", 2}}}), []string{"dog"}},
		{"FOR UPDATE", db.Model(&User{}).Clauses(clause.Locking{Strength: "UPDATE"}).Where("age = 1"), []string{"a"}},
	} {
		var names []string
		if err := row.query.Pluck("name", &names).Error; err != nil || !slices.Equal(names, row.want) && len(names)+len(row.want) > 0 {
			t.Errorf("%s: got %q (%v), want %q", row.reason, names, err, row.want)
		}
	}
	err := db.Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"}).Find(&[]User{}).Error
	if !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("SKIP LOCKED: %v, want ErrUnsupported", err)
	}
}

// The driver writes the arguments of EXISTS as literals. No input of a user may end the
// literal.
func TestArgumentsOfExistsStayValues(t *testing.T) {
	db := family(t)
	for _, text := range []string{"it's", "a''b", "$1", "?", "@name", "'; DROP TABLE users; --", `\`, "100% \"q\"", "a$2?@b'c"} {
		must(t, db.Create(&Company{Name: text}).Error)
		var n int64
		sub := db.Model(&Company{}).Select("1").Where("companies.name = ?", text)
		must(t, db.Model(&Company{}).Where("name = ? AND EXISTS (?)", text, sub).Count(&n).Error)
		if n != 1 {
			t.Errorf("%q: found %d rows, want 1", text, n)
		}
		// EXISTS in a subquery of a subquery
		inner := db.Model(&Company{}).Select("name").Where("EXISTS (?)", sub)
		must(t, db.Model(&Company{}).Where("name IN (?)", inner).Where("name = ?", text).Count(&n).Error)
		if n != 1 {
			t.Errorf("%q nested: found %d rows, want 1", text, n)
		}
	}
}

func TestStarsBesideOtherColumns(t *testing.T) {
	db := family(t)
	must(t, db.Create(&User{Name: "a", Pets: []*Pet{{Name: "p"}}}).Error)
	type row struct {
		User
		PetName string
	}
	for _, query := range []*gorm.DB{
		db.Table("users").Select("users.*, pets.name AS pet_name").Joins("JOIN pets ON pets.user_id = users.id"),
		db.Table("users AS u").Select("u.*, p.name AS pet_name").Joins("JOIN pets p ON p.user_id = u.id"),
		db.Table("users").Select("users.*", "pets.name AS pet_name").Joins("JOIN pets ON pets.user_id = users.id"),
	} {
		var got row
		if err := query.Take(&got).Error; err != nil || got.ID != 1 || got.PetName != "p" {
			t.Errorf("got %+v (%v)", got, err)
		}
	}
	var counted struct {
		User
		N int
	}
	if err := db.Model(&User{}).Select("*, age + 1 AS n").Take(&counted).Error; err != nil || counted.ID != 1 || counted.N != 1 {
		t.Errorf("got %+v (%v)", counted, err)
	}
}

func TestRowsBatchesAndScopes(t *testing.T) {
	db := open(t, &Article{})
	var articles []Article
	for i := range 25 {
		articles = append(articles, Article{Slug: fmt.Sprint("s", i), Views: i % 5})
	}
	must(t, db.CreateInBatches(&articles, 10).Error)

	rows, err := db.Model(&Article{}).Where("views = ?", 4).Rows()
	must(t, err)
	defer rows.Close()
	n := 0
	for rows.Next() {
		var a Article
		must(t, db.ScanRows(rows, &a))
		n++
	}
	if n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
	var batches []int
	must(t, db.FindInBatches(&articles, 10, func(_ *gorm.DB, _ int) error {
		batches = append(batches, len(articles))
		return nil
	}).Error)
	if !slices.Equal(batches, []int{10, 10, 5}) {
		t.Errorf("batches of %v, want 10, 10 and 5", batches)
	}
	popular := func(db *gorm.DB) *gorm.DB { return db.Where("views > ?", 3) }
	var total int64
	must(t, db.Model(&Article{}).Scopes(popular).Count(&total).Error)
	var sums []struct {
		Views int
		Total int
	}
	must(t, db.Model(&Article{}).Select("views, count(*) AS total").Group("views").Having("count(*) > 1").Order("views").Find(&sums).Error)
	if total != 5 || len(sums) != 5 || sums[4].Total != 5 {
		t.Errorf("%d popular, sums %v", total, sums)
	}
}

func TestPreparedStatements(t *testing.T) {
	db := openWith(t, gormimmudb.Config{}, &gorm.Config{PrepareStmt: true}, &Article{})
	for i := range 3 {
		must(t, db.Create(&Article{Slug: fmt.Sprint(i)}).Error)
	}
	must(t, db.Transaction(func(tx *gorm.DB) error {
		return tx.Model(&Article{}).Where("slug = ?", "1").Update("title", "T").Error
	}))
	var a Article
	must(t, db.First(&a, "title = ?", "T").Error)
	if a.Slug != "1" {
		t.Errorf("got %+v", a)
	}
}

func TestDryRunAndToSQL(t *testing.T) {
	db := open(t, &Article{})
	got := db.ToSQL(func(tx *gorm.DB) *gorm.DB {
		return tx.Model(&Article{}).Where("title = ? AND views > ?", "it's", 5).Limit(3).Find(&[]Article{})
	})
	if want := `SELECT * FROM "articles" WHERE title = 'it''s' AND views > 5 LIMIT 3`; got != want {
		t.Errorf("ToSQL: %s, want %s", got, want)
	}
	stmt := db.Session(&gorm.Session{DryRun: true}).Create(&[]Article{{ID: 5, Slug: "a"}, {Slug: "b"}}).Statement
	if sql := stmt.SQL.String(); strings.Count(sql, "INSERT INTO") != 2 || len(stmt.Vars) != 9 {
		t.Errorf("DryRun of a batch in two statements: %s %v", sql, stmt.Vars)
	}
	if n := count(t, db, &Article{}); n != 0 {
		t.Errorf("%d rows after dry runs", n)
	}
}

func TestExplainFillsInArguments(t *testing.T) {
	db := open(t)
	var args []any
	for i := range 9 {
		args = append(args, i)
	}
	args = append(args, "it's $1", nil, true)
	got := db.Dialector.Explain("a = $1 AND b = $10 AND c = $11 AND d = $12", args...)
	if want := "a = 0 AND b = 'it''s $1' AND c = NULL AND d = true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUpdateAndDeleteReturnRows(t *testing.T) {
	db := open(t, &Article{})
	run := func(db *gorm.DB) error {
		if err := db.Create(&[]Article{{Slug: "a"}, {Slug: "b"}}).Error; err != nil {
			return err
		}
		var updated, deleted []Article
		if err := db.Model(&updated).Clauses(clause.Returning{}).Where("views < ?", 9).Update("views", gorm.Expr("views + ?", 1)).Error; err != nil {
			return err
		}
		if len(updated) != 2 || updated[1].Slug != "b" || updated[1].Views != 1 {
			t.Errorf("updated %+v", updated)
		}
		err := db.Clauses(clause.Returning{Columns: []clause.Column{{Name: "slug"}}}).Where("views = ?", 1).Delete(&deleted).Error
		if len(deleted) != 2 || deleted[0].Slug != "a" {
			t.Errorf("deleted %+v", deleted)
		}
		return err
	}
	must(t, run(db))
	must(t, db.Transaction(run))
}

func TestCanceledContextEndsWhatRunsUnderIt(t *testing.T) {
	db := open(t, &Article{})
	ctx, cancel := context.WithCancel(t.Context())
	must(t, db.WithContext(ctx).Create(&Article{Slug: "a"}).Error)
	cancel()
	for _, err := range []error{
		db.WithContext(ctx).Create(&Article{Slug: "b"}).Error,
		db.WithContext(ctx).First(&Article{}).Error,
		db.WithContext(ctx).Transaction(func(*gorm.DB) error { return nil }),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v, want context.Canceled", err)
		}
	}
	if n := count(t, db, &Article{}); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestHandedOverPoolIsUsed(t *testing.T) {
	first := open(t, &Article{})
	pool, err := first.DB()
	must(t, err)
	db, err := gorm.Open(gormimmudb.New(gormimmudb.Config{Conn: pool}), &gorm.Config{})
	must(t, err)
	must(t, db.Create(&Article{Slug: "x"}).Error)
	if got, want := db.Migrator().CurrentDatabase(), first.Migrator().CurrentDatabase(); got != want || got == "" {
		t.Errorf("CurrentDatabase %q, want %q", got, want)
	}
}

func TestWrongDSNIsRefusedByOpen(t *testing.T) {
	if _, err := gorm.Open(gormimmudb.Open("immudb://u:p@localhost/db?nosuch=1"), &gorm.Config{}); err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("err = %v, want one that names the option", err)
	}
}

func ptr[T any](v T) *T { return &v }
