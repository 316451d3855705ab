package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
	"github.com/immudb-go/immudb/internal/wire"
)

// table is what the driver needs to know of a table.
type table struct {
	rules.Table
	autoIncrement string // the AUTO_INCREMENT column, or ""

	rows atomic.Int64 // see [Conn.rowsOf]; 0: not counted
}

// catalog remembers tables for all connections of a connector, so that an INSERT
// in a transaction knows what to ask back. Other clients may change them at any
// time, so nothing is believed for long; changes made through this connector make
// it forget at once. The zero value is ready to use.
type catalog struct {
	mu      sync.Mutex
	tables  map[string]rememberedTable // by database and table
	changes int                        // how often it was made to forget
}

// maxTables bounds what is remembered.
const maxTables = 1000

type rememberedTable struct {
	*table
	from time.Time // when it was last as the server described it
}

// catalogTTL is how long a description is believed without a question: to look a table
// up costs a query, a third of a millisecond.
const catalogTTL = 5 * time.Second

// catalogReliance is how long a statement of a transaction may begin with a description
// that is looked up again while the statement runs, see [tx.lookUp].
const catalogReliance = time.Minute

// get returns what is remembered of a table, and whether that is believed. It returns
// nil if a statement must not even begin with it.
func (c *catalog) get(key string) (t *table, believed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.tables[key]
	if age := time.Since(r.from); ok && age < catalogReliance {
		return r.table, age < catalogTTL
	}
	return nil, false
}

// put remembers a table as it was when there had been that many changes. If there
// were more since, it may be another one now.
func (c *catalog) put(key string, t *table, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes != changes {
		return
	}
	if c.tables == nil || len(c.tables) >= maxTables {
		c.tables = make(map[string]rememberedTable)
	}
	c.tables[key] = rememberedTable{t, time.Now()}
}

func (c *catalog) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tables)
	c.changes++
}

func (c *catalog) changed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes
}

// table returns the description of a table, as the open transaction sees it if there
// is one.
func (c *Conn) table(ctx context.Context, name string) (*table, error) {
	key := c.Database() + "." + name
	own := c.tx != nil && c.tx.tables != nil // this transaction changed the catalog
	if own {
		if t := c.tx.tables[key]; t != nil {
			return t, nil
		}
	} else if t, believed := c.connector.catalog.get(key); believed {
		return t, nil
	} else if t != nil && c.tx != nil && c.tx.replica == nil && c.tx.err == nil {
		c.tx.lookUp(ctx, key, name, t)
		return t, nil
	}
	changes := c.connector.catalog.changed()
	if c.tx != nil {
		changes = c.tx.changes // it sees the catalog as of its beginning
	}
	t, err := c.describe(name, c.reader(ctx))
	if err != nil {
		return nil, err
	}
	if own {
		c.tx.tables[key] = t
	} else {
		c.connector.catalog.put(key, t, changes)
	}
	return t, nil
}

// tableWritten is table for an INSERT or UPSERT. If the statement leaves out the
// primary key although the table has no AUTO_INCREMENT, the cached description is
// probably outdated, because the server would refuse the statement. So the table is
// looked up again.
func (c *Conn) tableWritten(ctx context.Context, st *sqltext.Statement) (*table, error) {
	t, err := c.table(ctx, st.Table)
	if err != nil || t.autoIncrement != "" || st.Columns == nil ||
		!slices.ContainsFunc(t.Primary, func(column string) bool { return !slices.Contains(st.Columns, column) }) {
		return t, err
	}
	c.connector.catalog.forget()
	return c.table(ctx, st.Table)
}

// reader returns a function that runs a query in the open transaction, or in none if
// none is open.
func (c *Conn) reader(ctx context.Context) func(bound) (*resultSet, error) {
	if c.tx != nil {
		return func(b bound) (*resultSet, error) { return c.tx.queryStatement(ctx, b) }
	}
	return func(b bound) (*resultSet, error) { return c.stream(ctx, b) }
}

// describe asks the server about a table, by a query that read runs.
func (c *Conn) describe(name string, read func(bound) (*resultSet, error)) (*table, error) {
	q, err := c.connector.queries.parse(`SELECT name, "auto_increment", "primary", "type", "max_length", "nullable" FROM COLUMNS(?) ` +
		`UNION ALL SELECT name, "unique", "primary", '` + indexType + `', 0, FALSE FROM INDEXES(?)`)
	if err != nil {
		return nil, err
	}
	set, err := read(q.bind(0, []driver.NamedValue{{Ordinal: 1, Value: name}, {Ordinal: 2, Value: name}}))
	if err != nil {
		return nil, err
	}
	defer set.close()
	if len(set.columns.list) != 6 {
		return nil, &Error{Message: fmt.Sprintf("the server describes table %s in %d columns, want 6", name, len(set.columns.list)), GRPC: codes.Internal}
	}
	t := &table{}
	row := make([]driver.Value, 6)
	for {
		switch err := set.next(row); {
		case errors.Is(err, io.EOF):
			return t, nil
		case err != nil:
			return nil, err
		}
		column, _ := row[0].(string)
		typ, _ := row[3].(string)
		primary, _ := row[2].(bool)
		if typ == indexType {
			if primary {
				t.Primary = indexColumns(column) // in the order of the key
			} else {
				t.Indexes = append(t.Indexes, indexColumns(column))
			}
			continue
		}
		length, _ := row[4].(int64)
		nullable, _ := row[5].(bool)
		if typ != "VARCHAR" && typ != "BLOB" {
			length = 0
		}
		if auto, _ := row[1].(bool); auto {
			t.autoIncrement = column
		}
		// The server describes key columns as nullable but refuses NULL in them.
		t.Columns = append(t.Columns, rules.Column{Name: column, Type: typ, MaxLength: int(length), Nullable: nullable && !primary})
		if primary {
			t.Primary = append(t.Primary, column)
		}
	}
}

