package bunimmudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/immudb-go/immudb"
)

// Open opens a database by its data source name, see [immudb.ParseDSN]. It does not
// connect before the first use.
func Open(dsn string, opts ...bun.DBOption) (*bun.DB, error) {
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	c, err := immudb.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return OpenDB(c, opts...), nil
}

// OpenDB opens a database by its connector. Closing the database closes the connector.
func OpenDB(c *immudb.Connector, opts ...bun.DBOption) *bun.DB {
	return bun.NewDB(sql.OpenDB(connector{c}), New(), opts...)
}

type connector struct{ *immudb.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	dc, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{dc.(*immudb.Conn)}, nil
}

var (
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.ConnPrepareContext = (*Conn)(nil)
)

// Conn is a connection of the driver that accepts bun's statements. [sql.Conn.Raw] passes
// it to its function on databases that this package opened. [immudb.Raw] gives the
// driver's connection within.
type Conn struct{ *immudb.Conn }

// ExecContext rewrites a query and runs it.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	text, unless, u, err := c.spell(ctx, query)
	if err != nil {
		return nil, err
	}
	if u != nil {
		rows, err := c.upsert(ctx, u, args)
		if err != nil {
			return nil, err
		}
		return driver.RowsAffected(len(rows.rows)), nil
	}
	if m := uniqueIndex.FindStringSubmatch(query); m != nil {
		// The server refuses it on a table that has rows, even if the index is there.
		columns := names(m[2])
		slices.Sort(columns)
		if exists, err := c.isUnique(ctx, plain(m[1]), columns); err != nil || exists {
			return driver.RowsAffected(0), err
		}
	}
	if unless != "" {
		// CREATE TABLE IF NOT EXISTS with unique indexes: they could not be created
		// on a table that has rows, even if they were there.
		exists, err := c.hasTable(ctx, unless)
		if err != nil {
			return nil, err
		}
		if exists {
			return driver.RowsAffected(0), nil
		}
	}
	return c.Conn.ExecContext(ctx, text, args)
}

// QueryContext rewrites a query and runs it.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	text, _, u, err := c.spell(ctx, query)
	if err != nil {
		return nil, err
	}
	if u != nil {
		rows, err := c.upsert(ctx, u, args)
		if err != nil {
			return nil, err
		}
		if !u.returns {
			rows = &answer{}
		}
		return rows, nil
	}
	return c.Conn.QueryContext(ctx, text, args)
}

// PrepareContext rewrites a query and prepares it.
func (c *Conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	text, _, u, err := c.spell(ctx, query)
	if err != nil {
		return nil, err
	}
	if u != nil {
		return nil, unsupported("a prepared ON CONFLICT (%s), which is not the primary key: run it without preparing it", strings.Join(u.target, ", "))
	}
	return c.Conn.PrepareContext(ctx, text)
}

// spell rewrites a query into the server's syntax, or returns the reason why it cannot be
// run. If unless is not "", run the query only if no table has that name; if u is not nil, run
// its rows instead.
func (c *Conn) spell(ctx context.Context, query string) (text, unless string, u *upsert, err error) {
	if strings.Contains(query, ") IN ((") {
		if query, err = rewriteTuples(query); err != nil {
			return "", "", nil, err
		}
	}
	if strings.Contains(query, " ON CONFLICT ") {
		u, err := readUpsert(query)
		if err == nil {
			err = c.checkTarget(ctx, u)
		}
		switch {
		case err != nil:
			return "", "", nil, err
		case u != nil && u.rows != nil:
			return "", "", u, nil
		case u != nil:
			return u.text, "", nil, nil
		}
	}
	text, unless, err = rewrite(query)
	return text, unless, nil, err
}

func (c *Conn) hasTable(ctx context.Context, name string) (bool, error) {
	rows, err := c.Conn.QueryContext(ctx, "SELECT COUNT(*) FROM TABLES() WHERE name = ?", []driver.NamedValue{{Ordinal: 1, Value: name}})
	if err != nil {
		return false, err
	}
	defer rows.Close()
	dest := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(dest); err != nil {
		return false, err
	}
	n, _ := dest[0].(int64)
	return n > 0, nil
}
