package proof

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
)

// ChangeReader reads what verified transactions did to tables and rows, one transaction after
// another, by the definitions of each transaction's time. It keeps no more than the current ones.
type ChangeReader struct {
	catalog *Catalog
	tables  map[uint32]readable
}

// readable is a live table, and why its rows cannot be read, if they cannot.
type readable struct {
	table *Table
	err   error
}

// TxChanges is what a transaction did. Each list of rows has the order of the transaction's entries.
type TxChanges struct {
	Dropped []RowChange   // rows of the tables that the transaction drops
	Schema  []TableChange // ordered by the ids of the tables
	Rows    []RowChange   // rows of the other tables
}

// Len is the number of changes.
func (c *TxChanges) Len() int { return len(c.Dropped) + len(c.Schema) + len(c.Rows) }

// At returns change i, counted over the lists one after the other: either of a row or of a table.
func (c *TxChanges) At(i int) (*RowChange, *TableChange) {
	if i < len(c.Dropped) {
		return &c.Dropped[i], nil
	}
	if i -= len(c.Dropped); i < len(c.Schema) {
		return nil, &c.Schema[i]
	}
	return &c.Rows[i-len(c.Schema)], nil
}

// TableChange is a change of a table's definition.
type TableChange struct {
	SchemaChange
	After *Table // nil: the table was dropped
}

// RowChange is an entry of a row. It has not been decoded yet.
type RowChange struct {
	readable
	tx    *Tx
	entry *Entry
}

// NewChangeReader returns a reader for the transactions that follow those which the catalog has. The
// catalog belongs to the reader from then on.
func NewChangeReader(c *Catalog) *ChangeReader {
	r := &ChangeReader{catalog: c}
	r.look()
	return r
}

// Checkpoint is [Catalog.Checkpoint] of the reader's catalog.
func (r *ChangeReader) Checkpoint() []byte { return r.catalog.Checkpoint() }

// look finds the live tables.
func (r *ChangeReader) look() {
	r.catalog.forget()
	r.tables = make(map[uint32]readable)
	for id, t := range r.catalog.tables {
		if !t.live {
			continue
		}
		table := t.table(id)
		err := table.Check()
		if err == nil && t.mixed != 0 {
			err = table.misfit("tx %d created it in the place of another table, whose rows cannot be told from its own", t.mixed)
		}
		r.tables[id] = readable{table, err}
	}
}

// Read returns what the next transaction did. Entries of the catalog must have their values. changed
// reports whether the definitions of tables may be others than before.
//
// Rows have the definition of the table once the transaction is committed, or, if the transaction drops
// the table, the one before. Rows of a table that one transaction creates and drops are left out: no
// definition of it remains.
func (r *ChangeReader) Read(tx *Tx) (c TxChanges, changed bool, err error) {
	before := r.tables
	changed = slices.ContainsFunc(tx.entries, func(e Entry) bool { return IsCatalogKey(e.Key) })
	if changed {
		if err := r.catalog.Apply(tx); err != nil {
			return c, true, err
		}
		c.Schema = r.catalog.changesOf(tx.header.ID)
		r.look()
	} else {
		r.catalog.through = tx.header.ID
	}
	for i := range tx.entries {
		e := &tx.entries[i]
		id, ok := TableOfRow(e.Key)
		if !ok {
			continue
		}
		if t, live := r.tables[id]; live {
			c.Rows = append(c.Rows, RowChange{t, tx, e})
		} else if t, live = before[id]; live {
			c.Dropped = append(c.Dropped, RowChange{t, tx, e})
		}
	}
	return c, changed, nil
}

// changesOf returns what the last transaction that was applied did to tables.
func (c *Catalog) changesOf(tx uint64) (list []TableChange) {
	for _, id := range slices.Sorted(maps.Keys(c.tables)) {
		versions := c.tables[id].versions
		n := len(versions)
		if n == 0 || versions[n-1].tx != tx {
			continue
		}
		var before *Table
		if n > 1 {
			before = versions[n-2].table
		}
		for _, change := range changesBetween(tx, before, versions[n-1].table) {
			list = append(list, TableChange{change, versions[n-1].table})
		}
	}
	return list
}

var rowsPrefix = binary.BigEndian.AppendUint32([]byte{sqlPrefix, rowPrefix[0], rowPrefix[1]}, databaseID)

// TableOfRow returns the id of the table that an entry with this key is a row of.
func TableOfRow(key []byte) (id uint32, ok bool) {
	n := len(rowsPrefix)
	if len(key) < n+8 || !bytes.HasPrefix(key, rowsPrefix) || binary.BigEndian.Uint32(key[n+4:]) != pkIndexID {
		return 0, false
	}
	return binary.BigEndian.Uint32(key[n:]), true
}

// Table is the name of the row's table.
func (c *RowChange) Table() string { return c.table.Name }

// Row checks the value of the entry and decodes it.
func (c *RowChange) Row() (*Row, error) {
	if c.err != nil {
		return nil, c.err
	}
	return c.tx.Row(c.table, c.entry)
}
