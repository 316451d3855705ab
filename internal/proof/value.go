package proof

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"time"
)

// RawJSON is a JSON value as stored: valid, byte for byte what was written.
type RawJSON []byte

// DecodeRow reads a stored row value into one value per element of t.Columns: int64, bool, string,
// []byte, float64, time.Time (UTC, microseconds), [16]byte for UUID, [RawJSON], or nil for NULL.
// []byte and RawJSON share memory with value.
//
//	count:4 (columnID:4 length:4 bytes)*count
//
// NULLs are not stored. Ids that are gone from t.Columns but not above t.MaxColID belong to dropped
// columns and are skipped. An id above it means that the definition is older than the row, an
// [ErrSchema]. Everything else that does not fit is a failed check, bytes after the last column included.
func (t *Table) DecodeRow(value []byte) ([]any, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	return t.decodeRow(value)
}

// decodeRow is DecodeRow for a table that was checked.
func (t *Table) decodeRow(value []byte) ([]any, error) {
	count, rest, ok := cutUint32(value)
	if !ok {
		return nil, failed(0, "a row value of %d bytes begins with its number of columns", len(value))
	}
	row := make([]any, len(t.Columns))
	seen := make([]bool, len(t.Columns))
	for range count {
		var id uint32
		var data []byte
		if id, rest, ok = cutUint32(rest); ok {
			data, rest, ok = cutBytes(rest)
		}
		switch {
		case !ok:
			return nil, failed(0, "a row value holds the %d columns it announces", count)
		case id == 0:
			return nil, failed(0, "column ids in a row value are above 0")
		case id > t.MaxColID:
			return nil, t.misfit("the row has column id %d, the definition knows up to %d", id, t.MaxColID)
		}
		i, live := t.index(id)
		if !live {
			continue
		}
		if seen[i] {
			return nil, failed(0, "a row value holds column %q once", t.Columns[i].Name)
		}
		seen[i] = true
		v, err := decodeValue(data, &t.Columns[i])
		if err != nil {
			return nil, err
		}
		row[i] = v
	}
	if len(rest) != 0 {
		return nil, failed(0, "a row value ends after its last column (%d bytes follow)", len(rest))
	}
	return row, nil
}

func decodeValue(b []byte, c *Column) (any, error) {
	size, _ := c.Type.size()
	if size != 0 && len(b) != size {
		return nil, failed(0, "a value of column %q has the %d bytes of type %s (has %d)", c.Name, size, c.Type, len(b))
	}
	switch c.Type {
	case Integer:
		return int64(binary.BigEndian.Uint64(b)), nil
	case Boolean:
		if b[0] > 1 {
			return nil, failed(0, "a value of column %q is 0 or 1 (is %d)", c.Name, b[0])
		}
		return b[0] == 1, nil
	case Varchar:
		return string(b), nil
	case Float:
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	case Timestamp:
		return time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC(), nil
	case UUID:
		return [16]byte(b), nil
	case JSON:
		if !json.Valid(b) {
			return nil, failed(0, "a value of column %q is JSON", c.Name)
		}
		return RawJSON(b), nil
	default: // Blob; Table.Check let no other type through
		return b, nil
	}
}

func cutUint32(b []byte) (n uint32, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(b), b[4:], true
}

// cutBytes cuts a length and as many bytes; nothing is allocated for a length that is not there.
func cutBytes(b []byte) (data, rest []byte, ok bool) {
	n, rest, ok := cutUint32(b)
	if !ok || uint64(n) > uint64(len(rest)) {
		return nil, nil, false
	}
	return rest[:n:n], rest[n:], true
}
