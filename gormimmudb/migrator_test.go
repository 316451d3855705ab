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

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gormimmudb"
)

func TestTypeTagsAreThoseOfOtherDatabasesToo(t *testing.T) {
	type Types struct {
		ID      uint64
		Indexed string    `gorm:"index"`
		Sixteen []byte    `gorm:"size:16;index"`
		UUID    string    `gorm:"type:uuid;index"`
		Varchar string    `gorm:"type:varchar(30)"`
		Text    string    `gorm:"type:text"`
		Big     int       `gorm:"type:bigint"`
		Double  float64   `gorm:"type:double precision"`
		Stamp   time.Time `gorm:"type:timestamptz"`
		Bytea   []byte    `gorm:"type:bytea"`
	}
	db := open(t, &Types{})
	types, err := db.Migrator().ColumnTypes(&Types{})
	must(t, err)
	got := map[string]string{}
	for _, c := range types {
		got[c.Name()], _ = c.ColumnType()
	}
	want := map[string]string{
		"id": "INTEGER", "indexed": "VARCHAR[256]", "sixteen": "BLOB[16]", "uuid": "UUID", "varchar": "VARCHAR[30]", "text": "VARCHAR",
		"big": "INTEGER", "double": "FLOAT", "stamp": "TIMESTAMP", "bytea": "BLOB",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("columns %v, want %v", got, want)
	}
	must(t, db.AutoMigrate(&Types{}))
}

// The server would accept a key beyond the limit with the first row, and then hang at every
// write to the database.
func TestKeysAsLongAsTheServerStoresThem(t *testing.T) {
	type Longest struct {
		ID string `gorm:"primaryKey;size:501"`
	}
	type LongestIndex struct {
		ID   uint
		Name string `gorm:"index;size:999"`
	}
	type TwoBesideUUID struct {
		ID   string `gorm:"type:uuid;primaryKey"`
		A, B string `gorm:"size:493;index:two"`
	}
	type BlobBesideTime struct {
		At   time.Time `gorm:"primaryKey"`
		Blob []byte    `gorm:"size:997;index:both"`
		Flag bool      `gorm:"index:both"`
	}
	type Many struct {
		ID                  string `gorm:"primaryKey"`
		A, B, C, D, E, F, G string `gorm:"index:all"`
	}
	db := open(t, &Longest{}, &LongestIndex{}, &Many{}, &TwoBesideUUID{}, &BlobBesideTime{})
	for range 3 {
		must(t, db.Create(&LongestIndex{Name: strings.Repeat("n", 999)}).Error)
	}
	for i := range 3 {
		uuid := fmt.Sprintf("00000000-0000-0000-0000-00000000000%d", i)
		must(t, db.Create(&TwoBesideUUID{uuid, strings.Repeat("a", 493), strings.Repeat("b", 493)}).Error)
		must(t, db.Create(&BlobBesideTime{time.UnixMicro(int64(i)), make([]byte, 997), true}).Error)
	}
	must(t, db.Create(&Longest{ID: strings.Repeat("i", 501)}).Error)
	types, err := db.Migrator().ColumnTypes(&Many{})
	must(t, err)
	length, _ := types[1].Length()
	many := Many{ID: strings.Repeat("i", 256)}
	for _, f := range []*string{&many.A, &many.B, &many.C, &many.D, &many.E, &many.F, &many.G} {
		*f = strings.Repeat("x", int(length))
	}
	for range 3 {
		must(t, db.Create(&many).Error)
		many.ID = many.ID[1:]
	}

	type LongKey struct {
		ID string `gorm:"primaryKey;size:502"`
	}
	type LongIndex struct {
		ID   uint
		Name string `gorm:"uniqueIndex;size:1000"`
	}
	type LongUnique struct {
		ID   uint
		Name string `gorm:"unique;size:1000"`
	}
	type JSONIndex struct {
		ID   uint
		Data string `gorm:"type:json;index"`
	}
	for _, model := range []any{&LongKey{}, &LongIndex{}, &LongUnique{}, &JSONIndex{}} {
		if err := db.AutoMigrate(model); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%T: err = %v, want ErrUnsupported", model, err)
		}
		if db.Migrator().HasTable(model) {
			t.Errorf("%T: the table was made", model)
		}
	}
}

