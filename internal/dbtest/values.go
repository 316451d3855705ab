package dbtest

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// Value is a value to write into a column, and the value that must come back. It is hostile:
// at a limit of its type, or with characters that have a meaning in SQL.
type Value struct {
	Column string // of [ValuesTable]
	Arg    any
	Want   any
	// Some times have no literal: a driver that writes literals may refuse them.
	NoLiteral bool
}

// ValuesTable makes the table that [Values] are for, and one with a single row.
var ValuesTable = []string{
	"CREATE TABLE vals (id INTEGER, i INTEGER, f FLOAT, s VARCHAR, x BLOB, b BOOLEAN, ts TIMESTAMP, u UUID, j JSON, PRIMARY KEY id)",
	"CREATE TABLE one (id INTEGER, PRIMARY KEY id)",
	"INSERT INTO one (id) VALUES (1)",
}

// Values returns values of each type.
func Values() []Value {
	var values []Value
	same := func(column string, args ...any) {
		for _, arg := range args {
			values = append(values, Value{Column: column, Arg: arg, Want: arg})
		}
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	same("i", int64(0), int64(-1), int64(1)<<53+1, int64(math.MaxInt64), int64(math.MinInt64), nil)
	same("f", 0.0, math.Copysign(0, -1), 0.1, 1.0/3, -math.MaxFloat64, math.MaxFloat64, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), 1e22, 123456789.000001, nil)
	same("s", "", "\x00", "a\x00b\x00", "'", "''", `"`, "`", `\`, `\'`, "; DROP TABLE vals; --", "/*", "*/", "$1 ? @a :x %s", "null", "NULL", "é", "𝄞", "\ufeff", "\r\n\t\u2028", "x'00'",
		strings.Repeat("'", 64), strings.Repeat("é", 32), strings.Repeat("x", 65), strings.Repeat("ü'", 5000), nil)
	same("x", []byte{}, []byte{0}, all, []byte("it's"), []byte(strings.Repeat("b", 32)), []byte(strings.Repeat("b", 33)), make([]byte, 16), nil)
	same("b", true, false, nil)
	at := time.Date(2024, 2, 29, 23, 59, 59, 999999000, time.UTC)
	same("ts", at, time.Unix(0, 0).UTC(), time.UnixMicro(-1).UTC(), time.Time{}, time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
		time.Date(1677, 9, 21, 0, 12, 43, 145224000, time.UTC), time.Date(1500, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(2262, 4, 11, 23, 47, 16, 854776000, time.UTC), nil)
	values = append(values,
		Value{"ts", time.UnixMicro(math.MaxInt64).UTC(), time.UnixMicro(math.MaxInt64).UTC(), true},
		Value{"ts", time.UnixMicro(math.MinInt64).UTC(), time.UnixMicro(math.MinInt64).UTC(), true},
		Value{"ts", at.In(time.FixedZone("far", 14*3600)), at, false},
		Value{"u", [16]byte{}, "00000000-0000-0000-0000-000000000000", false},
		Value{"u", [16]byte{0: 0xff, 15: 0xff}, "ff000000-0000-0000-0000-0000000000ff", false},
		Value{"u", "51AD0B92-11D8-41B5-96E5-F9D9C354D479", "51ad0b92-11d8-41b5-96e5-f9d9c354d479", false},
		Value{"u", nil, nil, false})
	for _, text := range []string{`{}`, `[]`, `""`, `"null"`, `true`, `-1.5`, `"é\u0000'"`, `{"a":{"b":[1,null,"it's"]}}`, `[9007199254740992]`, `"` + strings.Repeat("x'", 3000) + `"`} {
		values = append(values, Value{"j", json.RawMessage(text), []byte(text), false}, Value{"j", text, []byte(text), false})
	}
	return append(values, Value{"j", json.RawMessage("null"), nil, false}, Value{"j", json.RawMessage(nil), nil, false})
}

// Same reports whether the right value came back. The sign of zero counts; the formatting of
// JSON does not.
func (v *Value) Same(got any) bool {
	switch want := v.Want.(type) {
	case float64:
		f, ok := got.(float64)
		return ok && math.Float64bits(f) == math.Float64bits(want)
	case time.Time:
		t, ok := got.(time.Time)
		return ok && t.Equal(want) && t.Location() == time.UTC
	case []byte:
		b, ok := got.([]byte)
		if ok && v.Column == "j" {
			var one, other any
			return json.Unmarshal(b, &one) == nil && json.Unmarshal(want, &other) == nil && sameJSON(one, other)
		}
		return ok && b != nil && slices.Equal(b, want)
	}
	return got == v.Want
}

func sameJSON(a, b any) bool {
	one, err := json.Marshal(a)
	other, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(one) == string(other)
}

// CheckValue fails unless row id of the table holds the value.
func CheckValue(t testing.TB, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, way string, id int, v *Value) {
	t.Helper()
	var got any
	err := db.QueryRowContext(t.Context(), "SELECT "+v.Column+" FROM vals WHERE id = ?", id).Scan(&got)
	if err != nil || !v.Same(got) {
		t.Errorf("%s, column %s: wrote %.80q (%T), read %.80q (%T, %v)", way, v.Column, v.Arg, v.Arg, got, got, err)
	}
}
