package evidence

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// SQLText writes the value of a column as SQL does, for people to read.
func SQLText(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		return "'" + strings.ReplaceAll(v, "'", "''") + "'"
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case []byte:
		if json.Valid(v) {
			return string(v)
		}
		return "x'" + hex.EncodeToString(v) + "'"
	}
	return fmt.Sprint(v)
}