func TestAutoMigrateAddsWhatIsMissing(t *testing.T) {
	type Thing struct {
		ID   uint
		Name string `gorm:"size:50"`
	}
	db := open(t, &Thing{})
	must(t, db.Create(&Thing{Name: "a"}).Error)
	{
		type Thing struct {
			ID    uint
			Name  string `gorm:"size:50;index"`
			Color string `gorm:"size:10;default:red"`
			At    *time.Time
		}
		must(t, db.AutoMigrate(&Thing{}))
		m := db.Migrator()
		if !m.HasColumn(&Thing{}, "Color") || !m.HasColumn(&Thing{}, "at") || m.HasColumn(&Thing{}, "nosuch") {
			t.Error("columns are missing, or too many")
		}
		if !m.HasIndex(&Thing{}, "Name") || !m.HasIndex(&Thing{}, "idx_things_name") || !m.HasIndex("things", "things(name)") || m.HasIndex(&Thing{}, "nosuch") {
			t.Error("indexes are missing, or too many")
		}
		var before immudb.CommitInfo
		must(t, db.WithContext(immudb.WithCommitInfo(context.Background(), &before)).AutoMigrate(&Thing{}))
		if before.TxID != 0 {
			t.Error("a second AutoMigrate changed something")
		}
		thing := Thing{Name: "b"}
		must(t, db.Create(&thing).Error)
		if thing.Color != "red" {
			t.Errorf("color %q", thing.Color)
		}
	}
}

func TestAlterColumnToTheTypeThatItHasDoesNothing(t *testing.T) {
	type Thing struct {
		ID   uint
		Name string `gorm:"size:50"`
		N    int    `gorm:"not null"`
	}
	db := open(t, &Thing{})
	must(t, db.Create(&Thing{Name: "a", N: 1}).Error)
	for _, field := range []string{"ID", "Name", "N"} {
		must(t, db.Migrator().AlterColumn(&Thing{}, field))
	}
}

func TestMigrationsThatTheServerCannotDo(t *testing.T) {
	type Thing struct {
		ID   uint
		Name string `gorm:"size:50"`
	}
	db := open(t, &Thing{})
	for _, row := range []struct {
		reason string
		change func(db *gorm.DB) error
	}{
		{"another length", func(db *gorm.DB) error {
			type Thing struct {
				ID   uint
				Name string `gorm:"size:60"`
			}
			return db.AutoMigrate(&Thing{})
		}},
		{"another type", func(db *gorm.DB) error {
			type Thing struct {
				ID   uint
				Name int
			}
			return db.AutoMigrate(&Thing{})
		}},
		{"a new column that is NOT NULL", func(db *gorm.DB) error {
			type Thing struct {
				ID   uint
				Name string `gorm:"size:50"`
				N    int    `gorm:"not null"`
			}
			return db.AutoMigrate(&Thing{})
		}},
		{"a CHECK", func(db *gorm.DB) error {
			type Thing struct {
				ID   uint
				Name string `gorm:"size:50;check:name <> ''"`
			}
			return db.AutoMigrate(&Thing{})
		}},
		{"AlterColumn", func(db *gorm.DB) error {
			type Thing struct {
				ID   uint
				Name string `gorm:"size:60"`
			}
			return db.Migrator().AlterColumn(&Thing{}, "Name")
		}},
		{"RenameIndex", func(db *gorm.DB) error { return db.Migrator().RenameIndex(&Thing{}, "a", "b") }},
		{"a partial index", func(db *gorm.DB) error {
			type Part struct {
				ID   uint
				Name string `gorm:"index:,where:name <> ''"`
			}
			return db.AutoMigrate(&Part{})
		}},
		{"an index on an expression", func(db *gorm.DB) error {
			type Part struct {
				ID   uint
				Name string `gorm:"index:,expression:LOWER(name)"`
			}
			return db.AutoMigrate(&Part{})
		}},
		{"AUTO_INCREMENT in a key of two columns", func(db *gorm.DB) error {
			type Two struct {
				ID uint `gorm:"primaryKey;autoIncrement"`
				N  int  `gorm:"primaryKey"`
			}
			return db.AutoMigrate(&Two{})
		}},
	} {
		if err := row.change(db); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", row.reason, err)
		}
	}
}

