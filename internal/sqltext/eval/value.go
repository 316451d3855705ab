package eval

import (
	"bytes"
	"cmp"
	"database/sql/driver"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"
)

// Type is the type of a value.
type Type uint8

const (
	untyped Type = iota // the type of NULL in the text or among the arguments
	integer
	boolean
	varchar
	blob
	float
	timestamp
	uuid
	json
)

// typeNames are the server's names of types.
var typeNames = map[string]Type{
	"INTEGER": integer, "BOOLEAN": boolean, "VARCHAR": varchar, "BLOB": blob, "FLOAT": float,
	"TIMESTAMP": timestamp, "UUID": uuid, "JSON": json,
}

func (t Type) String() string {
	for name, of := range typeNames {
		if of == t {
			return name
		}
	}
	return "NULL"
}

// value is an SQL value.
type value struct {
	typ  Type
	null bool
	n    int64 // INTEGER; TIMESTAMP in µs; BOOLEAN as 0 or 1; JSON: 1 for the null of JSON
	f    float64
	s    string
	b    []byte
	u    [16]byte
}

func null(t Type) value { return value{typ: t, null: true} }

func truth(b bool) value {
	v := value{typ: boolean}
	if b {
		v.n = 1
	}
	return v
}

// isTrue returns the value of a BOOLEAN. ok is false for NULL and other types.
func (v *value) isTrue() (is, ok bool) { return v.n == 1, v.typ == boolean && !v.null }

// fromArgument converts an argument as the driver sends it.
func fromArgument(v driver.Value) (value, bool) {
	switch v := v.(type) {
	case nil:
		return null(untyped), true
	case int64:
		return value{typ: integer, n: v}, true
	case float64:
		return value{typ: float, f: v}, true
	case bool:
		return truth(v), true
	case string:
		return value{typ: varchar, s: v}, true
	case []byte:
		return value{typ: blob, b: v}, true
	case time.Time:
		return value{typ: timestamp, n: v.UnixMicro()}, true
	}
	return value{}, false
}

// fromColumn converts a value that the driver returns for a column.
func fromColumn(v driver.Value, t Type) (value, bool) {
	if v == nil {
		return null(t), true
	}
	c, ok := fromArgument(v)
	switch {
	case !ok:
		return value{}, false
	case t == uuid && c.typ == varchar:
		c.u, ok = parseUUID(c.s)
		c.typ = uuid
	case t == json && c.typ == blob:
		if string(bytes.TrimSpace(c.b)) == "null" {
			c.n = 1
		}
		c.typ = json
	}
	return c, ok && c.typ == t
}

// parseUUID parses the forms that the server accepts.
func parseUUID(s string) (u [16]byte, ok bool) {
	switch len(s) {
	case 32:
		_, err := hex.Decode(u[:], []byte(s))
		return u, err == nil
	case 38:
		if s[0] != '{' || s[37] != '}' {
			return u, false
		}
		s = s[1:37]
	case 45:
		if !strings.EqualFold(s[:9], "urn:uuid:") {
			return u, false
		}
		s = s[9:]
	}
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, false
	}
	var digits [32]byte
	at := 0
	for _, part := range [...]string{s[:8], s[9:13], s[14:18], s[19:23], s[24:]} {
		at += copy(digits[at:], part)
	}
	_, err := hex.Decode(u[:], digits[:])
	return u, err == nil
}

// compare compares as the server does with l on the left side: NULL is smaller than
// everything, and which types are comparable depends on the side. ok is false if the
// server fails.
func compare(l, r *value) (order int, ok bool) {
	if l.null {
		if l.typ != untyped && r.typ != untyped && l.typ != r.typ {
			return 0, false
		}
		if r.null {
			return 0, true
		}
		return -1, true
	}
	if r.null {
		return 1, true
	}
	switch {
	case l.typ == float:
		f, ok := asFloat(r)
		return compareFloats(l.f, f), ok
	case l.typ == integer && r.typ == float:
		return -compareFloats(r.f, float64(l.n)), true
	case l.typ == varchar && r.typ == uuid:
		u, ok := parseUUID(l.s)
		return bytes.Compare(u[:], r.u[:]), ok
	case l.typ == uuid && r.typ == varchar:
		u, ok := parseUUID(r.s)
		return bytes.Compare(l.u[:], u[:]), ok
	case l.typ != r.typ:
		return 0, false
	}
	switch l.typ {
	case integer, boolean, timestamp:
		return cmp.Compare(l.n, r.n), true
	case varchar:
		return cmp.Compare(l.s, r.s), true
	case blob:
		return bytes.Compare(l.b, r.b), true
	case uuid:
		return bytes.Compare(l.u[:], r.u[:]), true
	}
	return 0, false
}

// compareFloats compares as the server does: a value that is neither equal nor greater
// is smaller, NaN included.
func compareFloats(l, r float64) int {
	switch {
	case l == r:
		return 0
	case l > r:
		return 1
	}
	return -1
}

// compareKeys compares two values of one column as the keys of an index are ordered.
func compareKeys(l, r *value) int {
	switch {
	case l.null || r.null:
		order, _ := compare(l, r)
		return order
	case l.typ == float:
		return cmp.Compare(floatKey(l.f), floatKey(r.f))
	case l.typ == timestamp:
		return cmp.Compare(l.n*1000, r.n*1000) // nanoseconds, which may overflow
	}
	order, _ := compare(l, r)
	return order
}

func floatKey(f float64) uint64 {
	bits := math.Float64bits(f)
	if bits>>63 == 0 {
		return bits | 1<<63
	}
	return ^bits
}

// asFloat converts implicitly, as the server does for an operand of a FLOAT.
func asFloat(v *value) (float64, bool) {
	switch {
	case v.null:
		return 0, false
	case v.typ == float:
		return v.f, true
	case v.typ == integer:
		return float64(v.n), true
	case v.typ == varchar:
		f, err := strconv.ParseFloat(v.s, 64)
		return f, err == nil
	}
	return 0, false
}

// asInteger is asFloat for an operand of an INTEGER.
func asInteger(v *value) (int64, bool) {
	switch {
	case v.null:
		return 0, false
	case v.typ == integer:
		return v.n, true
	case v.typ == float:
		return truncate(v.f)
	case v.typ == varchar:
		n, err := strconv.ParseInt(v.s, 10, 64)
		return n, err == nil
	}
	return 0, false
}

// truncate drops the digits after the decimal point. ok is false for a number that an
// INTEGER cannot hold: the server's result then depends on its processor.
func truncate(f float64) (int64, bool) {
	if f >= -1<<63 && f < 1<<63 {
		return int64(f), true
	}
	return 0, false
}
