package written

import (
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// constant is the value of an expression that is an argument or a literal.
func constant(x tree.Expr, valueOf func(*tree.Param) driver.Value) Value {
	switch x := tree.Bare(x).(type) {
	case *tree.Param:
		return Value{valueOf(x), true}
	case *tree.Literal:
		return literal(x, false)
	case *tree.Unary:
		if l, ok := tree.Bare(x.Expr).(*tree.Literal); ok && x.Operator == "-" {
			return literal(l, true)
		}
	}
	return Value{}
}

func literal(l *tree.Literal, negative bool) Value {
	switch {
	case l.Kind == tree.Integer && l.Int <= math.MaxInt64:
		if negative {
			return Value{-int64(l.Int), true}
		}
		return Value{int64(l.Int), true}
	case l.Kind == tree.Float:
		f, err := strconv.ParseFloat(l.Raw, 64)
		if negative {
			f = -f
		}
		return Value{f, err == nil}
	case negative:
		return Value{}
	}
	switch l.Kind {
	case tree.Null:
		return Value{nil, true}
	case tree.Bool:
		return Value{l.Int == 1, true}
	case tree.String:
		return Value{l.String(), true}
	case tree.Blob:
		return Value{l.Bytes(), true}
	}
	return Value{}
}

// stored is the value as a column stores it, of a type of [proof.Table.DecodeRow]. ok is
// false where the server computes it, or converts it in a way that is not known here.
func (v Value) stored(c *proof.Column) (_ any, ok bool) {
	if !v.Known {
		return nil, false
	}
	switch x := v.Value.(type) {
	case nil:
		return nil, true
	case int64:
		if c.Type == proof.Float {
			return float64(x), true
		}
		return x, c.Type == proof.Integer
	case float64:
		return x, c.Type == proof.Float
	case bool:
		return x, c.Type == proof.Boolean
	case time.Time:
		return time.UnixMicro(x.UnixMicro()).UTC(), c.Type == proof.Timestamp
	case string:
		switch c.Type {
		case proof.Varchar:
			return x, true
		case proof.JSON:
			return proof.RawJSON(x), true
		case proof.UUID:
			return uuid(x)
		}
	case []byte:
		switch c.Type {
		case proof.Blob:
			return x, true
		case proof.UUID:
			if len(x) == 16 {
				return [16]byte(x), true
			}
		}
	}
	return nil, false
}

// uuid reads the usual text of a UUID: 32 hexadecimal digits with hyphens between them.
func uuid(s string) (any, bool) {
	var id [16]byte
	digits := strings.ReplaceAll(s, "-", "")
	if len(s) != 36 || len(digits) != 32 {
		return nil, false
	}
	_, err := hex.Decode(id[:], []byte(digits))
	return id, err == nil
}

// sameJSON compares two documents by what they mean: the server may write one anew.
func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