func TestRebuildKeepsRowsKeysAndHistory(t *testing.T) {
	type Thing struct {
		ID   uint
		Name string `gorm:"size:5"`
		N    string
		Gone int
	}
	db := openWith(t, gormimmudb.Config{RebuildTables: true}, &gorm.Config{}, &Thing{})
	var things []Thing
	for range 700 { // more than one transaction can take
		things = append(things, Thing{Name: "a", N: "12"})
	}
	must(t, db.CreateInBatches(things[:400], 200).Error)
	must(t, db.CreateInBatches(things[400:], 200).Error)
	must(t, db.Model(&Thing{}).Where("id = 1").Update("name", "b").Error)
	{
		type Thing struct {
			ID    uint
			Name  string `gorm:"size:50;index;check:name <> ''"`
			N     int
			Color string `gorm:"default:red"`
		}
		must(t, db.AutoMigrate(&Thing{}))
		var got []Thing
		must(t, db.Order("id").Find(&got).Error)
		if len(got) != 700 || got[0].Name != "b" || got[0].N != 12 || got[0].Color != "red" || got[699].ID != 700 {
			t.Errorf("%d rows, the first %+v", len(got), got[0])
		}
		next := Thing{Name: strings.Repeat("x", 50)}
		must(t, db.Create(&next).Error)
		if next.ID != 701 {
			t.Errorf("the next key is %d, want 701", next.ID)
		}
		if !db.Migrator().HasConstraint(&Thing{}, "chk_things_name") {
			t.Error("the CHECK is missing")
		}
	}
	tables, err := db.Migrator().GetTables()
	must(t, err)
	at := slices.IndexFunc(tables, func(name string) bool { return strings.HasPrefix(name, "things_until_") })
	if len(tables) != 2 || at < 0 {
		t.Fatalf("tables %q, want things and what was things", tables)
	}
	var revisions int
	must(t, db.Raw("SELECT COUNT(*) FROM (HISTORY OF "+tables[at]+") WHERE id = 1").Scan(&revisions).Error)
	if revisions != 2 {
		t.Errorf("%d revisions of the first row are left, want 2", revisions)
	}
	must(t, db.Migrator().DropTable("things_until_x", tables[at]))
}

func TestAutoMigrateMakesNoNullableColumnNotNull(t *testing.T) {
	type Thing struct {
		ID    uint
		Bonus int `gorm:"not null"`
		Stock *int
		Name  string `gorm:"size:10"`
	}
	db := openWith(t, gormimmudb.Config{RebuildTables: true}, &gorm.Config{}, &Thing{})
	must(t, db.Create(&Thing{Name: "a"}).Error) // its stock is NULL
	migrate := func() error {
		type Thing struct {
			ID    uint
			Bonus int
			Stock *int   `gorm:"not null"`
			Name  string `gorm:"size:20"`
		}
		return db.AutoMigrate(&Thing{})
	}
	must(t, migrate())
	columns, err := db.Migrator().ColumnTypes(&Thing{})
	must(t, err)
	for _, c := range columns[1:] {
		if nullable, _ := c.Nullable(); !nullable {
			t.Errorf("%s is NOT NULL", c.Name())
		}
	}
	var before immudb.CommitInfo
	db = db.WithContext(immudb.WithCommitInfo(context.Background(), &before))
	must(t, migrate())
	if before.TxID != 0 {
		t.Error("a second AutoMigrate changed something")
	}
}

func TestRebuildThatFailsLeavesTheTableAsItWas(t *testing.T) {
	type Thing struct {
		ID   uint
		Name string
	}
	db := open(t, &Thing{})
	must(t, db.Create(&Thing{Name: "not a number"}).Error)
	{
		type Thing struct {
			ID   uint
			Name int
		}
		if _, err := db.Migrator().(gormimmudb.Migrator).Rebuild(&Thing{}); err == nil {
			t.Error("text became a number")
		}
	}
	tables, err := db.Migrator().GetTables()
	if err != nil || !slices.Equal(tables, []string{"things"}) {
		t.Errorf("tables %q (%v), want things alone", tables, err)
	}
	var got Thing
	if err := db.First(&got).Error; err != nil || got.Name != "not a number" {
		t.Errorf("got %+v (%v)", got, err)
	}
}

func TestTablesOfModelsWithoutAPrimaryKey(t *testing.T) {
	type Log struct{ Line string }
	db := open(t, &Log{})
	must(t, db.Create(&[]Log{{"a"}, {"a"}}).Error)
	var got []Log
	must(t, db.Find(&got).Error)
	if !reflect.DeepEqual(got, []Log{{"a"}, {"a"}}) {
		t.Errorf("got %v", got)
	}
	must(t, db.AutoMigrate(&Log{}))
}

