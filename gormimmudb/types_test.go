package gormimmudb_test

import (
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/immudb-go/immudb"
)

// guid keeps its bytes and goes to the database as text, like uuid.UUID.
type guid [16]byte

func (g guid) Value() (driver.Value, error) {
	return fmt.Sprintf("%x-%x-%x-%x-%x", g[:4], g[4:6], g[6:8], g[8:10], g[10:]), nil
}

func (g *guid) Scan(v any) error {
	_, err := hex.Decode(g[:], []byte(strings.ReplaceAll(v.(string), "-", "")))
	return err
}

type color string

type point struct{ X, Y int }

func utc(year int, month time.Month, micros int64) time.Time {
	return time.Date(year, month, 2, 3, 4, 5, int(micros)*1000, time.UTC)
}

func TestValuesOfEveryKindComeBack(t *testing.T) {
	db := open(t)
	n := 0
	check := func(columns string, value any) {
		t.Helper()
		n++
		table := fmt.Sprint("t", n)
		must(t, db.Table(table).AutoMigrate(value))
		types, err := db.Table(table).Migrator().ColumnTypes(table)
		must(t, err)
		var got []string
		for _, c := range types[1:] { // behind the key
			text, _ := c.ColumnType()
			got = append(got, text)
		}
		if strings.Join(got, " ") != columns {
			t.Errorf("%T has columns %s, want %s", value, got, columns)
		}
		must(t, db.Table(table).Create(value).Error)
		read := reflect.New(reflect.TypeOf(value).Elem())
		must(t, db.Table(table).First(read.Interface()).Error)
		if !reflect.DeepEqual(read.Interface(), value) {
			t.Errorf("wrote %+v, read %+v", value, read)
		}
	}
	type ints struct {
		ID  uint
		I8  int8
		I16 int16
		I32 int32
		I64 int64
		I   int
		U8  uint8
		U16 uint16
		U32 uint32
		U64 uint64
		U   uint
	}
	const tenIntegers = "INTEGER INTEGER INTEGER INTEGER INTEGER INTEGER INTEGER INTEGER INTEGER INTEGER"
	check(tenIntegers, &ints{0, math.MinInt8, math.MinInt16, math.MinInt32, math.MinInt64, math.MinInt, 0, 0, 0, 0, 0})
	check(tenIntegers, &ints{0, math.MaxInt8, math.MaxInt16, math.MaxInt32, math.MaxInt64, math.MaxInt,
		math.MaxUint8, math.MaxUint16, math.MaxUint32, math.MaxInt64, math.MaxInt})
	type floats struct {
		ID  uint
		F32 float32
		F64 float64
		B   bool
	}
	check("FLOAT FLOAT BOOLEAN", &floats{0, math.MaxFloat32, math.SmallestNonzeroFloat64, true})
	check("FLOAT FLOAT BOOLEAN", &floats{0, 0.1, -math.MaxFloat64, false})
	type texts struct {
		ID    uint
		S     string
		Sized string `gorm:"size:4"`
		Named color
		B     []byte
	}
	check("VARCHAR VARCHAR[4] VARCHAR BLOB", &texts{0, "a\x00bü'\"\\$1?@ --", "üü", "red", []byte{0, 255}})
	check("VARCHAR VARCHAR[4] VARCHAR BLOB", &texts{})
	type times struct {
		ID   uint
		T    time.Time
		Date time.Time `gorm:"type:date"`
		Nano int64     `gorm:"autoCreateTime:nano"`
	}
	check("TIMESTAMP TIMESTAMP INTEGER", &times{0, utc(1, 1, 1), utc(9999, 12, 999_999), 7})
	check("TIMESTAMP TIMESTAMP INTEGER", &times{0, time.Time{}, utc(1901, 5, 123_456), 0})
	type nulls struct {
		ID uint
		S  *string
		I  sql.NullInt32
		B  sql.NullBool
		T  *time.Time
		F  sql.Null[float64]
		X  *[]byte
	}
	check("VARCHAR INTEGER BOOLEAN TIMESTAMP FLOAT BLOB", &nulls{})
	check("VARCHAR INTEGER BOOLEAN TIMESTAMP FLOAT BLOB", &nulls{0, ptr(""), sql.NullInt32{Int32: 3, Valid: true}, sql.NullBool{Valid: true},
		ptr(utc(2020, 2, 5)), sql.Null[float64]{V: 1.5, Valid: true}, &[]byte{1}})
	type uuids struct {
		ID   uint
		UUID guid `gorm:"type:uuid"`
		Text guid
		S    string `gorm:"type:uuid"`
	}
	check("UUID VARCHAR UUID", &uuids{0, guid{1, 2, 15: 9}, guid{3}, "00010203-0405-0607-0809-101112131415"})
	type decimals struct {
		ID     uint
		Exact  string  `gorm:"type:decimal(40,20)"`
		Float  float64 `gorm:"type:decimal(10,2)"`
		Scaled float64 `gorm:"precision:10;scale:2"`
		Int    int64   `gorm:"type:numeric(20)"`
	}
	check("VARCHAR FLOAT FLOAT INTEGER", &decimals{0, "12345678901234567890.12345678901234567890", 10.25, 0.5, 1 << 60})
	type jsons struct {
		ID   uint
		S    string          `gorm:"type:json"`
		Raw  json.RawMessage // JSON without being told
		B    []byte          `gorm:"type:jsonb"`
		Nil  json.RawMessage
		List []string `gorm:"serializer:json;type:json"`
	}
	check("JSON JSON JSON JSON JSON", &jsons{0, `{"a":1}`, json.RawMessage(`[1,null]`), []byte(`"b"`), nil, []string{"x", "y"}})
	type serialized struct {
		ID   uint
		JSON point          `gorm:"serializer:json"`
		Gob  map[string]int `gorm:"serializer:gob"`
		Unix int64          `gorm:"serializer:unixtime;type:time"`
	}
	check("VARCHAR BLOB TIMESTAMP", &serialized{0, point{1, 2}, map[string]int{"a": 1}, 1_700_000_000})
	type defaults struct {
		ID   string  `gorm:"type:uuid;primaryKey;default:random_uuid()"`
		B    bool    `gorm:"default:true"`
		N    int     `gorm:"default:7"`
		F    float64 `gorm:"default:1.5"`
		S    string  `gorm:"default:plain"`
		Time time.Time
	}
	check("BOOLEAN INTEGER FLOAT VARCHAR TIMESTAMP", &defaults{Time: utc(2000, 1, 0)})
}

