package proof

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
)

// The checkpoint of a catalog holds what is needed to apply the transactions that follow, in this
// layout, with numbers as varints and texts with their length before them:
//
//	version 1, number of dropped tables and their ids, each as the distance to the one before,
//	then for each live table, by ascending id:
//	id, mixed, name, highest column id, number of key columns and their ids, number of columns and
//	for each: id, flags, length, type, name
const checkpointVersion = 1

// Flags of a column in a checkpoint, beside those of its entry.
const flagDropped = 1 << 7

// forget drops the definitions that tables had earlier.
func (c *Catalog) forget() {
	for id, t := range c.tables {
		if n := len(t.versions); n > 1 {
			t.versions = slices.Clone(t.versions[n-1:])
		}
		if t.isDropped() {
			// What is left tells that the id was in use.
			c.tables[id] = &tableEntries{columns: make(map[uint32]columnEntry), versions: t.versions, mixed: t.mixed}
		}
	}
}

// Checkpoint returns the catalog in a form that [RestoreCatalog] reads. It leaves out the definitions
// that tables had earlier, and how far the catalog has come.
func (c *Catalog) Checkpoint() []byte {
	b := []byte{checkpointVersion}
	var live, dropped []uint32
	for _, id := range slices.Sorted(maps.Keys(c.tables)) {
		switch t := c.tables[id]; {
		case t.live:
			live = append(live, id)
		case t.isDropped():
			dropped = append(dropped, id)
		}
	}
	number := func(n uint64) { b = binary.AppendUvarint(b, n) }
	text := func(s string) { number(uint64(len(s))); b = append(b, s...) }
	number(uint64(len(dropped)))
	last := uint32(0)
	for _, id := range dropped {
		number(uint64(id - last))
		last = id
	}
	for _, id := range live {
		t := c.tables[id]
		number(uint64(id))
		number(t.mixed)
		text(t.name)
		number(uint64(t.maxColID))
		number(uint64(len(t.primary)))
		for _, col := range t.primary {
			number(uint64(col))
		}
		number(uint64(len(t.columns)))
		for _, col := range slices.Sorted(maps.Keys(t.columns)) {
			e := t.columns[col]
			flags := uint64(0)
			for flag, set := range map[uint64]bool{flagNotNull: e.NotNull, flagAutoIncrement: e.AutoIncrement, flagDropped: e.dropped} {
				if set {
					flags |= flag
				}
			}
			number(uint64(col))
			number(flags)
			number(uint64(e.MaxLen))
			text(string(e.Type))
			text(e.Name)
		}
	}
	return b
}

// RestoreCatalog returns the catalog of a checkpoint, which the caller trusts, as of transaction
// through. Its errors match [ErrArgument].
func RestoreCatalog(checkpoint []byte, through uint64) (*Catalog, error) {
	r := checkpointReader{rest: checkpoint}
	if r.number(math.MaxUint64) != checkpointVersion {
		return nil, fmt.Errorf("%w: the catalog checkpoint is not of version %d", ErrArgument, checkpointVersion)
	}
	c := NewCatalog()
	c.through = through
	id := uint32(0)
	for range r.count() {
		id += r.id()
		c.tables[id] = &tableEntries{columns: make(map[uint32]columnEntry), versions: []version{{}}}
	}
	for len(r.rest) > 0 && !r.bad {
		id := r.id()
		t := &tableEntries{live: true, columns: make(map[uint32]columnEntry), mixed: r.number(math.MaxUint64), name: r.text(), maxColID: r.id()}
		for range r.count() {
			t.primary = append(t.primary, r.id())
		}
		for range r.count() {
			col, flags, maxLen := r.id(), r.number(math.MaxUint8), r.id()
			t.columns[col] = columnEntry{
				Column: Column{ID: col, MaxLen: maxLen, Type: Type(r.text()), Name: r.text(),
					NotNull: flags&flagNotNull != 0, AutoIncrement: flags&flagAutoIncrement != 0},
				dropped: flags&flagDropped != 0,
			}
		}
		t.versions = []version{{table: t.table(id)}}
		c.tables[id] = t
	}
	if r.bad {
		return nil, fmt.Errorf("%w: the catalog checkpoint is damaged", ErrArgument)
	}
	return c, nil
}

// checkpointReader reads numbers and texts. bad is set once something does not fit; what is read then
// is zero.
type checkpointReader struct {
	rest []byte
	bad  bool
}

func (r *checkpointReader) number(most uint64) uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > most {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *checkpointReader) id() uint32 { return uint32(r.number(math.MaxUint32)) }

// count reads the number of elements that follow. Each has at least a byte.
func (r *checkpointReader) count() int { return int(r.number(uint64(len(r.rest)))) }

func (r *checkpointReader) text() string {
	n := r.count()
	if n > len(r.rest) {
		r.bad, r.rest, n = true, nil, 0
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}