func TestCatalogQuestions(t *testing.T) {
	type Cased struct {
		ID    uint
		Email string `gorm:"column:EMail;uniqueIndex:idx_mail"`
		First string `gorm:"index:idx_name"`
		Last  string `gorm:"index:idx_name"`
		N     int    `gorm:"unique;check:n_positive,n > 0"`
		gorm.DeletedAt
	}
	db := open(t, &Cased{})
	m := db.Migrator()
	if !m.HasTable("CASEDS") || m.HasTable("nosuch") || m.CurrentDatabase() == "" {
		t.Error("HasTable or CurrentDatabase is wrong")
	}
	indexes, err := m.GetIndexes(&Cased{})
	must(t, err)
	got := map[string][]string{}
	for _, idx := range indexes {
		got[idx.Name()] = idx.Columns()
	}
	want := map[string][]string{"caseds(id)": {"id"}, "idx_mail": {"EMail"}, "idx_name": {"first", "last"}, "caseds(n)": {"n"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("indexes %v, want %v", got, want)
	}
	for name, want := range map[string]bool{"n_positive": true, "uni_caseds_n": true, "nosuch": false} {
		if m.HasConstraint(&Cased{}, name) != want {
			t.Errorf("HasConstraint(%s) is not %v", name, want)
		}
	}
	must(t, m.DropConstraint(&Cased{}, "n_positive"))
	must(t, m.DropConstraint(&Cased{}, "uni_caseds_n"))
	must(t, m.DropIndex(&Cased{}, "idx_name"))
	if m.HasConstraint(&Cased{}, "n_positive") || m.HasConstraint(&Cased{}, "uni_caseds_n") || m.HasIndex(&Cased{}, "idx_name") {
		t.Error("what was dropped is still there")
	}
	must(t, m.CreateIndex(&Cased{}, "idx_name"))
	must(t, db.Create(&Cased{Email: "a@b"}).Error)
	var row Cased
	if err := db.First(&row, map[string]any{"EMail": "a@b"}).Error; err != nil || row.Email != "a@b" {
		t.Errorf("got %+v (%v)", row, err)
	}
	tt, err := m.TableType(&Cased{})
	if err != nil || tt.Name() != "caseds" || tt.Type() != "BASE TABLE" {
		t.Errorf("TableType %+v (%v)", tt, err)
	}
	must(t, m.RenameColumn(&Cased{}, "first", "given"))
	must(t, m.DropIndex("caseds", "caseds(given,last)"))
	must(t, m.DropColumn(&Cased{}, "last"))
	must(t, m.RenameTable("caseds", "people"))
	if !m.HasTable("people") || m.HasTable(&Cased{}) || m.HasColumn("people", "last") || !m.HasColumn("people", "given") {
		t.Error("the table was not renamed, or its columns")
	}
}

func TestTableWithChecksIsDropped(t *testing.T) {
	type Checked struct {
		ID uint
		N  int `gorm:"check:n > 0"`
	}
	db := open(t, &Checked{})
	if err := db.Migrator().DropTable("checkeds"); err == nil || !strings.Contains(err.Error(), "CHECK") {
		t.Errorf("by name: %v, want an error that says why", err)
	}
	must(t, db.Migrator().DropTable(&Checked{}))
	must(t, db.Migrator().DropTable(&Checked{}))
	if db.Migrator().HasTable(&Checked{}) {
		t.Error("the table is still there")
	}
}

func TestViews(t *testing.T) {
	db := open(t, &Article{})
	must(t, db.Create(&[]Article{{Slug: "a", Views: 1}, {Slug: "b", Views: 9}}).Error)
	query := db.Model(&Article{}).Select("slug", "views").Where("views > ?", 5)
	must(t, db.Migrator().CreateView("popular", gorm.ViewOption{Query: query}))
	must(t, db.Migrator().CreateView("popular", gorm.ViewOption{Query: query, Replace: true}))
	var slugs []string
	must(t, db.Table("popular").Pluck("slug", &slugs).Error)
	if !slices.Equal(slugs, []string{"b"}) {
		t.Errorf("slugs %q, want [b]", slugs)
	}
	must(t, db.Migrator().DropView("popular"))
}
