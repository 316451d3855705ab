package proof

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	sqlPrefix  = 0x02 // first byte of every key the SQL engine writes
	rowPrefix  = "R."
	databaseID = 1 // the same in every database
	pkIndexID  = 0

	// RowKeyHead is the length of what precedes the primary key in the key of a row.
	RowKeyHead = 1 + len(rowPrefix) + 3*4

	keyNull    = 0x20
	keyNotNull = 0x80
)

// RowKey is the key under which a row is stored: 0x02 "R." database:4 table:4 index:4, then each primary
// key column as [AppendKeyValue] writes it. The order of pk is that of the primary key.
func (t *Table) RowKey(pk ...any) ([]byte, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	return t.rowKey(pk)
}

// rowKey is RowKey for a table that was checked.
func (t *Table) rowKey(pk []any) ([]byte, error) {
	if len(pk) != len(t.PrimaryKey) {
		return nil, fmt.Errorf("%w: table %q has %d primary key columns, got %d values", ErrArgument, t.Name, len(t.PrimaryKey), len(pk))
	}
	key := rowKeyPrefix(t.ID)
	for i, id := range t.PrimaryKey {
		c := t.column(id)
		var err error
		if key, err = AppendKeyValue(key, pk[i], c.Type, int(c.MaxLen)); err != nil {
			return nil, fmt.Errorf("primary key column %q of table %q: %w", c.Name, t.Name, err)
		}
	}
	return key, nil
}

func rowKeyPrefix(tableID uint32) []byte {
	key := make([]byte, 0, 64)
	key = append(key, sqlPrefix)
	key = append(key, rowPrefix...)
	key = binary.BigEndian.AppendUint32(key, databaseID)
	key = binary.BigEndian.AppendUint32(key, tableID)
	return binary.BigEndian.AppendUint32(key, pkIndexID)
}

// AppendKeyValue appends a value in the encoding of index keys, in which byte order is value order:
//
//	NULL                 0x20
//	INTEGER, TIMESTAMP   0x80 int64 with its sign bit inverted; a timestamp in nanoseconds
//	BOOLEAN              0x80 0 or 1
//	FLOAT                0x80 IEEE 754 bits, sign bit inverted; all bits inverted if negative
//	UUID                 0x80 16 bytes
//	VARCHAR, BLOB        0x80 bytes, zeros up to maxLen, length:4
//
// Values are nil, int64, bool, string, []byte, float64 (or an int64 it holds exactly), time.Time (cut to
// microseconds, all the server keeps), and for UUID [16]byte or its text form. The nanoseconds of times
// before 1678 or after 2262 wrap around, as they do in the server.
func AppendKeyValue(key []byte, value any, typ Type, maxLen int) ([]byte, error) {
	size, known := typ.size()
	switch {
	case !known || typ == JSON:
		return nil, fmt.Errorf("%w: type %q can not be part of a key", ErrArgument, string(typ))
	case size != 0 && maxLen != size, maxLen <= 0, maxLen > maxKeyLen:
		return nil, fmt.Errorf("%w: %s of length %d can not be part of a key", ErrArgument, typ, maxLen)
	case value == nil:
		return append(key, keyNull), nil
	}
	be := binary.BigEndian
	const signBit = 1 << 63

	switch v := value.(type) {
	case int64:
		switch typ {
		case Integer:
			return be.AppendUint64(append(key, keyNotNull), uint64(v)^signBit), nil
		case Float:
			if f := float64(v); f < math.MaxInt64 && int64(f) == v {
				return AppendKeyValue(key, f, typ, maxLen)
			}
			return nil, fmt.Errorf("%w: no FLOAT equals the integer %d", ErrArgument, v)
		}
	case float64:
		if typ == Float {
			bits := math.Float64bits(v)
			if bits&signBit != 0 {
				bits = ^bits
			} else {
				bits ^= signBit
			}
			return be.AppendUint64(append(key, keyNotNull), bits), nil
		}
	case time.Time:
		if typ == Timestamp {
			return be.AppendUint64(append(key, keyNotNull), uint64(v.UnixMicro()*1000)^signBit), nil
		}
	case bool:
		if typ == Boolean {
			if v {
				return append(key, keyNotNull, 1), nil
			}
			return append(key, keyNotNull, 0), nil
		}
	case [16]byte:
		if typ == UUID {
			return append(append(key, keyNotNull), v[:]...), nil
		}
	case string:
		switch typ {
		case Varchar:
			return appendPadded(key, v, maxLen)
		case UUID:
			id, err := parseUUID(v)
			if err != nil {
				return nil, err
			}
			return append(append(key, keyNotNull), id[:]...), nil
		}
	case []byte:
		if typ == Blob {
			return appendPadded(key, v, maxLen)
		}
	}
	return nil, fmt.Errorf("%w: %T is not a key value for type %s", ErrArgument, value, typ)
}

func appendPadded[T string | []byte](key []byte, v T, maxLen int) ([]byte, error) {
	if len(v) > maxLen {
		return nil, fmt.Errorf("%w: key value of %d bytes is longer than the column's %d", ErrArgument, len(v), maxLen)
	}
	key = append(key, keyNotNull)
	key = append(key, v...)
	key = append(key, make([]byte, maxLen-len(v))...)
	return binary.BigEndian.AppendUint32(key, uint32(len(v))), nil
}

// parseUUID reads the canonical form, 36 characters with dashes in their places.
func parseUUID(s string) ([16]byte, error) {
	var id [16]byte
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		if b, err := hex.DecodeString(strings.ReplaceAll(s, "-", "")); err == nil && len(b) == len(id) {
			return [16]byte(b), nil
		}
	}
	return id, fmt.Errorf("%w: %q is not a UUID in its canonical form", ErrArgument, s)
}
