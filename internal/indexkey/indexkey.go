// Package indexkey computes the length of the keys under which the server stores the
// rows of a table.
//
// If a primary key may be longer than [Max], the first INSERT fails. If the key of
// another index may be, the server accepts the INSERT, and after it no write to the
// database ever ends (immudb v1.11.1). So such keys must not be created.
package indexkey

// Max is the longest key that can be stored, in bytes.
const Max = 1024

// overhead is the length of the prefixes and ids before the columns of a key.
const overhead = 11

// DefaultLength is the length that [Table.Fit] gives to a column if the keys allow it.
const DefaultLength = 256

// Column is the type of a column in the catalog.
type Column struct {
	Type   string // INTEGER, VARCHAR, …
	Length int    // of VARCHAR and BLOB, in bytes; 0: none was given
}

// Variable reports whether the type has a length.
func (c *Column) Variable() bool { return c.Type == "VARCHAR" || c.Type == "BLOB" }

func (c *Column) open() bool { return c.Variable() && c.Length == 0 }

// size is the size of a value in a key, in bytes: one byte that marks NULL, and the
// value. A value of variable length is padded to the column's length and followed by
// its own length.
func (c *Column) size() int {
	switch c.Type {
	case "BOOLEAN":
		return 1 + 1
	case "UUID":
		return 1 + 16
	case "VARCHAR", "BLOB":
		return 1 + c.Length + 4
	}
	return 1 + 8
}

func size(columns []*Column) int {
	n := 0
	for _, c := range columns {
		n += c.size()
	}
	return n
}

// Table holds the columns of a table's keys. A column that is part of several keys is
// the same Column in each.
type Table struct {
	Primary []*Column
	Indexes [][]*Column // of the other indexes
}

// PrimaryLength is the length of the primary key, which holds the columns twice.
func (t *Table) PrimaryLength() int { return overhead + 2*size(t.Primary) }

// IndexLength is the length of an index's key, which holds the columns of the index
// and then those of the primary key.
func (t *Table) IndexLength(columns []*Column) int { return overhead + size(columns) + size(t.Primary) }

// Fit sets the length of each column that needs one and has none, so that the keys
// that it is part of are not too long, if the other columns leave enough bytes.
func (t *Table) Fit() {
	fitted := make(map[*Column]int)
	limit := func(columns []*Column, room int) {
		n := share(columns, room)
		for _, c := range columns {
			if c.open() && (fitted[c] == 0 || n < fitted[c]) {
				fitted[c] = n
			}
		}
	}
	limit(t.Primary, (Max-overhead)/2)
	key := size(t.Primary)
	for _, c := range t.Primary {
		key += fitted[c]
	}
	for _, columns := range t.Indexes {
		limit(columns, Max-overhead-key)
	}
	for c, n := range fitted {
		c.Length = n
	}
}

// share divides room, a number of bytes, among the columns without a length.
func share(columns []*Column, room int) int {
	n := 0
	for _, c := range columns {
		if c.open() {
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return max(1, min(DefaultLength, (room-size(columns))/n))
}
