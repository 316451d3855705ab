package gormimmudb

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"gorm.io/gorm/schema"
)

var rawMessage = reflect.TypeFor[json.RawMessage]()

// asJSON converts bytes for a JSON column to JSON; the driver would send them as a BLOB.
func asJSON(s *schema.Schema, column string, value any) any {
	b, ok := value.([]byte)
	if !ok || s == nil {
		return value
	}
	if field := s.FieldsByDBName[column]; field == nil || declaredType(field).name != "JSON" {
		return value
	}
	return json.RawMessage(b)
}

// jsonRows are rows whose JSON, which comes as a string, can be scanned into a
// json.RawMessage; database/sql does not convert the one to the other.
type jsonRows struct{ *sql.Rows }

func (r jsonRows) Scan(dest ...any) error { return r.Rows.Scan(intoJSON(dest)...) }

// intoJSON wraps gorm's destinations for a json.RawMessage, so that they have a Scan
// method.
func intoJSON(dest []any) []any {
	cloned := false
	for i, d := range dest {
		p, ok := d.(**json.RawMessage)
		if !ok {
			continue
		}
		if !cloned {
			dest, cloned = slices.Clone(dest), true // gorm reads its own afterwards
		}
		dest[i] = rawJSON{p}
	}
	return dest
}

type rawJSON struct{ dest **json.RawMessage }

func (j rawJSON) Scan(value any) error {
	var raw json.RawMessage
	switch v := value.(type) {
	case nil:
		*j.dest = nil
		return nil
	case string:
		raw = json.RawMessage(v)
	case []byte:
		raw = bytes.Clone(v)
	default:
		return fmt.Errorf("gormimmudb: a %T is not JSON", value)
	}
	*j.dest = &raw
	return nil
}
