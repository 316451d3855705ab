package immudb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/wire"
)

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
