package immudb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
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
