package immudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
	"github.com/immudb-go/immudb/internal/wire"
)

// The server (v1.11.1) caches the catalog of tables. A commit that changes the
// schema empties the cache, and a query outside a transaction fills an empty cache
// with the catalog that was current when the query began. So a query that begins
// before such a commit and ends after it leaves an outdated catalog in the cache,
// for every client and until the next change: the new table does not exist, and the
// next CREATE TABLE replaces it and its rows.
//
// The driver therefore fills the cache before it commits a change of the schema, so
// that no query can fill it with the old catalog, and checks afterwards whether the
// cache shows the change. If it does not, the driver empties the cache by an ALTER
// COLUMN that writes nothing, and checks again.
//
// Two clients that change the schema at once can still leave an outdated catalog.
// The changes of one sql.DB wait for each other, those of several processes do not.

// schemaChange is what the catalog must show once changes of the schema are
// committed.
type schemaChange struct {
	shows map[schemaName]bool
	// hidden is true if something changes that the catalog does not show.
	hidden bool
	// renewed is true if something is made that had the name of what was dropped before.
	renewed bool
}

// set says whether the catalog must show something.
func (s *schemaChange) set(name schemaName, there bool) {
	if s.shows == nil {
		s.shows = make(map[schemaName]bool)
	}
	s.renewed = s.renewed || there && s.gone(name)
	s.shows[name] = there
}

// gone reports whether something, or its table, was dropped or renamed.
func (s *schemaChange) gone(name schemaName) bool {
	there, known := s.shows[name]
	return known && !there
}

// schemaName names a table, or a column or an index of one.
type schemaName struct{ table, column, index string }

// add adds the effect of a statement that changes the schema.
func (s *schemaChange) add(st tree.Statement) {
	if s.shows == nil {
		s.shows = make(map[schemaName]bool)
	}
	switch st := st.(type) {
	case *tree.CreateTable:
		s.renewed = s.renewed || s.gone(schemaName{table: st.Name.Name})
		s.forget(st.Name.Name)
		s.set(schemaName{table: st.Name.Name}, true)
	case *tree.CreateIndex:
		s.set(schemaName{table: st.Table.Name, index: indexName(st.Columns)}, true)
	case *tree.Drop:
		switch st.What {
		case "TABLE":
			s.forget(st.Name.Name)
			s.set(schemaName{table: st.Name.Name}, false)
		case "INDEX":
			s.set(schemaName{table: st.Name.Name, index: indexName(st.Columns)}, false)
		}
	case *tree.Truncate:
		s.hidden = true
	case *tree.AlterTable:
		s.alter(st)
	}
}

func (s *schemaChange) alter(st *tree.AlterTable) {
	table := st.Table.Name
	switch st.Action {
	case tree.AddColumn:
		s.set(schemaName{table: table, column: st.Column.Name.Name}, true)
	case tree.DropColumn:
		s.set(schemaName{table: table, column: st.Name.Name}, false)
	case tree.RenameColumn:
		s.set(schemaName{table: table, column: st.Name.Name}, false)
		s.set(schemaName{table: table, column: st.New.Name}, true)
	case tree.RenameTable:
		s.renewed = s.renewed || s.gone(schemaName{table: st.New.Name})
		s.forget(st.New.Name)
		for name, there := range s.shows {
			if name.table == table {
				delete(s.shows, name)
				name.table = st.New.Name
				s.shows[name] = there
			}
		}
		s.set(schemaName{table: table}, false)
		s.set(schemaName{table: st.New.Name}, true)
	default:
		s.hidden = true
	}
}

// forget drops all earlier changes of a table.
func (s *schemaChange) forget(table string) {
	for name := range s.shows {
		if name.table == table {
			delete(s.shows, name)
		}
	}
}

// indexName returns the columns of an index as the catalog names it, without the
// table.
func indexName(columns []tree.Ident) string {
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].Name
	}
	return strings.Join(names, ",")
}

// changeOf returns what the statements change of the schema, or nil.
func changeOf(statements []sqltext.Statement) *schemaChange {
	var s *schemaChange
	for i := range statements {
		if statements[i].Kind.ChangesCatalog() {
			if s == nil {
				s = &schemaChange{}
			}
			s.add(statements[i].Tree)
		}
	}
	return s
}

const (
	// maxMends bounds how often an outdated catalog is refreshed in a row. While other
	// clients read all the time, about one commit in seven leaves an outdated catalog.
	maxMends = 20
	// showTimeout bounds the wait until the server shows a committed change.
	showTimeout = 10 * time.Second
)

