package immudb

import (
	"context"
	"database/sql/driver"
	"slices"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
	"github.com/immudb-go/immudb/internal/trust"
	"github.com/immudb-go/immudb/internal/written"
)

// With verify=writes, the entries of a transaction come with the proof of its commit and
// are compared with the rows that were sent, see package written.

// valueOf is the argument of a placeholder of the query.
func (b *bound) valueOf(p *tree.Param) driver.Value {
	if b.query.Style == sqltext.Named {
		return namedArg(b.args, b.query.Names[p.Index]).Value
	}
	return b.args[p.Index].Value
}

// addTo adds what the statement writes to w. The result is its rows, if they are known.
func (b *bound) addTo(w *written.Writes) *written.Rows {
	if b.st.Kind.IsQuery() {
		return nil
	}
	return w.AddStatement(b.st.Tree, b.valueOf)
}

// send notes what a statement of the transaction has written.
func (t *tx) send(b *bound) *written.Rows {
	if !t.conn.connector.cfg.Verify.Writes {
		return nil
	}
	return b.addTo(&t.sent)
}

// sentWrites is what was sent in the transaction; nil: it is not to be proven.
func (t *tx) sentWrites() *written.Writes {
	if !t.conn.connector.cfg.Verify.Writes {
		return nil
	}
	return &t.sent
}

// sentBy is what the statements of a query were sent to write, with the key that the
// server has answered; nil: it is not to be proven.
func (c *Conn) sentBy(t *query, args []driver.NamedValue, res *result) *written.Writes {
	if !c.connector.cfg.Verify.Writes {
		return nil
	}
	var w written.Writes
	last := lastInsert(t.statements)
	for i := range t.statements {
		b := t.bind(i, args)
		if rows := b.addTo(&w); rows != nil && b.st == last && res.idErr == nil {
			rows.LastKey = res.id
		}
	}
	return &w
}

// sentByGroup is sentBy for the statements of a group. Without results it is not known
// what the server has run.
func (c *Conn) sentByGroup(batch []*member, results []*result) *written.Writes {
	if !c.connector.cfg.Verify.Writes {
		return nil
	}
	var w written.Writes
	if results == nil {
		w.AddUnknown("")
		return &w
	}
	for i, m := range batch {
		if rows := m.bound.addTo(&w); rows != nil && results[i].idErr == nil {
			rows.LastKey = results[i].id
		}
	}
	return &w
}

// sent is what rows from ≤ i < to of a batch are sent to write; nil: it is not to be
// proven.
func (w *copyWriter) sent(b *batch, from, to int) *written.Writes {
	if !b.rows.Keeps {
		return nil
	}
	rows := &written.Rows{Values: b.rows.Values()[from:to]}
	for i := range w.columns {
		rows.Columns = append(rows.Columns, w.columns[i].Name)
	}
	var sent written.Writes
	sent.Add(w.table, rows)
	return &sent
}

// proveWrites proves a commit, and that its transaction wrote what was sent.
func (c *Conn) proveWrites(ctx context.Context, p *trust.Prover, header *proof.Header, sent *written.Writes) error {
	tx, err := p.CommitEntries(ctx, c.begun, header)
	if err != nil {
		return err
	}
	tables := make(map[string]*proof.Table)
	for _, name := range sent.Tables() {
		tables[name] = c.definition(ctx, p, name)
	}
	if err = sent.Check(tx, tables); err == nil {
		return nil
	}
	// The definition relied on may be older than the transaction, or be none.
	defined, err := p.TablesAt(ctx, header.ID)
	if err != nil {
		return err
	}
	for _, t := range defined {
		tables[t.Name] = t
	}
	return p.Tampering(sent.Check(tx, tables))
}

// definition returns the definition of a table that is relied on. If there is none, the
// driver asks for a row, which makes the server describe the table. The result is nil if
// that does not tell either, for whatever reason: then the history does.
func (c *Conn) definition(ctx context.Context, p *trust.Prover, name string) *proof.Table {
	if t := p.Table(name); t != nil {
		return t
	}
	columns, list, err := c.collect(ctx, "SELECT * FROM "+quoteName(name)+" LIMIT 1", nil)
	if err != nil || len(list) == 0 {
		return nil
	}
	hint, err := c.primaryKey(ctx, name)
	if err != nil {
		return nil
	}
	var pk []any
	for _, column := range hint {
		if i := slices.Index(columns.names, column); i >= 0 {
			pk = append(pk, list[0].values[i])
		}
	}
	if _, err := c.verifyRow(ctx, name, 0, pk); err != nil {
		return nil
	}
	return p.Table(name)
}
