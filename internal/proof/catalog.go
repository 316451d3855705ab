package proof

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// Catalog holds the definitions of tables from the verified transactions applied to it. The SQL engine
// stores definitions as ordinary entries, so transaction hashes commit to them as they do to rows:
//
//	0x02 "CTL.TABLE."  database:4 table:4                  → name
//	0x02 "CTL.COLUMN." database:4 table:4 column:4 TYPE    → flags:1 maxLen:4 name
//	                                                       or flags:1 maxLen:4 nameLen:2 name default
//	0x02 "CTL.INDEX."  database:4 table:4 index:4          → unique:1 (column:4 order:1)*
//
// A later entry under the same key replaces an earlier one (RENAME), and a deletion ends it (DROP). A server gives no
// id twice. A table or column id that is used again after its DROP cannot be relied on.
//
// Applying only the transaction that created a table proves its definition at that time. To prove that
// nothing was renamed, added or dropped since, every transaction must be applied, see
// [Catalog.Complete].
type Catalog struct {
	through  uint64
	complete bool
	tables   map[uint32]*tableEntries
}

// tableEntries are the live entries of one table id. They are checked for completeness only when the
// table is asked for, because the entries of a transaction come in any order.
type tableEntries struct {
	name     string
	live     bool
	columns  map[uint32]columnEntry
	maxColID uint32
	primary  []uint32

	// mixed is the transaction that gave the id to a second table, 0 if none did. A server whose cached catalog lacks
	// a table does that.
	mixed uint64
	last  change

	// versions are the definitions that the table has had, in the order of the transactions that made them.
	versions []version
}

// version is the definition of a table from a transaction on: nil once it is dropped.
type version struct {
	tx    uint64
	table *Table
}

// change is what one transaction does to a table.
type change struct {
	tx      uint64
	name    string   // before it, if the table was live
	primary []uint32 // likewise
	columns []uint32 // that it writes
	creates bool
}

type columnEntry struct {
	Column
	dropped bool
}

// Flags of a column entry.
const (
	flagNotNull       = 1 << 0
	flagAutoIncrement = 1 << 1
	flagHasDefault    = 1 << 2
)

var (
	catalogPrefix = []byte("\x02CTL.")
	tablePrefix   = []byte("\x02CTL.TABLE.")
	columnPrefix  = []byte("\x02CTL.COLUMN.")
	indexPrefix   = []byte("\x02CTL.INDEX.")
)

// IsCatalogKey reports whether entries with this key belong to the catalog. [Catalog.Apply] needs the
// values of such entries.
func IsCatalogKey(key []byte) bool { return bytes.HasPrefix(key, catalogPrefix) }

// NewCatalog returns the catalog of an empty database.
func NewCatalog() *Catalog {
	return &Catalog{complete: true, tables: make(map[uint32]*tableEntries)}
}

// Through is the last transaction that was applied, 0 if none.
func (c *Catalog) Through() uint64 { return c.through }

// Complete reports whether every transaction from the first to [Catalog.Through] was applied, so that
// the catalog contains every change up to there.
func (c *Catalog) Complete() bool { return c.complete }

// Apply adds the definitions in a verified transaction to the catalog. Transactions must be applied in
// ascending order. Entries of tables, columns and indexes must have their values, which Apply checks;
// other entries need none. After an error the catalog must not be used any more.
func (c *Catalog) Apply(tx *Tx) error {
	id := tx.header.ID
	if id <= c.through {
		return fmt.Errorf("%w: tx %d was applied to the catalog after tx %d", ErrArgument, id, c.through)
	}
	if id != c.through+1 {
		c.complete = false
	}
	changed := false
	for i := range tx.entries {
		e := &tx.entries[i]
		if !IsCatalogKey(e.Key) || e.Metadata.NonIndexable {
			continue // the server loads its catalog from the index, so it does not see these either
		}
		if err := c.apply(id, e); err != nil {
			return err
		}
		changed = true
	}
	if changed {
		for tableID, t := range c.tables {
			if t.last.tx != id {
				continue
			}
			if t.mixed == 0 && t.createdOver() {
				t.mixed = id
			}
			t.note(tableID, id)
		}
	}
	c.through = id
	return nil
}

// createdOver reports whether the last change created another table under the id of a live one.
func (t *tableEntries) createdOver() bool {
	if !t.last.creates || t.last.primary == nil {
		return false
	}
	if t.name != t.last.name || !slices.Equal(t.primary, t.last.primary) {
		return true
	}
	for id, c := range t.columns {
		if !c.dropped && !slices.Contains(t.last.columns, id) {
			return true
		}
	}
	return false
}

