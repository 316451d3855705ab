package proof

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// all has a column of every type, number 4 dropped, and a key of two columns.
var all = &Table{
	ID: 3, Name: "all", MaxColID: 10, PrimaryKey: []uint32{2, 1},
	Columns: []Column{
		{ID: 1, Name: "i", Type: Integer, MaxLen: 8},
		{ID: 2, Name: "v", Type: Varchar, MaxLen: 4},
		{ID: 3, Name: "b", Type: Boolean, MaxLen: 1},
		{ID: 5, Name: "bl", Type: Blob},
		{ID: 6, Name: "f", Type: Float, MaxLen: 8},
		{ID: 7, Name: "ts", Type: Timestamp, MaxLen: 8},
		{ID: 8, Name: "u", Type: UUID, MaxLen: 16},
		{ID: 9, Name: "j", Type: JSON},
		{ID: 10, Name: "last", Type: Integer, MaxLen: 8},
	},
}

func TestKeyValuesHaveTheirLayout(t *testing.T) {
	id := "00112233-4455-6677-8899-aabbccddeeff"
	for _, c := range []struct {
		value  any
		typ    Type
		maxLen int
		want   string
	}{
		{nil, Varchar, 4, "20"}, // NULL takes one byte whatever the type
		{int64(1), Integer, 8, "80 8000000000000001"},
		{int64(-1), Integer, 8, "80 7fffffffffffffff"}, // sorts before 1
		{int64(math.MinInt64), Integer, 8, "80 0000000000000000"},
		{true, Boolean, 1, "80 01"},
		{false, Boolean, 1, "80 00"},
		{1.0, Float, 8, "80 bff0000000000000"},
		{int64(1), Float, 8, "80 bff0000000000000"}, // an integer is as good as the float it equals
		{-1.0, Float, 8, "80 400fffffffffffff"},
		{math.Copysign(0, -1), Float, 8, "80 7fffffffffffffff"}, // -0 and 0 are two keys
		{0.0, Float, 8, "80 8000000000000000"},
		{"ab", Varchar, 4, "80 61620000 00000002"},
		{"", Varchar, 4, "80 00000000 00000000"}, // empty is not NULL
		{[]byte{0, 1}, Blob, 4, "80 00010000 00000002"},
		{time.UnixMicro(1), Timestamp, 8, "80 80000000000003e8"},
		{time.Unix(0, 1999), Timestamp, 8, "80 80000000000003e8"}, // the server keeps microseconds
		{id, UUID, 16, "80 00112233445566778899aabbccddeeff"},
		{strings.ToUpper(id), UUID, 16, "80 00112233445566778899aabbccddeeff"},
		{[16]byte{15: 1}, UUID, 16, "80 00000000000000000000000000000001"},
	} {
		got, err := AppendKeyValue([]byte{9}, c.value, c.typ, c.maxLen)
		if want := "09" + strings.ReplaceAll(c.want, " ", ""); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s %v: %x, %v; want %s", c.typ, c.value, got, err, want)
		}
	}
}

func TestValuesThatMakeNoKeyAreTheCallersMistake(t *testing.T) {
	for _, c := range []struct {
		value  any
		typ    Type
		maxLen int
	}{
		{"abcde", Varchar, 4},                          // too long
		{"a", Varchar, 0},                              // no length: not indexable
		{"a", Varchar, 1025},                           // longer than keys are
		{"1", Integer, 8},                              // no conversions that could guess wrong
		{1, Integer, 8},                                // int is not one of the driver's values
		{int64(1), Integer, 4},                         // a length the type does not have
		{int64(1<<53 + 1), Float, 8},                   // would be another number
		{int64(math.MaxInt64), Float, 8},               // would be 2^63
		{"00112233445566778899aabbccddeeff", UUID, 16}, // not canonical
		{"0011223-34455-6677-8899-aabbccddeeff0", UUID, 16},
		{"{}", JSON, 8},  // JSON is never part of a key
		{"a", "TEXT", 8}, // no such type
		{[]byte{1}, Varchar, 4},
	} {
		if key, err := AppendKeyValue(nil, c.value, c.typ, c.maxLen); !errors.Is(err, ErrArgument) || key != nil {
			t.Errorf("%s(%d) %v: %x, %v", c.typ, c.maxLen, c.value, key, err)
		}
	}
}

func TestARowKeyFollowsTheOrderOfThePrimaryKey(t *testing.T) {
	key, err := all.RowKey("ab", int64(1))
	want := "02 522e 00000001 00000003 00000000  80 61620000 00000002  80 8000000000000001"
	if err != nil || hex.EncodeToString(key) != strings.ReplaceAll(want, " ", "") {
		t.Errorf("%x, %v", key, err)
	}
	for _, pk := range [][]any{nil, {"ab"}, {"ab", int64(1), int64(2)}, {int64(1), "ab"}} {
		if _, err := all.RowKey(pk...); !errors.Is(err, ErrArgument) {
			t.Errorf("%v: %v", pk, err)
		}
	}
}

// stored writes a row value by hand: id, bytes, id, bytes, …
func stored(pairs ...any) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(pairs)/2))
	for i := 0; i < len(pairs); i += 2 {
		b = binary.BigEndian.AppendUint32(b, uint32(pairs[i].(int)))
		v := pairs[i+1].(string)
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	return b
}

