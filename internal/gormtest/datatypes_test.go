package gormtest

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"testing"
	"time"

	"gorm.io/datatypes"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/immudb-go/immudb"
)

type holder[T any] struct {
	ID uint
	V  T `gorm:"column:v"`
}

func (holder[T]) TableName() string { return "holders" }

// A value comes back as it was written; a second AutoMigrate changes nothing, so that the type of the
// column is what the field asks for.
func comesBack[T any](want string, value T) func(t *testing.T, g *gorm.DB) {
	return func(t *testing.T, g *gorm.DB) {
		must(t, g.Migrator().DropTable("holders"))
		must(t, g.AutoMigrate(&holder[T]{}))
		must(t, g.AutoMigrate(&holder[T]{}))
		columns, err := g.Migrator().ColumnTypes("holders")
		must(t, err)
		if got := columns[1].DatabaseTypeName(); got != want {
			t.Errorf("the column is a %s, want %s", got, want)
		}
		written, read := holder[T]{V: value}, holder[T]{}
		must(t, g.Create(&written).Error)
		must(t, g.First(&read, written.ID).Error)
		if !reflect.DeepEqual(read.V, value) {
			t.Errorf("wrote %v, read %v", value, read.V)
		}
	}
}

func TestDatatypesComeBack(t *testing.T) {
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	g := open(t)
	for name, check := range map[string]func(*testing.T, *gorm.DB){
		"JSON":            comesBack("JSON", datatypes.JSON(`{"a":{"b":1}}`)),
		"JSONMap":         comesBack("JSON", datatypes.JSONMap{"k": "v"}),
		"JSONType":        comesBack("JSON", datatypes.NewJSONType(map[string]int{"x": 1})),
		"JSONSlice":       comesBack("JSON", datatypes.NewJSONSlice([]string{"a", "b"})),
		"Date":            comesBack("TIMESTAMP", datatypes.Date(day)),
		"Time":            comesBack("VARCHAR", datatypes.NewTime(1, 2, 3, 0)),
		"UUID":            comesBack("VARCHAR", datatypes.NewUUIDv4()),
		"BinUUID":         comesBack("BLOB", datatypes.NewBinUUIDv4()),
		"URL":             comesBack("VARCHAR", datatypes.URL(url.URL{Scheme: "https", Host: "example.com", Path: "/a"})),
		"Null of a text":  comesBack("VARCHAR", datatypes.NewNull("s")),
		"Null of an int":  comesBack("INTEGER", datatypes.NewNull(int64(3))),
		"Null of a float": comesBack("FLOAT", datatypes.NewNull(1.5)),
		"Null of a bool":  comesBack("BOOLEAN", datatypes.NewNull(true)),
		"Null of a time":  comesBack("TIMESTAMP", datatypes.NewNull(day)),
		"Null of none":    comesBack("INTEGER", datatypes.Null[int64]{}),
		"an own type":     comesBack("VARCHAR", status("on")),
		"an own size":     comesBack("VARCHAR", code("c")),
	} {
		t.Run(name, func(t *testing.T) { check(t, g) })
	}
}

// status has a name of a type that only another database has.
type status string

func (status) GormDataType() string { return "order_status" }

// code has a type of other databases.
type code string

func (code) GormDBDataType(*gorm.DB, *schema.Field) string { return "NVARCHAR(10)" }

func TestFieldsOfJSONAreQueriedByTheirPath(t *testing.T) {
	type User struct {
		ID    uint
		Attrs datatypes.JSONMap
	}
	g := open(t, &User{})
	must(t, g.Create(&[]User{{Attrs: datatypes.JSONMap{"name": "anna", "age": 18, "org": map[string]any{"id": "x"}}}, {Attrs: datatypes.JSONMap{"name": "bert"}}}).Error)
	attrs := func() *datatypes.JSONQueryExpression { return datatypes.JSONQuery("attrs") }
	for _, row := range []struct {
		where *gorm.DB
		want  string
	}{
		{g.Where(attrs().HasKey("age")), "[1]"},
		{g.Not(attrs().HasKey("age")), "[2]"},
		{g.Where(attrs().HasKey("org", "id")), "[1]"},
		{g.Where(attrs().HasKey("org", "it's")), "[]"},
		{g.Where(attrs().Equals("bert", "name")), "[2]"},
		{g.Where(attrs().Equals(18, "age")).Or(attrs().Equals("bert", "name")), "[1 2]"},
		{g.Where(attrs().Likes("%nn%", "name")).Where("id < ?", 5), "[1]"},
		{g.Where("? = ?", attrs().Extract("org.id"), "x"), "[1]"},
		{g.Where("attrs->'name' LIKE 'b%'"), "[2]"},
		{g.Where("attrs->'age' > 17"), "[1]"},
		{g.Where("attrs->'age' IS NULL"), "[2]"},
		{g.Where("attrs->'org'->'id' = ?", "x"), "[1]"},
	} {
		var ids []uint
		result := row.where.Model(&User{}).Order("id").Pluck("id", &ids)
		must(t, result.Error)
		if got := fmt.Sprint(ids); got != row.want {
			t.Errorf("%s: %s, want %s", result.Statement.SQL.String(), got, row.want)
		}
	}
	err := g.Where(attrs().Extract("tags[0]")).Find(&[]User{}).Error
	if !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("an element of an array: %v, want ErrUnsupported", err)
	}
}