// beforeSchemaChange waits for other changes of the schema and makes the server
// fill its cache. The caller calls done when the change is committed and shown, or
// has failed.
func (c *Conn) beforeSchemaChange(ctx context.Context) (done func(), err error) {
	lane := c.connector.schemaLane
	select {
	case lane <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c.renewCatalog(ctx)
	// An error does not matter here: the change itself will then fail too.
	_, _ = c.names(ctx, "SELECT name FROM TABLES() LIMIT 1")
	return func() { <-lane }, nil
}

// showSchemaChange returns when the server shows a committed change. It does not end
// with the caller's context, because the change is committed and must become visible.
func (c *Conn) showSchemaChange(ctx context.Context, s *schemaChange) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), showTimeout)
	defer cancel()
	mend := s.hidden
	for range maxMends {
		if mend {
			if err := c.emptyCatalogCache(ctx); err != nil {
				return c.notShown(err)
			}
		}
		// The query that fills the cache sees its own catalog, so a second query checks
		// the cached one.
		if _, err := c.shown(ctx, s); err != nil {
			return c.notShown(err)
		}
		shown, err := c.shown(ctx, s)
		if err != nil {
			return c.notShown(err)
		}
		if shown {
			return nil
		}
		c.logEvent(ctx, slog.LevelWarn, "immudb: the server has an outdated catalog; the driver makes it read the catalog again")
		mend = true
	}
	return newError(nil, "", "the change of the schema is committed, but the server does not show it: another client has changed the same "+
		"table since, or the server has an outdated catalog; before the next change of the schema look whether the tables are there, and restart the server if not")
}

// notShown logs that the check failed. It returns nil, because the change is
// committed; whether the server shows it is not known.
func (c *Conn) notShown(err error) error {
	c.logEvent(context.Background(), slog.LevelWarn, "immudb: a change of the schema is committed, but the driver could not look whether the server shows it",
		slog.String("sqlstate", sqlStateOf(err)))
	return nil
}

// shown reports whether the catalog is as s says.
func (c *Conn) shown(ctx context.Context, s *schemaChange) (bool, error) {
	columns, indexes := make(map[string]map[string]bool), make(map[string]map[string]bool)
	for name, there := range s.shows {
		if columns[name.table] == nil {
			found, err := c.nameSet(ctx, "SELECT name FROM COLUMNS(?)", name.table)
			if err != nil {
				return false, err
			}
			columns[name.table] = found
		}
		got := len(columns[name.table]) > 0
		switch {
		case name.column != "":
			got = columns[name.table][name.column]
		case name.index != "" && got:
			if indexes[name.table] == nil {
				found, err := c.nameSet(ctx, "SELECT name FROM INDEXES(?)", name.table)
				if err != nil {
					return false, err
				}
				indexes[name.table] = found
			}
			got = indexes[name.table][name.table+"("+name.index+")"]
		}
		if got != there {
			return false, nil
		}
	}
	if len(s.shows) == 0 {
		_, err := c.names(ctx, "SELECT name FROM TABLES() LIMIT 1")
		return true, err
	}
	return true, nil
}

// nameSet is names for what a table has; it is empty if there is no such table.
func (c *Conn) nameSet(ctx context.Context, query, table string) (map[string]bool, error) {
	names, err := c.names(ctx, query, table)
	if err != nil && !errors.Is(err, ErrNoSuchTable) {
		return nil, err
	}
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set, nil
}

// emptyCatalogCache makes the server forget its catalog: an ALTER COLUMN of a
// column that is a key changes nothing and counts as a change of the schema.
func (c *Conn) emptyCatalogCache(ctx context.Context) error {
	tables, err := c.names(ctx, "SELECT name FROM TABLES()")
	if err != nil {
		return err
	}
	for _, table := range tables {
		keys, err := c.names(ctx, `SELECT name FROM COLUMNS(?) WHERE "primary" = TRUE`, table)
		if err != nil || len(keys) == 0 {
			continue // it is gone
		}
		req := wire.AppendSQL(nil, fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", quoteName(table), quoteName(keys[0])))
		err = c.call(ctx, reads, "", wire.MethodSQLExec, req, &wire.ExecResult{})
		if !errors.Is(err, ErrNoSuchTable) && !errors.Is(err, ErrNoSuchColumn) {
			return err
		}
	}
	return errors.New("no table is there that the server could be asked by")
}

// names runs a query of one column outside the open transaction, if there is one.
func (c *Conn) names(ctx context.Context, query string, args ...string) ([]string, error) {
	q, err := c.connector.queries.parse(query)
	if err != nil {
		return nil, err
	}
	named := make([]driver.NamedValue, len(args))
	for i := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: args[i]}
	}
	set, err := c.stream(ctx, q.bind(0, named))
	if err != nil {
		return nil, err
	}
	defer set.close()
	if len(set.columns.list) != 1 {
		return nil, fmt.Errorf("immudb: the server answers a query of the catalog in %d columns, want 1", len(set.columns.list))
	}
	var names []string
	for row := make([]driver.Value, 1); ; {
		switch err := set.next(row); {
		case errors.Is(err, io.EOF):
			return names, nil
		case err != nil:
			return nil, err
		}
		if name, ok := row[0].(string); ok {
			names = append(names, name)
		}
	}
}

// A replica does not see changes of the schema that come after it has read its catalog.
// When it is promoted while it runs, it keeps that catalog as a primary, and its next
// CREATE TABLE takes the place of a table that it has not seen. So before its first
// change of the schema on a server, a connector makes the server read the catalog again.

