// Package bulk writes rows as the SQL that costs the server least to read.
package bulk

import (
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/sqltext/rules"
	"github.com/immudb-go/immudb/internal/value"
	"github.com/immudb-go/immudb/internal/wire"
	"github.com/immudb-go/immudb/internal/written"
)

// Rows are rows as the SQL of a VALUES list, and the arguments for its placeholders $n.
// The numbers ascend through the rows, so any consecutive part of them is a valid list
// too; it only does not begin with $1.
type Rows struct {
	// Strict refuses what the driver's option strict does not allow to be stored.
	Strict bool
	// Keeps keeps the values of the rows.
	Keeps bool

	text   []byte
	params []byte
	args   int
	ends   []rowEnd
	values [][]written.Value
}

// rowEnd is where a row ends in the text and params.
type rowEnd struct{ text, params int }

// Reset forgets the rows and keeps the memory.
func (b *Rows) Reset() {
	b.text, b.params, b.args, b.ends, b.values = b.text[:0], b.params[:0], 0, b.ends[:0], b.values[:0]
}

// Len is the number of rows.
func (b *Rows) Len() int { return len(b.ends) }

// Values are the values of the rows, if Keeps is set.
func (b *Rows) Values() [][]written.Value { return b.values }

// Size is about how many bytes the request of all rows has.
func (b *Rows) Size() int { return len(b.text) + len(b.params) }

// AppendRequest appends the request that writes rows from ≤ i < to.
func (b *Rows) AppendRequest(req, head []byte, from, to int) []byte {
	var begin rowEnd
	if from > 0 {
		begin = b.ends[from-1]
		begin.text += len(",")
	}
	end := b.ends[to-1]
	// The two fields' own bytes are a few more than their contents.
	req = slices.Grow(req, len(head)+end.text-begin.text+end.params-begin.params+16)
	req = wire.AppendSQLParts(req, head, b.text[begin.text:end.text])
	return append(req, b.params[begin.params:end.params]...)
}

// Append appends a row. After an error nothing is appended; column is then the column at
// fault, or "" if it is not known.
func (b *Rows) Append(row []any, columns []rules.Column) (column string, err error) {
	if len(row) != len(columns) {
		return "", fmt.Errorf("it has %d values for %d columns", len(row), len(columns))
	}
	before, args := rowEnd{len(b.text), len(b.params)}, b.args
	separator := byte(',')
	if len(b.ends) > 0 {
		b.text = append(b.text, separator)
	}
	separator = '('
	var values []written.Value
	for i, v := range row {
		b.text = append(b.text, separator)
		separator = ','
		v, err := fitting(v, columns[i].Type)
		if err == nil && b.Strict {
			err = storable(v, columns[i].Type)
		}
		if err == nil {
			err = b.appendValue(v)
		}
		if err == nil && b.Keeps {
			var sent driver.Value
			sent, err = value.Convert(v)
			values = append(values, written.Value{Value: sent, Known: true})
		}
		if err != nil {
			b.text, b.params, b.args = b.text[:before.text], b.params[:before.params], args
			return columns[i].Name, err
		}
	}
	b.text = append(b.text, ')')
	b.ends = append(b.ends, rowEnd{len(b.text), len(b.params)})
	if b.Keeps {
		b.values = append(b.values, values)
	}
	return "", nil
}

// fitting is the value as it can be stored in a column of the type: what rules
// refuse or mend in an INSERT.
func fitting(v any, columnType string) (any, error) {
	if columnType != "UUID" && columnType != "JSON" && columnType != "VARCHAR" {
		return v, nil
	}
	if _, isText := v.(string); isText && columnType != "JSON" {
		return v, nil
	}
	d, err := value.Convert(v)
	if err != nil {
		return nil, err
	}
	if b, ok := d.([]byte); ok && columnType == "UUID" && b != nil && len(b) != 16 {
		return nil, fmt.Errorf("%d bytes are no UUID: use 16 bytes or a string", len(b))
	}
	d, _ = rules.Fit(d, columnType)
	return d, nil
}