func TestARowValueIsReadByColumnID(t *testing.T) {
	minusOne := strings.Repeat("\xff", 8)
	got, err := all.DecodeRow(stored(
		4, "of a dropped column", // skipped
		10, minusOne, // any order: only ids count
		1, minusOne, 2, "", 3, "\x01", 5, "\x00", 6, "\xbf\xf0\x00\x00\x00\x00\x00\x00", 7, minusOne,
		8, "0123456789abcdef", 9, ` {"a":1} `,
	))
	want := []any{int64(-1), "", true, []byte{0}, -1.0, time.UnixMicro(-1).UTC(), [16]byte([]byte("0123456789abcdef")), RawJSON(` {"a":1} `), int64(-1)}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if got, err := all.DecodeRow(stored()); err != nil || !reflect.DeepEqual(got, make([]any, 9)) {
		t.Errorf("a row of NULLs: %v, %v", got, err)
	}
}

func TestMalformedRowValuesAreRejected(t *testing.T) {
	eight := "12345678"
	for reason, value := range map[string][]byte{
		"nothing":                   {},
		"half a count":              {0, 0},
		"a count without columns":   {0, 0, 0, 1},
		"a huge count":              {255, 255, 255, 255},
		"an id without a length":    {0, 0, 0, 1, 0, 0, 0, 1},
		"a length without bytes":    {0, 0, 0, 1, 0, 0, 0, 5, 255, 255, 255, 255},
		"bytes after the last":      append(stored(1, eight), 0),
		"column 0":                  stored(0, eight),
		"a column twice":            stored(1, eight, 1, eight),
		"a short INTEGER":           stored(1, "1234567"),
		"an empty INTEGER":          stored(1, ""),
		"a long BOOLEAN":            stored(3, "\x00\x00"),
		"a BOOLEAN that is neither": stored(3, "\x02"), // the official client reads it as false
		"a short UUID":              stored(8, "123456789abcdef"),
		"a broken JSON":             stored(9, `{"a":`),
		"an empty JSON":             stored(9, ""),
		"a cut dropped column":      stored(4, "abc")[:14],
	} {
		if row, err := all.DecodeRow(value); !errors.Is(err, ErrInvalid) || row != nil {
			t.Errorf("%s: %v, %v", reason, row, err)
		}
	}
	if _, err := all.DecodeRow(stored(11, eight)); !errors.Is(err, ErrSchema) || errors.Is(err, ErrInvalid) {
		t.Errorf("a column of a newer definition: %v", err)
	}
}

func TestSenselessDefinitionsAreRefused(t *testing.T) {
	for reason, spoil := range map[string]func(*Table){
		"no id":                      func(t *Table) { t.ID = 0 },
		"no name":                    func(t *Table) { t.Name = "" },
		"no columns":                 func(t *Table) { t.Columns = nil },
		"no key":                     func(t *Table) { t.PrimaryKey = nil },
		"an unknown key column":      func(t *Table) { t.PrimaryKey = []uint32{4} },
		"a key column twice":         func(t *Table) { t.PrimaryKey = []uint32{1, 1} },
		"a key column without limit": func(t *Table) { t.PrimaryKey = []uint32{5} },
		"a key column of JSON":       func(t *Table) { t.PrimaryKey, t.Columns[7].MaxLen = []uint32{9}, 8 },
		"column 0":                   func(t *Table) { t.Columns[0].ID = 0 },
		"columns in disorder":        func(t *Table) { t.Columns[0], t.Columns[1] = t.Columns[1], t.Columns[0] },
		"a column above the highest": func(t *Table) { t.MaxColID = 9 },
		"a column without a name":    func(t *Table) { t.Columns[0].Name = "" },
		"a name twice":               func(t *Table) { t.Columns[0].Name = "v" },
		"an unknown type":            func(t *Table) { t.Columns[0].Type = "ANY" },
		"a length the type has not":  func(t *Table) { t.Columns[0].MaxLen = 4 },
	} {
		table := clone(all)
		spoil(table)
		if err := table.Check(); !errors.Is(err, ErrSchema) {
			t.Errorf("%s: %v", reason, err)
		}
		if _, err := table.RowKey("ab", int64(1)); !errors.Is(err, ErrSchema) {
			t.Errorf("%s: row key: %v", reason, err)
		}
		if _, err := table.DecodeRow(stored()); !errors.Is(err, ErrSchema) {
			t.Errorf("%s: row: %v", reason, err)
		}
		if err := all.Same(table); !errors.Is(err, ErrSchema) {
			t.Errorf("%s: taken for the same", reason)
		}
		if table.Fingerprint() == all.Fingerprint() {
			t.Errorf("%s: same fingerprint", reason)
		}
	}
	var none *Table
	if err := none.Check(); !errors.Is(err, ErrSchema) {
		t.Errorf("no table: %v", err)
	}
	if err := all.Same(nil); !errors.Is(err, ErrSchema) {
		t.Errorf("no claim: %v", err)
	}
	claim := clone(all)
	claim.Columns[0].NotNull, claim.Columns[0].AutoIncrement = true, true // not in what servers claim
	if err := all.Same(claim); err != nil || all.Fingerprint() != claim.Fingerprint() {
		t.Errorf("same but for NOT NULL: %v", err)
	}
}

func clone(t *Table) *Table {
	c := *t
	c.Columns = append([]Column(nil), t.Columns...)
	c.PrimaryKey = append([]uint32(nil), t.PrimaryKey...)
	return &c
}