// renewals are the databases whose servers have read the catalog again, by
// [Conn.catalogID].
type renewals struct{ done sync.Map }

// catalogID names the catalog that the connection's session uses.
func (c *Conn) catalogID() string {
	return c.Host() + "/" + c.session().ServerUUID + "/" + c.Database()
}

// renewCatalog makes the server read its catalog again, unless it has done so for this
// connector, and reports whether the server had not seen tables. The schema lane is held.
//
// An error of the server is none of the caller: it is no worse than before, and the
// change itself fails for the same reason. A database in which the server sees no table
// has none that it could be asked by.
func (c *Conn) renewCatalog(ctx context.Context) (wasOutdated bool) {
	id := c.catalogID()
	if _, done := c.connector.renewed.done.Load(id); done {
		return false
	}
	before, err := c.names(ctx, "SELECT name FROM TABLES()")
	for range maxMends {
		if err != nil || len(before) == 0 {
			break
		}
		if err = c.emptyCatalogCache(ctx); err != nil {
			break
		}
		var after []string
		if after, err = c.names(ctx, "SELECT name FROM TABLES()"); err != nil {
			break
		}
		missing := func(in []string) func(string) bool {
			return func(name string) bool { return !slices.Contains(in, name) }
		}
		if slices.ContainsFunc(before, missing(after)) {
			continue // a long query may have put an older catalog into the cache that was just emptied
		}
		if wasOutdated = slices.ContainsFunc(after, missing(before)); wasOutdated {
			c.logEvent(ctx, slog.LevelWarn, "immudb primary had an outdated catalog, as a replica that was promoted has; it has read the catalog again",
				slog.String("tables", fmt.Sprintf("%d seen, %d there", len(before), len(after))))
		}
		break
	}
	if ctx.Err() == nil && !errors.Is(err, ErrReplica) && !errors.Is(err, ErrUnreachable) && c.catalogID() == id {
		c.connector.renewed.done.Store(id, true)
	}
	return wasOutdated
}

// renewCatalog is Conn.renewCatalog before the first change of the schema in a
// transaction, whose own view of the catalog is that of its beginning.
func (t *tx) renewCatalog(ctx context.Context) error {
	c := t.conn
	if _, done := c.connector.renewed.done.Load(c.catalogID()); done {
		return nil
	}
	lane := c.connector.schemaLane
	select {
	case lane <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-lane }()
	if !c.renewCatalog(ctx) {
		return nil
	}
	err := &Error{
		Message:  "the server had an outdated catalog when the transaction began, and has read it again: run the transaction again",
		SQLState: "40001",
		kind:     ErrConflict,
		safe:     true,
	}
	t.abort(err, txUndo)
	return err
}

// loadTimeout bounds the wait until a database that was unloaded is loaded.
const loadTimeout = 30 * time.Second

// ReloadDatabase has the server unload and load the database of db, which takes some 60 ms.
// A replica that has read its catalog does not see tables and columns that are
// made later; after ReloadDatabase it does. Call it for each replica after a change of the
// schema, with a DSN of that host alone, as a user with ADMIN permission.
//
// Call it while no other program uses the database on that host, for instance right after
// a promotion; sessions that are open stay usable. Beside queries under way immudb v1.11.1
// was seen to lose count of its users: it then did not end when it was stopped, and
// had to be killed. Where programs read from a replica all the time, restart it instead.
//
// The server refuses to unload defaultdb; then the error is [ErrUnsupported], and the
// server has to be restarted instead. When ctx ends between the two steps, the database is
// loaded all the same.
func ReloadDatabase(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return Raw(ctx, conn, func(c *Conn) error { return c.reload(ctx) })
}

func (c *Conn) reload(ctx context.Context) error {
	name := c.Database()
	if name == "defaultdb" || name == "systemdb" {
		return unsupported("the server cannot unload " + name + ": restart the server, which has the same effect")
	}
	if c.tx != nil {
		return unsupported("a transaction is open on this connection, and would be lost: end it before the database is unloaded")
	}
	req := wire.DatabaseRequest(name)
	unload := c.call(ctx, reads, "", wire.MethodUnloadDatabase, req, wire.Empty)
	if e, ok := unload.(*Error); ok && e.GRPC != codes.OK && e.kind != ErrUnreachable && e.kind != ErrOverloaded {
		return unload // refused, and not because it is unloaded already
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
	defer cancel()
	load := c.call(own, reads, "", wire.MethodLoadDatabase, req, wire.Empty)
	c.connector.catalog.forget()
	switch e, _ := load.(*Error); {
	case load == nil:
		return nil
	case e != nil && e.Message == "database already loaded" && unload != nil:
		return unload
	case e != nil && e.Message == "database already loaded":
		return nil // somebody else has
	}
	return &Error{
		Message: fmt.Sprintf("database %s is unloaded on %s, and could not be loaded again: call ReloadDatabase again, or immuadmin database load %s", name, c.Host(), name),
		cause:   withoutBadConn(load),
	}
}
