package served

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"math"
	"reflect"
	"time"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/value"
)

// Value converts a proven value to the type that it has in the result of a query.
func Value(v any) any {
	switch v := v.(type) {
	case [16]byte:
		return value.UUIDText(v[:])
	case proof.RawJSON:
		return []byte(v)
	}
	return v
}

// Equal compares a queried value with a proven one.
func Equal(queried driver.Value, proven any) bool {
	switch p := proven.(type) {
	case nil:
		return queried == nil
	case []byte:
		q, ok := queried.([]byte)
		return ok && bytes.Equal(q, p)
	case float64:
		q, ok := queried.(float64)
		return ok && (q == p || math.IsNaN(q) && math.IsNaN(p))
	case time.Time:
		q, ok := queried.(time.Time)
		return ok && q.Equal(p)
	case proof.RawJSON:
		// A query returns the same document, but formatted differently.
		var a, b any
		q, ok := queried.([]byte)
		return ok && json.Unmarshal(q, &a) == nil && json.Unmarshal(p, &b) == nil && reflect.DeepEqual(a, b)
	}
	return queried == Value(proven)
}
