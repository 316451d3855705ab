package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// RowProof is the part of an answer to VerifiableSQLGet that can be proven. The ids, names, types and
// lengths of that answer are left out on purpose: see [Table].
type RowProof struct {
	TxID      uint64 // transaction that wrote the row, as claimed
	Value     []byte
	Metadata  EntryMetadata // nil on the wire is the zero value
	Inclusion *EntryProof
	Dual      *DualProof
}

// Row is a proven revision of a row.
type Row struct {
	Table  *Table
	Key    []byte // of the row's entry
	Values []any  // one per element of Table.Columns, see [Table.DecodeRow]
	TxID   uint64
	Time   time.Time // commit time by the server's clock
	// Deleted means that the transaction deleted the row; Values are the ones it had.
	Deleted bool
}

// Verify proves that transaction p.TxID wrote Value as the row of table with primary key pk, and that
// this transaction and the trusted state belong to one history. It returns the row, decoded from the
// proven bytes, and the newer of the two states.
//
// The row is only as reliable as table. It is a revision of the row, not provably the latest one.
func (p *RowProof) Verify(trusted State, table *Table, pk ...any) (*Row, State, error) {
	if p == nil {
		return nil, State{}, failed(0, "the answer carries a row")
	}
	h, state, err := p.Dual.Prove(trusted, p.TxID)
	if err != nil {
		return nil, State{}, err
	}
	row, err := p.VerifyIn(h, table, pk...)
	if err != nil {
		return nil, State{}, err
	}
	return row, state, nil
}

// VerifyIn is Verify for a transaction whose header is trusted already, so that many rows of one
// transaction need one dual proof.
func (p *RowProof) VerifyIn(h *Header, table *Table, pk ...any) (*Row, error) {
	if p == nil || h == nil {
		return nil, failed(0, "the answer carries a row and its transaction")
	}
	key, err := table.RowKey(pk...)
	if err != nil {
		return nil, err
	}
	e := Entry{Key: key, Metadata: p.Metadata, Value: p.Value, ValueHash: sha256.Sum256(p.Value)}
	if err := p.Inclusion.Verify(h, &e); err != nil {
		return nil, err
	}
	return table.readRow(h, &e)
}

// Rows returns all rows of table that the transaction wrote. Their entries must have their values.
func (tx *Tx) Rows(table *Table) ([]*Row, error) {
	if err := table.Check(); err != nil {
		return nil, err
	}
	prefix := rowKeyPrefix(table.ID)
	var rows []*Row
	for i := range tx.entries {
		e := &tx.entries[i]
		if !bytes.HasPrefix(e.Key, prefix) {
			continue
		}
		row, err := tx.Row(table, e)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Row checks the value of an entry of the transaction and decodes it as a row of table, which must have
// passed [Table.Check].
func (tx *Tx) Row(table *Table, e *Entry) (*Row, error) {
	if err := e.CheckValue(); err != nil {
		return nil, fmt.Errorf("row of table %q in tx %d: %w", table.Name, tx.header.ID, err)
	}
	return table.readRow(tx.header, e)
}

// readRow decodes a proven entry and checks that its key follows from its own values, which include
// those of the primary key. The table was checked.
func (t *Table) readRow(h *Header, e *Entry) (*Row, error) {
	if e.Metadata.Expires || e.Metadata.NonIndexable {
		return nil, failed(h.ID, "a row entry has no metadata but the mark of its deletion")
	}
	values, err := t.decodeRow(e.Value)
	if err != nil {
		return nil, fmt.Errorf("row of table %q in tx %d: %w", t.Name, h.ID, err)
	}
	pk := make([]any, len(t.PrimaryKey))
	for i, id := range t.PrimaryKey {
		c, _ := t.index(id)
		pk[i] = values[c]
	}
	key, err := t.rowKey(pk)
	if err != nil || !bytes.Equal(key, e.Key) {
		return nil, failed(h.ID, "a row of table %q stands under its own primary key", t.Name)
	}
	return &Row{Table: t, Key: key, Values: values, TxID: h.ID, Time: h.When(), Deleted: e.Metadata.Deleted}, nil
}

// RowTables returns the ids of the tables that the transaction wrote rows of, in ascending order.
func (tx *Tx) RowTables() []uint32 {
	head := rowKeyPrefix(0)
	head = head[:len(head)-8] // without the ids of table and index
	var ids []uint32
	for i := range tx.entries {
		if rest, ok := bytes.CutPrefix(tx.entries[i].Key, head); ok && len(rest) >= 4 {
			ids = append(ids, binary.BigEndian.Uint32(rest))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
