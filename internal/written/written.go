// Package written compares what a transaction was asked to write with the proven
// entries of the transaction.
//
// It knows the rows of INSERT and UPSERT with VALUES. Their values are arguments and
// literals; a value that the server computes, such as NOW(), a default or an
// AUTO_INCREMENT key, is whatever the entry holds. What UPDATE, DELETE, INSERT … SELECT
// and ON CONFLICT write depends on the rows that the server finds, so it is not known
// here.
package written

import (
	"bytes"
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// Value is a value that was sent.
type Value struct {
	Value driver.Value
	Known bool // false: the server computes it
}

// Rows are rows that one statement inserts.
type Rows struct {
	Columns []string // nil: all columns, in the order of the table
	Values  [][]Value

	// LastKey is the AUTO_INCREMENT key of the last row as the server has answered it,
	// for rows that do not give it. The keys of the rows are consecutive. 0: not known.
	LastKey int64
}

// Writes is what a transaction was asked to write, in order. The zero value is nothing.
type Writes struct {
	tables  map[string]*table
	unknown bool // a statement may have written to any table
}

// table is what was asked for one table.
type table struct {
	sent []sent
	// more: statements have written rows that are not known, or have changed or deleted
	// some.
	more bool
}

// sent are rows that were sent. If final is false, a later statement may have changed or
// deleted them.
type sent struct {
	*Rows
	final bool
}

func (w *Writes) table(name string) *table {
	if w.tables == nil {
		w.tables = make(map[string]*table)
	}
	t := w.tables[name]
	if t == nil {
		t = &table{}
		w.tables[name] = t
	}
	return t
}

// Add adds rows that are inserted into a table, whose name is folded.
func (w *Writes) Add(name string, rows *Rows) {
	t := w.table(name)
	t.sent = append(t.sent, sent{rows, true})
}

// AddUnknown says that a statement has written to the table what is not known; name ""
// stands for any table.
func (w *Writes) AddUnknown(name string) {
	if name == "" {
		w.unknown = true
		for _, t := range w.tables {
			t.add()
		}
		return
	}
	w.table(name).add()
}

func (t *table) add() {
	t.more = true
	for i := range t.sent {
		t.sent[i].final = false
	}
}

// AddStatement adds what a statement writes. valueOf returns the argument of a
// placeholder. The result is the rows, if they are known, else nil.
func (w *Writes) AddStatement(st tree.Statement, valueOf func(*tree.Param) driver.Value) *Rows {
	switch st := st.(type) {
	case *tree.Insert:
		if st.Query != nil || st.Conflict != nil {
			w.AddUnknown(st.Table.Name)
			return nil
		}
		rows := &Rows{}
		for _, c := range st.Columns {
			rows.Columns = append(rows.Columns, c.Name)
		}
		for i := range st.Rows {
			values := make([]Value, len(st.Rows[i].Values))
			for j, x := range st.Rows[i].Values {
				values[j] = constant(x, valueOf)
			}
			rows.Values = append(rows.Values, values)
		}
		w.Add(st.Table.Name, rows)
		return rows
	case *tree.Update:
		w.AddUnknown(st.Table.Name)
	case *tree.Delete:
		w.AddUnknown(st.Table.Name)
	default:
		w.AddUnknown("")
	}
	return nil
}

// Clone returns a copy to which more can be added without changing w.
func (w *Writes) Clone() Writes {
	c := Writes{unknown: w.unknown}
	for name, t := range w.tables {
		*c.table(name) = table{sent: slices.Clone(t.sent), more: t.more}
	}
	return c
}

// Tables returns the names of the tables whose rows are known.
func (w *Writes) Tables() []string {
	var names []string
	for name, t := range w.tables {
		if slices.ContainsFunc(t.sent, func(s sent) bool { return s.final }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Check compares the entries of a proven transaction with what was sent. tables has the
// definition of each table of [Writes.Tables]. The error is a [*proof.Error], or one of
// the definition.
func (w *Writes) Check(tx *proof.Tx, tables map[string]*proof.Table) error {
	ids := make(map[uint32]bool)
	for _, name := range w.Tables() {
		def := tables[name]
		rows, err := tx.Rows(def)
		if err != nil {
			return err
		}
		c := check{tx: tx.Header().ID, def: def, rows: rows, of: w.tables[name]}
		if err := c.run(); err != nil {
			return err
		}
		ids[def.ID] = true
	}
	if w.unknown {
		return nil
	}
	for _, t := range w.tables {
		if t.more {
			return nil // its id may not be known
		}
	}
	for _, id := range tx.RowTables() {
		if !ids[id] {
			return tampered(tx.Header().ID, "a transaction wrote to no other table than it was asked to", "", fmt.Sprintf("a row of table %d", id))
		}
	}
	return nil
}

func tampered(tx uint64, check, expected, found string) error {
	return &proof.Error{Check: check, TxID: tx, Expected: expected, Found: found}
}

// check compares the rows of one table.
type check struct {
	tx   uint64
	def  *proof.Table
	rows []*proof.Row
	of   *table

	byKey   map[string]expected
	keyless []expected // rows without a known key, in order
}

// expected is a row that was sent.
type expected struct {
	columns []int // of the definition, by value
	values  []Value
	final   bool
}

func (c *check) run() error {
	c.byKey = make(map[string]expected)
	for _, s := range c.of.sent {
		if err := c.expect(s); err != nil {
			return err
		}
	}
	var others []*proof.Row
	for _, row := range c.rows {
		e, ok := c.byKey[string(row.Key)]
		if !ok {
			others = append(others, row)
			continue
		}
		delete(c.byKey, string(row.Key))
		if err := c.compare(row, e); err != nil {
			return err
		}
	}
	for _, e := range c.byKey {
		if e.final {
			return c.missing()
		}
	}
	if c.of.more {
		return nil // which of the others are these rows cannot be told
	}
	switch {
	case len(others) < len(c.keyless):
		return c.missing()
	case len(others) > len(c.keyless):
		return tampered(c.tx, "a transaction wrote no other row of table "+c.def.Name+" than it was asked to",
			fmt.Sprint(len(c.rows)-len(others)+len(c.keyless)), fmt.Sprint(len(c.rows)))
	}
	// Generated keys ascend. A transaction holds its entries in the order of writing, which
	// is theirs.
	for i, row := range others {
		if err := c.compare(row, c.keyless[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) missing() error {
	return tampered(c.tx, "a transaction wrote every row of table "+c.def.Name+" that it was asked to", "", "")
}

// expect adds the rows of a statement.
func (c *check) expect(s sent) error {
	names := s.Columns
	if names == nil {
		for i := range c.def.Columns {
			names = append(names, c.def.Columns[i].Name)
		}
	}
	e := expected{final: s.final}
	for _, name := range names {
		e.columns = append(e.columns, slices.IndexFunc(c.def.Columns, func(d proof.Column) bool { return d.Name == name }))
	}
	if s.final && slices.Contains(e.columns, -1) {
		return fmt.Errorf("%w: table %s has no column %s", proof.ErrSchema, c.def.Name, names[slices.Index(e.columns, -1)])
	}
	for i, values := range s.Values {
		e := e
		e.values = values
		if key, ok := c.keyOf(s.Rows, &e, i); ok {
			c.byKey[string(key)] = e // of two rows with one key, the later one replaces the first
		} else {
			c.keyless = append(c.keyless, e)
		}
	}
	return nil
}

// keyOf returns the key of the i-th row of a statement, if it is known.
func (c *check) keyOf(rows *Rows, e *expected, i int) ([]byte, bool) {
	pk := make([]any, len(c.def.PrimaryKey))
	for k, id := range c.def.PrimaryKey {
		at := slices.IndexFunc(e.columns, func(column int) bool { return column >= 0 && c.def.Columns[column].ID == id })
		if at < 0 {
			if len(pk) > 1 || rows.LastKey == 0 {
				return nil, false
			}
			pk[k] = rows.LastKey - int64(len(rows.Values)-1-i)
			continue
		}
		v, ok := e.values[at].stored(&c.def.Columns[e.columns[at]])
		if !ok || v == nil {
			return nil, false
		}
		pk[k] = v
	}
	key, err := c.def.RowKey(pk...)
	return key, err == nil
}

// compare compares a proven row with the one that was sent.
func (c *check) compare(row *proof.Row, e expected) error {
	if !e.final {
		return nil
	}
	if row.Deleted {
		return c.missing()
	}
	for i, at := range e.columns {
		want, ok := e.values[i].stored(&c.def.Columns[at])
		if ok && !same(want, row.Values[at]) {
			return tampered(c.tx, "a row of table "+c.def.Name+" has the value of column "+c.def.Columns[at].Name+" that was sent", "", "")
		}
	}
	return nil
}

// same compares two values as [proof.Table.DecodeRow] returns them.
func same(a, b any) bool {
	switch a := a.(type) {
	case []byte:
		b, ok := b.([]byte)
		return ok && bytes.Equal(a, b)
	case proof.RawJSON:
		b, ok := b.(proof.RawJSON)
		return ok && sameJSON(a, b)
	}
	return a == b
}