func TestJSONIsUpdatedFromBytes(t *testing.T) {
	type Doc struct {
		ID  uint
		Raw json.RawMessage
		B   []byte `gorm:"type:json"`
	}
	db := open(t, &Doc{})
	must(t, db.Create(&[]Doc{{Raw: json.RawMessage("1"), B: []byte("2")}, {}}).Error)
	must(t, db.Model(&Doc{ID: 1}).Updates(&Doc{Raw: json.RawMessage("3"), B: []byte("4")}).Error)
	must(t, db.Model(&Doc{ID: 2}).Update("b", []byte("5")).Error)
	must(t, db.Save(&Doc{ID: 3, B: []byte("6")}).Error)
	var docs []Doc
	must(t, db.Order("id").Find(&docs).Error)
	want := []Doc{{1, json.RawMessage("3"), []byte("4")}, {2, nil, []byte("5")}, {3, nil, []byte("6")}}
	if !reflect.DeepEqual(docs, want) {
		t.Errorf("got %v, want %v", docs, want)
	}
}

func TestValuesThatTheServerCannotHold(t *testing.T) {
	type Big struct {
		ID uint
		N  uint64
	}
	type Short struct {
		ID uint
		S  string `gorm:"size:3"`
	}
	type Number struct {
		ID uint
		F  float64
	}
	db := open(t, &Big{}, &Short{}, &Number{})
	for _, row := range []struct {
		value any
		want  error
	}{
		{&Big{N: 1 << 63}, immudb.ErrInvalidValue},
		{&Short{S: "üü"}, immudb.ErrTooLong}, // a length counts bytes
		{&Number{F: math.NaN()}, immudb.ErrInvalidValue},
	} {
		if err := db.Create(row.value).Error; !errors.Is(err, row.want) {
			t.Errorf("%+v: %v, want %v", row.value, err, row.want)
		}
	}
	var none []Big
	if err := db.Where("n = ?", uint64(1<<63)).Find(&none).Error; !errors.Is(err, immudb.ErrInvalidValue) {
		t.Errorf("in a condition: %v, want ErrInvalidValue", err)
	}
}

func TestTimesFinerThanMicrosecondsAreCut(t *testing.T) {
	type Event struct {
		ID uint
		At time.Time
		gorm.DeletedAt
	}
	db := open(t, &Event{})
	at := time.Date(2024, 1, 1, 1, 0, 0, 123_456_789, time.FixedZone("", 3600))
	must(t, db.Create(&Event{At: at}).Error)
	var got Event
	must(t, db.First(&got, "at = ?", at).Error)
	if want := at.Truncate(time.Microsecond); !got.At.Equal(want) || got.At.Location() != time.UTC {
		t.Errorf("got %v, want %v in UTC", got.At, want)
	}
}
