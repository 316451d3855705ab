package proof

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// Type is a SQL column type by the name the server gives it.
type Type string

const (
	Integer   Type = "INTEGER"
	Boolean   Type = "BOOLEAN"
	Varchar   Type = "VARCHAR"
	Blob      Type = "BLOB"
	Float     Type = "FLOAT"
	Timestamp Type = "TIMESTAMP"
	UUID      Type = "UUID"
	JSON      Type = "JSON"
)

// maxKeyLen is the longest value, in bytes, a server puts into an index key.
const maxKeyLen = 1024

// size is the fixed length of a value in bytes, 0 for types of variable length; ok is false for unknown types.
func (t Type) size() (n int, ok bool) {
	switch t {
	case Boolean:
		return 1, true
	case Integer, Float, Timestamp:
		return 8, true
	case UUID:
		return 16, true
	case Varchar, Blob, JSON:
		return 0, true
	}
	return 0, false
}

// Column is one column of a table.
type Column struct {
	ID     uint32 // from 1, never used again after DROP COLUMN
	Name   string
	Type   Type
	MaxLen uint32 // in bytes, 0 means unlimited; the fixed size where the type has one

	// Known only from the catalog, not from the answer of VerifiableSQLGet.
	NotNull, AutoIncrement bool
}

// Table is the part of a table's definition that is needed to compute the key of a row and to decode
// its value. It is proven if it comes from a [Catalog], and only claimed if it comes from the server's
// answer.
type Table struct {
	ID         uint32
	Name       string
	Columns    []Column // live ones by ascending ID
	PrimaryKey []uint32 // column ids in key order
	MaxColID   uint32   // highest column id ever given; lower ones that are missing were dropped
}

// Check reports what is wrong with the definition itself. Its errors match [ErrSchema].
func (t *Table) Check() error {
	if t == nil {
		return fmt.Errorf("%w: there is none", ErrSchema)
	}
	if t.ID == 0 || t.Name == "" || len(t.Columns) == 0 || len(t.PrimaryKey) == 0 {
		return t.misfit("an id, a name, columns or a primary key is missing")
	}
	names := make(map[string]bool, len(t.Columns))
	last := uint32(0)
	for _, c := range t.Columns {
		size, known := c.Type.size()
		switch {
		case c.ID <= last:
			return t.misfit("column ids do not ascend from 1 (%d after %d)", c.ID, last)
		case c.ID > t.MaxColID:
			return t.misfit("column id %d is above the highest one (%d)", c.ID, t.MaxColID)
		case c.Name == "" || names[c.Name]:
			return t.misfit("column name %q is empty or used twice", c.Name)
		case !known:
			return t.misfit("column %q has unknown type %q", c.Name, string(c.Type))
		case size != 0 && c.MaxLen != uint32(size):
			return t.misfit("column %q of type %s has length %d", c.Name, c.Type, c.MaxLen)
		}
		names[c.Name] = true
		last = c.ID
	}
	for i, id := range t.PrimaryKey {
		c := t.column(id)
		switch {
		case c == nil:
			return t.misfit("primary key column id %d is unknown", id)
		case slices.Contains(t.PrimaryKey[:i], id):
			return t.misfit("primary key names column %q twice", c.Name)
		case c.Type == JSON || c.MaxLen == 0 || c.MaxLen > maxKeyLen:
			return t.misfit("column %q (%s, length %d) can not be part of a key", c.Name, c.Type, c.MaxLen)
		}
	}
	return nil
}

// Same compares a claimed definition with this one in everything that decides the key of a row and how
// its value is decoded. NotNull and AutoIncrement do not, and claims leave them out. The error names
// the first difference and matches [ErrSchema].
func (t *Table) Same(claim *Table) error {
	switch {
	case claim == nil:
		return fmt.Errorf("%w: there is none", ErrSchema)
	case t.ID != claim.ID:
		return t.misfit("id is %d, claimed %d", t.ID, claim.ID)
	case t.Name != claim.Name:
		return t.misfit("claimed name is %q", claim.Name)
	case !slices.Equal(t.PrimaryKey, claim.PrimaryKey):
		return t.misfit("primary key columns are %v, claimed %v", t.PrimaryKey, claim.PrimaryKey)
	case len(t.Columns) != len(claim.Columns):
		return t.misfit("it has %d columns, claimed %d", len(t.Columns), len(claim.Columns))
	case t.MaxColID != claim.MaxColID:
		return t.misfit("highest column id is %d, claimed %d", t.MaxColID, claim.MaxColID)
	}
	for i, c := range t.Columns {
		d := claim.Columns[i]
		if c.ID != d.ID || c.Name != d.Name || c.Type != d.Type || c.MaxLen != d.MaxLen {
			return t.misfit("column is %d %q %s[%d], claimed %d %q %s[%d]",
				c.ID, c.Name, c.Type, c.MaxLen, d.ID, d.Name, string(d.Type), d.MaxLen)
		}
	}
	return nil
}

// Fingerprint is a digest of what [Table.Same] compares, for pinning a definition beside a state.
func (t *Table) Fingerprint() Digest {
	be := binary.BigEndian
	text := func(b []byte, s string) []byte { return append(be.AppendUint32(b, uint32(len(s))), s...) }
	b := text(nil, "table definition v1")
	b = be.AppendUint32(b, t.ID)
	b = text(b, t.Name)
	b = be.AppendUint32(b, t.MaxColID)
	b = be.AppendUint32(b, uint32(len(t.PrimaryKey)))
	for _, id := range t.PrimaryKey {
		b = be.AppendUint32(b, id)
	}
	for _, c := range t.Columns {
		b = be.AppendUint32(b, c.ID)
		b = text(b, c.Name)
		b = text(b, string(c.Type))
		b = be.AppendUint32(b, c.MaxLen)
	}
	return sha256.Sum256(b)
}

// index finds a live column by its id.
func (t *Table) index(id uint32) (int, bool) {
	return slices.BinarySearchFunc(t.Columns, id, func(c Column, id uint32) int { return cmp.Compare(c.ID, id) })
}

func (t *Table) column(id uint32) *Column {
	if i, ok := t.index(id); ok {
		return &t.Columns[i]
	}
	return nil
}

func (t *Table) misfit(format string, args ...any) error {
	return fmt.Errorf("%w: table %q: %s", ErrSchema, t.Name, fmt.Sprintf(format, args...))
}

// ColumnNames returns the names of the columns in their order.
func (t *Table) ColumnNames() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}
