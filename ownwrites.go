package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
)

// ownWrites is what a transaction must remember of its own writes: the server's
// secondary indexes do not show them, so that tables which have some are read through
// their primary index from then on. The zero value is of a transaction that has
// written nothing.
type ownWrites struct {
	tables []string        // that were written
	small  map[string]bool // those known to have no more rows than may be scanned
}

// wrote notes what a statement writes.
func (w *ownWrites) wrote(st *sqltext.Statement) {
	if st.Kind.IsDML() && st.Table != "" && !slices.Contains(w.tables, st.Table) {
		w.tables = append(w.tables, st.Table)
	}
}

// throughPrimary returns the query as it must be sent for every statement to see what
// the transaction, or an earlier statement of the query, has written.
func (c *Conn) throughPrimary(ctx context.Context, t *query) (*query, error) {
	var written []string
	if c.tx != nil {
		written = c.tx.own.tables
	}
	if len(written) == 0 && (len(t.statements) < 2 || t.reads) {
		return t, nil
	}
	tables, err := c.ownTables(ctx, t, written)
	if err != nil || tables == nil {
		return t, err
	}
	text, scans, refusal := rules.ThroughPrimary(t.Script, func(i int, name string) *rules.Written {
		if !slices.Contains(written, name) && !writtenBefore(t.Statements, i, name) {
			return nil
		}
		return tables[name]
	})
	if refusal != nil {
		return nil, refused(refusal)
	}
	for _, name := range scans {
		if err := c.checkScan(ctx, name, tables[name]); err != nil {
			return nil, err
		}
	}
	return t.rerouted(text)
}

// ownTables looks up the tables that the query reads after they were written, if they
// have secondary indexes.
func (c *Conn) ownTables(ctx context.Context, t *query, written []string) (map[string]*rules.Written, error) {
	var tables map[string]*rules.Written
	for i := range t.Statements {
		if st := &t.Statements[i]; st.Kind.IsDML() && st.NumRows > 0 && !st.Selects {
			continue // INSERT … VALUES
		}
		for _, name := range rules.Read(t.Statements[i].Tree) {
			if tables[name] != nil || !slices.Contains(written, name) && !writtenBefore(t.Statements, i, name) {
				continue
			}
			w, err := c.indexes(ctx, name)
			switch {
			case errors.Is(err, ErrNoSuchTable):
				continue // a view, or the statement will say so itself
			case err != nil:
				return nil, err
			case len(w.Indexed) == 0:
				continue
			}
			if tables == nil {
				tables = make(map[string]*rules.Written)
			}
			tables[name] = w
		}
	}
	return tables, nil
}

// writtenBefore reports whether a statement before the i-th writes a table.
func writtenBefore(statements []sqltext.Statement, i int, table string) bool {
	return slices.ContainsFunc(statements[:i], func(st sqltext.Statement) bool { return st.Kind.IsDML() && st.Table == table })
}

// indexes asks which columns the indexes of a table have.
func (c *Conn) indexes(ctx context.Context, name string) (*rules.Written, error) {
	q, err := c.connector.queries.parse("SELECT * FROM INDEXES(?)")
	if err != nil {
		return nil, err
	}
	_, list, err := c.collectStatement(ctx, q.bind(0, namedValues([]driver.Value{name})))
	if err != nil {
		return nil, err
	}
	w := &rules.Written{}
	for _, index := range list { // table, name, unique, primary; the name is table(a,b)
		if len(index.values) < 4 {
			continue
		}
		text, _ := index.values[1].(string)
		_, columns, _ := strings.Cut(strings.TrimSuffix(text, ")"), "(")
		if index.values[3] == true {
			w.Primary = strings.Split(columns, ",")
		} else {
			w.Indexed = append(w.Indexed, strings.Split(columns, ",")...)
		}
	}
	return w, nil
}

// checkScan refuses to read all rows of a table that has more of them than
// own_writes_scan allows.
func (c *Conn) checkScan(ctx context.Context, name string, w *rules.Written) error {
	limit := c.connector.cfg.OwnWritesScan
	if limit == 0 || c.tx != nil && c.tx.own.small[name] {
		return nil
	}
	key := make([]string, len(w.Primary))
	for i, column := range w.Primary {
		key[i] = quoteName(column)
	}
	list := strings.Join(key, ", ")
	q, err := c.connector.queries.parse("SELECT " + list + " FROM " + quoteName(name) + " USE INDEX ON (" + list + ") LIMIT 1 OFFSET " + strconv.Itoa(limit))
	if err != nil {
		return err
	}
	_, rows, err := c.collectStatement(ctx, q.bind(0, nil))
	switch {
	case err != nil:
		return err
	case len(rows) > 0:
		return unsupported(fmt.Sprintf("table %s was written in this transaction, which its secondary indexes do not show, and it has more than %d rows, "+
			"too many to read each: ask for rows by primary key, read before writing, commit first, or raise own_writes_scan", name, limit))
	}
	if c.tx != nil {
		if c.tx.own.small == nil {
			c.tx.own.small = make(map[string]bool)
		}
		c.tx.own.small[name] = true
	}
	return nil
}

// collectStatement runs one statement as it is and keeps its rows.
func (c *Conn) collectStatement(ctx context.Context, b bound) (columns *columns, list []*queried, err error) {
	var set *resultSet
	if c.tx != nil {
		set, err = c.tx.queryStatement(ctx, b)
	} else {
		set, err = c.stream(ctx, b)
	}
	if err != nil {
		return nil, nil, err
	}
	defer set.close()
	list, err = collectRows(len(set.columns.list), set.next)
	return set.columns, list, err
}

// rerouted is the query with another text, whose placeholders are the same. The last
// one is kept.
func (t *query) rerouted(text string) (*query, error) {
	if text == t.Text {
		return t, nil
	}
	if own := t.own.Load(); own != nil && own.Text == text {
		return own, nil
	}
	q, err := sqltext.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("immudb: the driver's own rewriting of the query is wrong, please report it: %w", err)
	}
	own := newQuery(q, t.plan)
	t.own.Store(own)
	return own, nil
}
