// Package value converts what programs pass as arguments to the types that can be sent.
package value

import (
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// maxValuerDepth bounds how often a Valuer may return another Valuer.
const maxValuerDepth = 8

// Convert converts a value to int64, float64, bool, string, []byte, time.Time or nil, as
// the driver's CheckNamedValue says. An error does not name the argument.
func Convert(v any) (driver.Value, error) {
	for range maxValuerDepth {
		switch x := v.(type) {
		case nil, int64, bool:
			return x, nil
		case string:
			return v, CheckText(x) // v, because x would be allocated as an interface value again
		case float64:
			return CheckFloat(x)
		case []byte:
			if x == nil {
				return nil, nil
			}
			return x, nil
		case time.Time:
			return CheckTime(x)
		case json.RawMessage:
			if x == nil {
				return nil, nil
			}
			return string(x), CheckText(string(x))
		}
		valuer, ok := v.(driver.Valuer)
		if !ok {
			return convertKind(v)
		}
		if isNilWithValueReceiver(v) {
			return nil, nil // its Value method would panic
		}
		var err error
		if v, err = valuer.Value(); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("its Value method does not come to an end (%T)", v)
}

// isNilWithValueReceiver reports whether v is a nil pointer whose type has a Value
// method with a value receiver. A Value method with a pointer receiver is called, as
// database/sql does.
func isNilWithValueReceiver(v any) bool {
	rv := reflect.ValueOf(v)
	return rv.Kind() == reflect.Pointer && rv.IsNil() && rv.Type().Elem().Implements(reflect.TypeFor[driver.Valuer]())
}

// convertKind converts by kind, following pointers.
func convertKind(v any) (driver.Value, error) {
	rv := reflect.ValueOf(v)
	switch rv.Kind() {
	case reflect.Pointer:
		if rv.IsNil() {
			return nil, nil
		}
		return Convert(rv.Elem().Interface())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return rv.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if rv.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("%d overflows INTEGER, which ends at %d", rv.Uint(), int64(math.MaxInt64))
		}
		return int64(rv.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return CheckFloat(rv.Float())
	case reflect.Bool:
		return rv.Bool(), nil
	case reflect.String:
		return rv.String(), CheckText(rv.String())
	case reflect.Slice:
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			if rv.IsNil() {
				return nil, nil
			}
			return rv.Bytes(), nil
		}
	case reflect.Array:
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, rv.Len())
			reflect.Copy(reflect.ValueOf(b), rv)
			if len(b) == 16 {
				return UUIDText(b), nil
			}
			return b, nil
		}
	}
	return nil, fmt.Errorf("unsupported type %T: use a basic type, time.Time or a driver.Valuer", v)
}

// UUIDText is the text form of 16 bytes.
func UUIDText(b []byte) string {
	h := hex.EncodeToString(b)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// CheckText refuses strings that are not UTF-8. The server cannot decode a request
// that holds one, and its error would leave the outcome of the call unknown.
func CheckText(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("the text is not valid UTF-8; use a []byte and a BLOB for bytes")
	}
	return nil
}

// CheckFloat refuses NaN.
func CheckFloat(f float64) (driver.Value, error) {
	if math.IsNaN(f) {
		return nil, fmt.Errorf("NaN has no place in an ordered FLOAT; use NULL")
	}
	return f, nil
}

// MinTime and MaxTime are the times whose distance from 1970 fits in 64 bits of microseconds.
var MinTime, MaxTime = time.UnixMicro(math.MinInt64), time.UnixMicro(math.MaxInt64)

// CheckTime refuses times that a TIMESTAMP cannot hold.
func CheckTime(t time.Time) (driver.Value, error) {
	if t.Before(MinTime) || t.After(MaxTime) {
		return nil, fmt.Errorf("time %s is out of TIMESTAMP's range", t.Format(time.RFC3339))
	}
	return t, nil
}
