package eval

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// timeLayouts are the layouts that the server accepts.
var timeLayouts = [...]string{
	"2006-01-02 15:04:05 MST",
	"2006-01-02 15:04:05 -0700",
	"2006-01-02 15:04:05.999999",
	"2006-01-02 15:04:05",
	"2006-01-02 15:04",
	"2006-01-02",
	time.RFC3339Nano,
	time.RFC3339,
	"2006-01-02T15:04:05.999999999",
	"2006-01-02T15:04:05",
}

// convert is CAST. ok is false if the server fails.
func convert(v *value, to Type) (_ value, ok bool) {
	switch {
	case v.typ == to:
		return *v, true
	case v.typ == untyped:
		return null(to), true
	case !castable[to][v.typ]:
		return value{}, false
	case v.null:
		return null(to), true
	}
	c := value{typ: to}
	switch to {
	case timestamp:
		c.n, ok = toTimestamp(v)
	case float:
		c.f, ok = asFloat(v)
	case boolean:
		c.n, ok = readBoolean(v.s)
	case integer:
		c.n, ok = asInteger(v)
	case uuid:
		if ok = v.typ == blob && len(v.b) == 16; ok {
			c.u = [16]byte(v.b)
		} else if v.typ == varchar {
			c.u, ok = parseUUID(v.s)
		}
	case blob:
		if ok = true; v.typ == varchar {
			c.b = []byte(v.s)
		} else {
			c.b = v.u[:]
		}
	case varchar:
		c.s, ok = toVarchar(v)
	}
	return c, ok
}

// castable holds which types can be cast to which, except JSON.
var castable = [...][json + 1]bool{
	integer:   {float: true, varchar: true},
	boolean:   {varchar: true},
	varchar:   {uuid: true, integer: true, float: true, boolean: true},
	blob:      {varchar: true, uuid: true},
	float:     {integer: true, varchar: true},
	timestamp: {integer: true, varchar: true},
	uuid:      {varchar: true, blob: true},
	json:      {},
}

func toTimestamp(v *value) (int64, bool) {
	if v.typ == integer { // seconds
		const most = math.MaxInt64 / 1_000_000
		return v.n * 1e6, -most <= v.n && v.n <= most
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, v.s, time.UTC); err == nil {
			return t.Truncate(time.Microsecond).UnixMicro(), true
		}
	}
	return 0, false
}

func toVarchar(v *value) (string, bool) {
	switch v.typ {
	case integer:
		return strconv.FormatInt(v.n, 10), true
	case float:
		return strconv.FormatFloat(v.f, 'g', -1, 64), true
	case boolean:
		return strconv.FormatBool(v.n == 1), true
	}
	return formatUUID(v.u), true
}

func readBoolean(s string) (int64, bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "t", "true", "y", "yes", "on", "1":
		return 1, true
	case "f", "false", "n", "no", "off", "0":
		return 0, true
	}
	return 0, false
}

func formatUUID(u [16]byte) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 36)
	for i, c := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return string(b)
}