// indexType marks the rows of describe's query that describe an index, in the place
// of a column's type.
const indexType = "INDEX"

// indexColumns are the columns of an index called table(a,b).
func indexColumns(name string) []string {
	_, columns, _ := strings.Cut(strings.TrimSuffix(name, ")"), "(")
	return strings.Split(columns, ",")
}

// checkReturning refuses a RETURNING clause that names columns which the table does
// not have. It is for Exec, which does not send the clause. It asks the server each
// time, because the cache may be outdated. In a transaction, where each call delays the
// commit, it believes a description that has all the columns.
func (c *Conn) checkReturning(ctx context.Context, st *sqltext.Statement) error {
	if !st.Returning.Has || st.Returning.Star {
		return nil
	}
	if c.tx != nil {
		if t, err := c.table(ctx, st.Table); err != nil || t.noSuchReturned(st) == nil {
			return err
		}
	}
	t, err := c.describe(st.Table, c.reader(ctx))
	if err != nil {
		return err
	}
	return t.noSuchReturned(st)
}

// noSuchReturned is the error for a RETURNING clause that names a column which the table
// does not have, or nil.
func (t *table) noSuchReturned(st *sqltext.Statement) error {
	for _, it := range st.Returning.Items {
		if t.Column(it.Column) == nil {
			return noSuchReturned(it, st)
		}
	}
	return nil
}

func noSuchReturned(it sqltext.ReturnItem, st *sqltext.Statement) error {
	return newError(ErrNoSuchColumn, "42703", fmt.Sprintf("RETURNING %s: column does not exist in table %s", it.Column, st.Table))
}

// checkReturned refuses the answer to a RETURNING clause that names columns which
// the table does not have: the server answers NULL for them, in a column of type
// ANY.
func checkReturned(st *sqltext.Statement, columns []wire.Column) error {
	for i, it := range st.Returning.Items {
		if i < len(columns) && columns[i].Type == "ANY" {
			return noSuchReturned(it, st)
		}
	}
	return nil
}

// quoteName quotes a name from the catalog, unless it holds upper case. The server
// folds quoted names to lower case. A name with upper case comes from a keyword that
// was not quoted, whose case the server keeps, so it works only without quotes.
func quoteName(name string) string {
	if strings.ToLower(name) != name {
		return name
	}
	return `"` + name + `"`
}

// lookup asks the server for the description of a table while a statement of a
// transaction runs that relies on an older one. So the transaction waits for no
// call but its own.
type lookup struct {
	key, name string
	relied    *table // what the statement relies on
	changes   int    // how often the catalog had changed when the lookup began

	done  sync.WaitGroup
	found *table
	err   error
}

// lookUp begins a lookup. The server answers it outside the transaction: a change
// that another client has committed since the transaction began shows too.
func (t *tx) lookUp(ctx context.Context, key, name string, relied *table) {
	if slices.ContainsFunc(t.lookups, func(l *lookup) bool { return l.key == key }) {
		return
	}
	c := t.conn
	l := &lookup{key: key, name: name, relied: relied, changes: c.connector.catalog.changed()}
	t.lookups = append(t.lookups, l)
	l.done.Go(func() {
		l.found, l.err = c.describe(name, func(b bound) (*resultSet, error) { return t.readBeside(ctx, b) })
	})
	if relied.rows.Load() == 0 {
		return
	}
	l.done.Go(func() {
		n, err := c.countRows(relied, name, func(b bound) (*resultSet, error) { return t.readBeside(ctx, b) })
		if err != nil {
			n = -1 // counted again at the next use
		}
		relied.rows.Store(n + 1)
	})
}

// readBeside runs a query in the session of the transaction, but outside it.
func (t *tx) readBeside(ctx context.Context, b bound) (*resultSet, error) {
	set, err := t.conn.newSet(b)
	if err != nil {
		return nil, err
	}
	f := set.open(ctx, &t.server.Session().Scope, wire.MethodSQLQuery, b.query)
	t.conn.sawPrimary()
	if f != nil {
		return nil, t.conn.callFailed(t.server.Session(), reads, "", f)
	}
	set.columns = b.query.columnsOf(b.st, set.batch.Columns)
	return set, nil
}

// confirm waits for the lookups that began with a statement, which ended with err. If
// a table is not as the statement relied on, the transaction is rolled back, with an
// error that is worth a retry.
func (t *tx) confirm(err error) error {
	lookups := t.lookups
	t.lookups = nil
	for _, l := range lookups {
		l.done.Wait()
		catalog := &t.conn.connector.catalog
		switch {
		case l.err != nil:
			catalog.forget()
		case l.found.same(l.relied):
			catalog.put(l.key, l.relied, l.changes) // which knows how many rows there are
			continue
		default:
			catalog.forget()
			l.err = &Error{Message: fmt.Sprintf("table %s was changed while the transaction ran: begin it again", l.name),
				SQLState: "40001", GRPC: codes.Aborted, kind: ErrConflict, safe: true}
		}
		if err == nil {
			err = l.err
		}
		if t.rows != nil {
			t.rows.ctx.Cancel()
			t.rows = nil
		}
		t.abort(l.err, txUndo)
	}
	return err
}

// same reports whether two descriptions of a table are equal.
func (t *table) same(other *table) bool {
	return t.autoIncrement == other.autoIncrement && slices.Equal(t.Columns, other.Columns) && slices.Equal(t.Primary, other.Primary) &&
		slices.EqualFunc(t.Indexes, other.Indexes, slices.Equal)
}