func (c *Catalog) apply(tx uint64, e *Entry) error {
	var ids []byte
	var numbers int
	var set func(*tableEntries, []byte, *Entry) bool
	switch {
	case bytes.HasPrefix(e.Key, tablePrefix):
		ids, numbers, set = e.Key[len(tablePrefix):], 2, (*tableEntries).setTable
	case bytes.HasPrefix(e.Key, columnPrefix):
		ids, numbers, set = e.Key[len(columnPrefix):], 3, (*tableEntries).setColumn
	case bytes.HasPrefix(e.Key, indexPrefix):
		ids, numbers, set = e.Key[len(indexPrefix):], 3, (*tableEntries).setIndex
	default:
		return nil // checks, views and sequences do not affect how rows are stored
	}
	if e.Metadata.Expires {
		return failed(tx, "a catalog entry does not expire")
	}
	if !e.Metadata.Deleted {
		if err := e.CheckValue(); err != nil {
			return fmt.Errorf("catalog entry of tx %d: %w", tx, err)
		}
	}
	if len(ids) < 4*numbers || binary.BigEndian.Uint32(ids) != databaseID {
		return failed(tx, "a catalog key has its %d ids and database %d", numbers, databaseID)
	}
	tableID := binary.BigEndian.Uint32(ids[4:])
	t := c.tables[tableID]
	if t == nil {
		t = &tableEntries{columns: make(map[uint32]columnEntry)}
		c.tables[tableID] = t
	}
	if t.last.tx != tx {
		t.last = change{tx: tx}
		if t.live {
			t.last.name, t.last.primary = t.name, t.primary
		}
	}
	if !set(t, ids[8:], e) {
		return failed(tx, "the catalog entries of table %d are well-formed", tableID)
	}
	return nil
}

func (t *tableEntries) setTable(ids []byte, e *Entry) bool {
	t.live = !e.Metadata.Deleted
	if t.live {
		t.name = string(e.Value)
		if t.isDropped() {
			t.mixed = cmp.Or(t.mixed, t.last.tx)
		}
	}
	return len(ids) == 0
}

func (t *tableEntries) setColumn(ids []byte, e *Entry) bool {
	id, typ, v := binary.BigEndian.Uint32(ids), Type(ids[4:]), e.Value
	if id == 0 {
		return false
	}
	// The type is part of the key. The same id under a second type is a second column.
	if old, ok := t.columns[id]; ok && (old.Type != typ || old.dropped && !e.Metadata.Deleted && !slices.Contains(t.last.columns, id)) {
		t.mixed = cmp.Or(t.mixed, t.last.tx)
	}
	t.maxColID = max(t.maxColID, id)
	t.last.columns = append(t.last.columns, id)
	if e.Metadata.Deleted {
		t.columns[id] = columnEntry{Column: Column{ID: id, Type: typ}, dropped: true}
		return true
	}
	if len(v) < 5 {
		return false
	}
	flags, name := v[0], v[5:]
	if flags&flagHasDefault != 0 && len(v) >= 7 {
		n := int(binary.BigEndian.Uint16(v[5:]))
		if len(v) < 7+n {
			return false
		}
		name = v[7 : 7+n]
	}
	t.columns[id] = columnEntry{Column: Column{
		ID:            id,
		Name:          string(name),
		Type:          typ,
		MaxLen:        binary.BigEndian.Uint32(v[1:]),
		NotNull:       flags&flagNotNull != 0,
		AutoIncrement: flags&flagAutoIncrement != 0,
	}}
	return true
}

func (t *tableEntries) setIndex(ids []byte, e *Entry) bool {
	if len(ids) != 4 {
		return false
	}
	if binary.BigEndian.Uint32(ids) != pkIndexID {
		return true // the key of a row depends on the primary index only
	}
	t.primary = nil
	if e.Metadata.Deleted {
		return true
	}
	t.last.creates = true
	v := e.Value
	if len(v) < 1+5 || len(v)%5 != 1 {
		return false
	}
	for col := range slices.Chunk(v[1:], 5) {
		if col[4] != 0 { // the only order there is: ascending
			return false
		}
		t.primary = append(t.primary, binary.BigEndian.Uint32(col))
	}
	return true
}

// Table returns the definition of a live table. No such table, two of that name or a malformed
// definition is an [ErrSchema].
func (c *Catalog) Table(name string) (*Table, error) {
	var found *Table
	for id, t := range c.tables {
		if !t.live || t.name != name {
			continue
		}
		if found != nil {
			return nil, found.misfit("ids %d and %d have the same name", found.ID, id)
		}
		found = t.table(id)
	}
	if found == nil {
		return nil, fmt.Errorf("%w: no table %q up to tx %d", ErrSchema, name, c.through)
	}
	if tx := c.tables[found.ID].mixed; tx != 0 {
		return nil, found.misfit("tx %d created it in the place of another table, whose rows cannot be told from its own", tx)
	}
	if err := found.Check(); err != nil {
		return nil, err
	}
	return found, nil
}

// TableNames returns the names of all live tables, sorted.
func (c *Catalog) TableNames() []string {
	var names []string
	for _, t := range c.tables {
		if t.live {
			names = append(names, t.name)
		}
	}
	slices.Sort(names)
	return names
}

func (t *tableEntries) table(id uint32) *Table {
	table := &Table{ID: id, Name: t.name, PrimaryKey: slices.Clone(t.primary), MaxColID: t.maxColID}
	for _, id := range slices.Sorted(maps.Keys(t.columns)) {
		if c := t.columns[id]; !c.dropped {
			table.Columns = append(table.Columns, c.Column)
		}
	}
	return table
}
