package immudb_test

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

type (
	named   string
	count   uint8
	uuid    [16]byte
	money   struct{ cents int64 }
	pointer struct{ v string }
)

func (m money) Value() (driver.Value, error) { return m.cents, nil }
func (p *pointer) Value() (driver.Value, error) {
	if p == nil {
		return "none", nil
	}
	return p.v, nil
} // panics on nil

func TestArgumentsOfEveryKindArrive(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, `CREATE TABLE t (id INTEGER, i INTEGER, b BOOLEAN, s VARCHAR, x BLOB, f FLOAT, ts TIMESTAMP, u UUID, j JSON, PRIMARY KEY id)`)
	at := time.Date(2026, 11, 23, 15, 44, 1, 123456000, time.UTC)
	id := uuid{0x51, 0xad, 0x0b, 0x92, 0x11, 0xd8, 0x41, 0xb5, 0x96, 0xe5, 0xf9, 0xd9, 0xc3, 0x54, 0xd4, 0x79}
	seven := 7
	for i, row := range []struct {
		column string
		arg    any
		want   any
		reason string
	}{
		{"i", int8(-5), int64(-5), "small integers widen"},
		{"i", uint64(math.MaxInt64), int64(math.MaxInt64), "the largest unsigned integer that fits"},
		{"i", count(3), int64(3), "a named type counts as its basic type"},
		{"i", &seven, int64(7), "a pointer is followed"},
		{"i", (*int)(nil), nil, "a nil pointer is NULL"},
		{"i", money{1250}, int64(1250), "a Valuer is asked"},
		{"i", sql.NullInt64{}, nil, "an invalid sql.Null is NULL"},
		{"i", sql.Null[int32]{V: 4, Valid: true}, int64(4), "a generic sql.Null gives its value's kind"},
		{"b", true, true, "booleans"},
		{"b", false, false, "false is not NULL"},
		{"s", "it's", "it's", "text needs no escaping"},
		{"s", "", "", "an empty text is not NULL"},
		{"s", named("n"), "n", "a named string"},
		{"i", (*money)(nil), nil, "a nil pointer to a Valuer is NULL and its method is not called"},
		{"s", (*pointer)(nil), "none", "a nil Valuer with a pointer receiver is asked, as by database/sql"},
		{"s", &pointer{"p"}, "p", "a Valuer with a pointer receiver"},
		{"x", []byte{0, 255}, []byte{0, 255}, "bytes"},
		{"x", []byte{}, []byte{}, "no bytes are not NULL"},
		{"x", []byte(nil), nil, "a nil []byte is NULL"},
		{"f", float32(0.5), 0.5, "float32 widens"},
		{"f", math.Inf(1), math.Inf(1), "infinity is ordered and kept"},
		{"f", 3, 3.0, "an integer in a FLOAT column"},
		{"ts", at, at, "microseconds are kept"},
		{"ts", at.Add(999), at, "finer digits are cut"},
		{"ts", at.In(time.FixedZone("x", 3600)), at, "the zone is not kept, the moment is"},
		{"ts", time.Date(1901, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(1901, 1, 1, 0, 0, 0, 1000, time.UTC), "times before 1970"},
		{"u", id, "51ad0b92-11d8-41b5-96e5-f9d9c354d479", "16 bytes in an array are a UUID"},
		{"u", "51ad0b92-11d8-41b5-96e5-f9d9c354d479", "51ad0b92-11d8-41b5-96e5-f9d9c354d479", "a UUID as text"},
		{"j", json.RawMessage(`{"a":[1,2]}`), []byte(`{"a":[1,2]}`), "JSON as bytes"},
		{"j", `{"a":1}`, []byte(`{"a":1}`), "JSON as text"},
		{"j", json.RawMessage(nil), nil, "no JSON is NULL"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			dbtest.Exec(t, db, fmt.Sprintf("INSERT INTO t (id, %s) VALUES (?, ?)", row.column), i, row.arg)
			got := dbtest.Get[any](t, db, fmt.Sprintf("SELECT %s FROM t WHERE id = ?", row.column), i)
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("stored %#v, read %#v (%T), want %#v", row.arg, got, got, row.want)
			}
		})
	}
}

