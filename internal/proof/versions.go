package proof

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// SchemaChange is what a transaction did to a table.
type SchemaChange struct {
	TxID  uint64
	Table string // its name before the change, or that of a new one
	What  string // in words: "column balance is renamed to cents"
}

// note keeps the definition that a transaction left, if it is another one than before.
func (t *tableEntries) note(id uint32, tx uint64) {
	now := version{tx: tx}
	if t.live {
		now.table = t.table(id)
	}
	last := t.lastVersion()
	if last == nil && now.table == nil || last != nil && now.table != nil && last.Fingerprint() == now.table.Fingerprint() {
		return
	}
	t.versions = append(t.versions, now)
}

// lastVersion is the definition in force, or nil.
func (t *tableEntries) lastVersion() *Table {
	if n := len(t.versions); n > 0 {
		return t.versions[n-1].table
	}
	return nil
}

// isDropped tells whether an earlier transaction dropped the table.
func (t *tableEntries) isDropped() bool { return len(t.versions) > 0 && t.lastVersion() == nil }

// At returns the definition that the table with an id had once transaction tx was committed, or nil.
func (c *Catalog) At(id uint32, tx uint64) *Table {
	t := c.tables[id]
	if t == nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(t.versions, tx, func(v version, tx uint64) int { return cmp.Compare(v.tx, tx) })
	if !found {
		i--
	}
	if i < 0 {
		return nil
	}
	return t.versions[i].table
}

// TablesAt returns the tables that there were once transaction tx was committed, in
// the order of their ids.
func (c *Catalog) TablesAt(tx uint64) []*Table {
	var tables []*Table
	for _, id := range slices.Sorted(maps.Keys(c.tables)) {
		if t := c.At(id, tx); t != nil {
			tables = append(tables, t)
		}
	}
	return tables
}

// Had returns the definition with that fingerprint which a table of that name has or had, or nil.
func (c *Catalog) Had(name string, fingerprint Digest) *Table {
	for _, t := range c.tables {
		for _, v := range t.versions {
			if v.table != nil && v.table.Name == name && v.table.Fingerprint() == fingerprint {
				return v.table
			}
		}
	}
	return nil
}

// Dropped returns the ids of the tables that were dropped, ascending.
func (c *Catalog) Dropped() []uint32 {
	var ids []uint32
	for id, t := range c.tables {
		if slices.ContainsFunc(t.versions, func(v version) bool { return v.table == nil }) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// DroppedBy returns the ids of the tables that a verified transaction dropped.
func DroppedBy(tx *Tx) []uint32 {
	var ids []uint32
	for i := range tx.entries {
		e := &tx.entries[i]
		rest, ok := bytes.CutPrefix(e.Key, tablePrefix)
		if ok && e.Metadata.Deleted && !e.Metadata.NonIndexable && len(rest) == 8 {
			ids = append(ids, binary.BigEndian.Uint32(rest[4:]))
		}
	}
	return ids
}

// Changes returns what transactions from since on did to tables, in their order.
func (c *Catalog) Changes(since uint64) []SchemaChange {
	var list []SchemaChange
	for _, id := range slices.Sorted(maps.Keys(c.tables)) {
		var before *Table
		for _, v := range c.tables[id].versions {
			if v.tx >= since {
				list = append(list, changesBetween(v.tx, before, v.table)...)
			}
			if v.table != nil {
				before = v.table
			}
		}
	}
	slices.SortStableFunc(list, func(a, b SchemaChange) int { return cmp.Compare(a.TxID, b.TxID) })
	return list
}

// changesBetween lists the differences between two definitions of a table id.
func changesBetween(tx uint64, before, after *Table) []SchemaChange {
	switch {
	case before == nil:
		return []SchemaChange{{tx, after.Name, "the table is created"}}
	case after == nil:
		return []SchemaChange{{tx, before.Name, "the table is dropped"}}
	}
	var list []SchemaChange
	add := func(format string, args ...any) {
		list = append(list, SchemaChange{tx, before.Name, fmt.Sprintf(format, args...)})
	}
	if before.Name != after.Name {
		add("the table is renamed to %s", after.Name)
	}
	for _, old := range before.Columns {
		switch now := after.column(old.ID); {
		case now == nil:
			add("column %s is dropped", old.Name)
		case now.Name != old.Name:
			add("column %s is renamed to %s", old.Name, now.Name)
		case now.Type != old.Type || now.MaxLen != old.MaxLen:
			add("column %s is of another type", old.Name)
		}
	}
	for _, now := range after.Columns {
		if before.column(now.ID) == nil {
			add("column %s is added", now.Name)
		}
	}
	if !slices.Equal(before.PrimaryKey, after.PrimaryKey) {
		add("the primary key is another one")
	}
	if len(list) == 0 {
		add("the definition is another one")
	}
	return list
}

// Means reports whether rows have the same meaning under the definitions t and now: it is the same table, and no
// column has another name or type. Columns may have been added or dropped.
func (t *Table) Means(now *Table) bool {
	if t.ID != now.ID || t.Name != now.Name || !slices.Equal(t.PrimaryKey, now.PrimaryKey) {
		return false
	}
	for _, old := range t.Columns {
		c := now.column(old.ID)
		if c != nil && (c.Name != old.Name || c.Type != old.Type) {
			return false
		}
		// No other column may have the name of a dropped one.
		if c == nil && slices.ContainsFunc(now.Columns, func(c Column) bool { return c.Name == old.Name }) {
			return false
		}
	}
	return true
}
