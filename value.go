package immudb

import (
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/immudb-go/immudb/internal/sqltext"
)

// CheckNamedValue converts an argument to one of the types that can be sent:
// int64, float64, bool, string, []byte, time.Time or nil.
//
// Pointers are followed; a nil pointer, a nil []byte and a nil driver.Valuer are
// NULL. A named type is converted like its underlying basic type. A json.RawMessage
// and a [16]byte, the usual type for UUIDs, become strings, for JSON and UUID
// columns. A time.Time is sent as microseconds in UTC: finer digits are cut off, and
// the time zone is lost. For other types, and for values out of range, the error
// names the argument.
func (c *Conn) CheckNamedValue(arg *driver.NamedValue) error {
	v, err := convert(arg.Value)
	if err != nil {
		name := fmt.Sprintf("$%d", arg.Ordinal)
		if arg.Name != "" {
			name = "@" + arg.Name
		}
		return newError(ErrInvalidValue, "22023", fmt.Sprintf("argument %s: %s", name, err))
	}
	arg.Value = v
	return nil
}

// maxValuerDepth bounds how often a Valuer may return another Valuer.
const maxValuerDepth = 8

func convert(v any) (driver.Value, error) {
	for range maxValuerDepth {
		switch x := v.(type) {
		case nil, int64, bool:
			return x, nil
		case string:
			return v, checkText(x) // v, because x would be allocated as an interface value again
		case float64:
			return checkFloat(x)
		case []byte:
			if x == nil {
				return nil, nil
			}
			return x, nil
		case time.Time:
			return checkTime(x)
		case json.RawMessage:
			if x == nil {
				return nil, nil
			}
			return string(x), checkText(string(x))
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
		return convert(rv.Elem().Interface())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return rv.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if rv.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("%d overflows INTEGER, which ends at %d", rv.Uint(), int64(math.MaxInt64))
		}
		return int64(rv.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return checkFloat(rv.Float())
	case reflect.Bool:
		return rv.Bool(), nil
	case reflect.String:
		return rv.String(), checkText(rv.String())
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
				return uuidText(b), nil
			}
			return b, nil
		}
	}
	return nil, fmt.Errorf("unsupported type %T: use a basic type, time.Time or a driver.Valuer", v)
}

func uuidText(b []byte) string {
	h := hex.EncodeToString(b)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// checkText refuses strings that are not UTF-8. The server cannot decode a request
// that holds one, and its error would leave the outcome of the call unknown.
func checkText(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("the text is not valid UTF-8; use a []byte and a BLOB for bytes")
	}
	return nil
}

func checkFloat(f float64) (driver.Value, error) {
	if math.IsNaN(f) {
		return nil, fmt.Errorf("NaN has no place in an ordered FLOAT; use NULL")
	}
	return f, nil
}

// The times whose distance from 1970 fits in 64 bits of microseconds.
var minTime, maxTime = time.UnixMicro(math.MinInt64), time.UnixMicro(math.MaxInt64)

func checkTime(t time.Time) (driver.Value, error) {
	if t.Before(minTime) || t.After(maxTime) {
		return nil, fmt.Errorf("time %s is out of TIMESTAMP's range", t.Format(time.RFC3339))
	}
	return t, nil
}

// checkArgs returns an error for arguments that do not fit the query's placeholders.
func checkArgs(q *sqltext.Query, args []driver.NamedValue) error {
	for i := range args {
		switch name := args[i].Name; {
		case name != "" && q.Style != sqltext.Named:
			return newError(ErrSyntax, "07001", fmt.Sprintf("argument @%s is named but the statement has no @name: "+
				"pass it without sql.Named, in the order of the placeholders", name))
		case name == "" && q.Style == sqltext.Named:
			return newError(ErrSyntax, "07001", fmt.Sprintf("argument $%d has no name but the statement takes @names: "+
				"pass it with sql.Named", args[i].Ordinal))
		case name != "" && !slices.ContainsFunc(q.Names, func(n string) bool { return strings.EqualFold(n, name) }):
			return newError(ErrSyntax, "07001", fmt.Sprintf("the statement has no placeholder @%s", name))
		}
	}
	if len(args) != q.NumInput {
		return newError(ErrSyntax, "07001", fmt.Sprintf("the statement takes %d arguments, got %d", q.NumInput, len(args)))
	}
	for _, name := range q.Names {
		if namedArg(args, name) == nil {
			return newError(ErrSyntax, "07001", fmt.Sprintf("no argument for placeholder @%s", name))
		}
	}
	return nil
}

// namedArg finds the argument for a placeholder. Case does not count, because the
// server folds names to lower case.
func namedArg(args []driver.NamedValue, name string) *driver.NamedValue {
	for i := range args {
		if strings.EqualFold(args[i].Name, name) {
			return &args[i]
		}
	}
	return nil
}