// storable refuses the values that the driver's option strict does not allow to be stored.
func storable(v any, columnType string) error {
	d, err := value.Convert(v)
	switch {
	case err != nil:
		return err
	case !rules.IsIndexable(d):
		return errors.New("a time before 1677-09-21 or after 2262-04-11 is refused with strict: keys and indexes put it in a wrong place")
	case columnType == "JSON" && !rules.HasExactNumbers(d):
		return errors.New("JSON with a number that 64-bit floating point cannot hold exactly is refused with strict: the server rounds it")
	}
	return nil
}

// Values up to these lengths are written as literals. For the server a literal
// costs 1.5 to 2.2 µs and an argument 3 to 4 µs, but it reads literals byte by
// byte: strings break even at 64 to 100 bytes.
const (
	maxLiteralString = 64
	maxLiteralBytes  = maxLiteralString / 2 // two digits each
)

func (b *Rows) appendValue(v any) error {
	switch x := v.(type) {
	case nil:
		b.text = append(b.text, "NULL"...)
	case int64:
		b.appendInteger(x)
	case int:
		b.appendInteger(int64(x))
	case int32:
		b.appendInteger(int64(x))
	case bool:
		if x {
			b.text = append(b.text, "TRUE"...)
		} else {
			b.text = append(b.text, "FALSE"...)
		}
	case string:
		return b.appendString(x, v)
	case float64:
		return b.appendFloat(x, v)
	case []byte:
		switch {
		case x == nil:
			b.text = append(b.text, "NULL"...)
		case len(x) <= maxLiteralBytes:
			b.text = append(b.text, "x'"...)
			b.text = hex.AppendEncode(b.text, x)
			b.text = append(b.text, '\'')
		default:
			return b.appendArg(v)
		}
	case time.Time:
		if x.Before(value.MinTime) || x.After(value.MaxTime) {
			_, err := value.CheckTime(x)
			return err
		}
		return b.appendArg(v)
	default:
		return b.appendOther(v)
	}
	return nil
}

// appendOther appends a value of a type that must be converted first.
func (b *Rows) appendOther(v any) error {
	d, err := value.Convert(v)
	if err != nil {
		return err
	}
	return b.appendValue(d)
}

func (b *Rows) appendInteger(n int64) {
	if n == math.MinInt64 { // the server parses the digits before the sign, and they overflow
		b.text = strconv.AppendInt(append(b.text, "(-"...), math.MaxInt64, 10)
		b.text = append(b.text, "-1)"...)
		return
	}
	b.text = strconv.AppendInt(b.text, n, 10)
}

// appendFloat writes a literal if that is short, else an argument: a literal can
// have neither an exponent nor a negative zero.
func (b *Rows) appendFloat(f float64, v any) error {
	if math.IsNaN(f) {
		_, err := value.CheckFloat(f)
		return err
	}
	if size := math.Abs(f); size < 1e-5 || size >= 1e15 {
		return b.appendArg(v)
	}
	begin := len(b.text)
	b.text = strconv.AppendFloat(b.text, f, 'f', -1, 64)
	if !slices.Contains(b.text[begin:], '.') {
		b.text = append(b.text, ".0"...)
	}
	return nil
}

// appendString appends a string; v is the same value, kept to save an allocation.
func (b *Rows) appendString(s string, v any) error {
	if err := value.CheckText(s); err != nil {
		return err
	}
	if len(s) > maxLiteralString {
		return b.appendArg(v)
	}
	b.text = append(b.text, '\'')
	for {
		i := strings.IndexByte(s, '\'')
		if i < 0 {
			break
		}
		b.text = append(append(b.text, s[:i]...), "''"...)
		s = s[i+1:]
	}
	b.text = append(append(b.text, s...), '\'')
	return nil
}

// appendArg appends a placeholder and an argument for it.
func (b *Rows) appendArg(v driver.Value) error {
	b.args++
	var err error
	if b.params, err = wire.AppendNumberedParam(b.params, b.args, v); err != nil {
		return err
	}
	b.text = append(b.text, '$')
	b.text = strconv.AppendInt(b.text, int64(b.args), 10)
	return nil
}
