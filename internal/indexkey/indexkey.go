// Package indexkey computes how long the keys are under which the server files
// the rows of a table.
//
// A longer primary key than [Max] is an error at the first INSERT. A longer key of
// another index is accepted there, and from then on no write to the database comes
// to an end (immudb v1.11.1). Nothing of that length may be created.
package indexkey

// Max is the longest key that can be stored, in bytes.
const Max = 1024

// overhead is what stands before the columns of a key: prefixes and ids.
const overhead = 11

// DefaultLength is the length that [Table.Fit] gives where there is room for it.
const DefaultLength = 256

// Column is a column's type as the catalog tells it.
type Column struct {
	Type   string // INTEGER, VARCHAR, …
	Length int    // of VARCHAR and BLOB, in bytes; 0: none was given
}

// Variable reports whether the type is one with a length.
func (c *Column) Variable() bool { return c.Type == "VARCHAR" || c.Type == "BLOB" }

func (c *Column) open() bool { return c.Variable() && c.Length == 0 }

// size is what a value takes in a key: a byte that tells NULL from the rest and
// the value, which variable types pad to their full length and follow with the
// length in use.
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

// Table is the columns of a table's keys. A column that is part of several is the
// same Column in each.
type Table struct {
	Primary []*Column
	Indexes [][]*Column // the others
}

// PrimaryLength is the length of the key that a row is found by. The columns stand
// in it twice.
func (t *Table) PrimaryLength() int { return overhead + 2*size(t.Primary) }

// IndexLength is the length of an index's key, in which the columns of the primary
// key follow its own.
func (t *Table) IndexLength(columns []*Column) int { return overhead + size(columns) + size(t.Primary) }

// Fit gives columns that need a length, and have none, one with which the keys
// they are part of can be stored, if the others leave room for it.
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

// share divides room among the columns without a length.
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