func TestArgumentsThatDoNotFitAreRefusedByName(t *testing.T) {
	db := dbtest.Open(t)
	for _, row := range []struct {
		reason string
		args   []any
		names  string // part of the error
	}{
		{"uint64 over the end of INTEGER", []any{1, uint64(math.MaxInt64) + 1}, "$2"},
		{"NaN has no order", []any{1, math.NaN()}, "$2"},
		{"a struct has no SQL form", []any{struct{}{}, 1}, "$1"},
		{"a map has no SQL form", []any{map[string]int{}, 1}, "$1"},
		{"a channel has no SQL form", []any{make(chan int), 1}, "$1"},
		{"a Valuer's own error", []any{1, failingValuer{}}, "$2"},
		{"a text that is not UTF-8", []any{1, "a\xff"}, "$2"},
		{"a named type whose text is not UTF-8", []any{named("\xff"), 1}, "$1"},
		{"JSON that is not UTF-8", []any{1, json.RawMessage("\"\xff\"")}, "$2"},
		{"a year beyond the range of TIMESTAMP", []any{1, time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC)}, "$2"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			_, err := db.Exec("INSERT INTO t (a, b) VALUES (?, ?)", row.args...)
			if !errors.Is(err, immudb.ErrInvalidValue) || !strings.Contains(err.Error(), row.names) {
				t.Errorf("err = %v, want ErrInvalidValue that names %s", err, row.names)
			}
		})
	}
}

// The server cannot decode such a request, and its answer does not show whether it was
// run.
func TestAQueryTextThatIsNotUTF8IsRefused(t *testing.T) {
	db := dbtest.Open(t)
	if _, err := db.Exec("INSERT INTO t (a) VALUES ('\xff')"); !errors.Is(err, immudb.ErrSyntax) || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("err = %v, want ErrSyntax that names UTF-8", err)
	}
}

type failingValuer struct{}

func (failingValuer) Value() (driver.Value, error) { return nil, errors.New("no value today") }

func TestPlaceholderStyles(t *testing.T) {
	db := dbtest.Open(t)
	for _, row := range []struct {
		reason string
		query  string
		args   []any
		want   string
	}{
		{"? in order", "SELECT CONCAT(?, ?)", []any{"a", "b"}, "ab"},
		{"$n in any order", "SELECT CONCAT($2, $1)", []any{"a", "b"}, "ba"},
		{"$n more than once", "SELECT CONCAT($1, $1)", []any{"a"}, "aa"},
		{"@name by name", "SELECT CONCAT(@b, @a)", []any{sql.Named("a", "1"), sql.Named("b", "2")}, "21"},
		{"@name more than once, in either case", "SELECT CONCAT(@a, @A)", []any{sql.Named("A", "x")}, "xx"},
		{"placeholders in literals do not count", "SELECT CONCAT('?$1@a', ?)", []any{"!"}, "?$1@a!"},
		{"placeholders in comments do not count", "SELECT /* ? $1 @a */ CONCAT(?, '') -- ?", []any{"c"}, "c"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			if got := dbtest.Get[string](t, db, row.query, row.args...); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestArgumentsThatDoNotMatchThePlaceholdersAreRefused(t *testing.T) {
	db := dbtest.Open(t)
	for _, row := range []struct {
		reason string
		query  string
		args   []any
		says   string
	}{
		{"too few", "SELECT ?, ?", []any{1}, "takes 2 arguments, got 1"},
		{"too many", "SELECT ?", []any{1, 2}, "takes 1 arguments, got 2"},
		{"arguments for none", "SELECT 1", []any{1}, "takes 0 arguments"},
		{"styles mixed", "SELECT ?, $1", []any{1, 2}, "$1"},
		{"a name for ?", "SELECT ?", []any{sql.Named("a", 1)}, "@a"},
		{"no name for @a", "SELECT @a", []any{1}, "sql.Named"},
		{"a name that is not there", "SELECT @a", []any{sql.Named("b", 1)}, "@b"},
		{"a name twice", "SELECT @a, @b", []any{sql.Named("a", 1), sql.Named("a", 2)}, "@b"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			_, err := db.Query(row.query, row.args...)
			if !errors.Is(err, immudb.ErrSyntax) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("err = %v, want ErrSyntax saying %q", err, row.says)
			}
		})
	}
}

func TestEachStatementOfATextGetsItsOwnArguments(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v VARCHAR, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id, v) VALUES (?, ?); INSERT INTO t (id, v) VALUES (?, ?)", 1, "a", 2, "b")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	res := dbtest.Exec(t, tx, "INSERT INTO t (id, v) VALUES (?, ?); UPDATE t SET v = ? WHERE id < ?", 3, "c", "z", 3)
	if n, err := res.RowsAffected(); n != 3 || err != nil {
		t.Errorf("RowsAffected = %d, %v, want 3", n, err)
	}
	if got := dbtest.List[string](t, tx, "SELECT v FROM t ORDER BY id"); !reflect.DeepEqual(got, []string{"z", "z", "c"}) {
		t.Errorf("got %v", got)
	}
}
