package value

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

type (
	number  int16
	text    string
	bytes   []byte
	pointed struct{ s string }
	endless struct{}
)

func (p *pointed) Value() (driver.Value, error) {
	if p == nil {
		return "none", nil
	}
	return p.s, nil
}

func (e endless) Value() (driver.Value, error) { return e, nil }

func TestValuesBecomeWhatCanBeSent(t *testing.T) {
	seven, now := 7, time.Now()
	pointer := &seven
	for _, row := range []struct {
		in   any
		want driver.Value
	}{
		{nil, nil}, {7, int64(7)}, {number(7), int64(7)}, {uint8(7), int64(7)}, {float32(0.5), 0.5}, {true, true},
		{"a", "a"}, {text("a"), "a"}, {[]byte("a"), []byte("a")}, {bytes("a"), []byte("a")}, {[]byte(nil), nil}, {bytes(nil), nil},
		{json.RawMessage("{}"), "{}"}, {json.RawMessage(nil), nil}, {now, now},
		{pointer, int64(7)}, {&pointer, int64(7)}, {(*int)(nil), nil}, {(*time.Time)(nil), nil},
		{[3]byte{1, 2, 3}, []byte{1, 2, 3}}, {[16]byte{15: 1}, "00000000-0000-0000-0000-000000000001"},
		{sql.NullString{}, nil}, {sql.NullInt32{Int32: 7, Valid: true}, int64(7)}, {(*sql.NullString)(nil), nil},
		{&pointed{"a"}, "a"}, {(*pointed)(nil), "none"}, // its Value method takes a pointer, as database/sql calls it
	} {
		if got, err := Convert(row.in); err != nil || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%T %v: %T %v, %v, want %v", row.in, row.in, got, got, err, row.want)
		}
	}
}

func TestValuesThatCannotBeSentSayWhy(t *testing.T) {
	for _, row := range []struct {
		in  any
		why string
	}{
		{uint64(math.MaxUint64), "overflows INTEGER"}, {math.NaN(), "NaN"}, {"\xff", "not valid UTF-8"}, {text("\xff"), "not valid UTF-8"},
		{json.RawMessage("\xff"), "not valid UTF-8"}, {time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC), "out of TIMESTAMP's range"},
		{endless{}, "does not come to an end"}, {struct{}{}, "unsupported type struct {}"}, {[]int{1}, "unsupported type []int"}, {errors.New("a"), "unsupported type"},
	} {
		if got, err := Convert(row.in); err == nil || !strings.Contains(err.Error(), row.why) {
			t.Errorf("%T: %v, %v, want an error with %q", row.in, got, err, row.why)
		}
	}
}
