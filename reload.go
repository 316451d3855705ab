package immudb

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/wire"
)

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
