// Package entimmudb makes ent work on immudb.
//
//	drv, err := entimmudb.Open("immudb://user:password@localhost:3322/defaultdb", migrate.Tables)
//	client := ent.NewClient(ent.Driver(drv))
//	err = client.Schema.Create(ctx, drv.Migrate())
//
// migrate is the package that ent generates beside its client; its tables tell the driver
// which columns are unique. Upserts need the feature sql/upsert of ent's generator.
//
// ent works as on PostgreSQL, whose dialect the driver has, with these differences, which
// come from the server (COMPATIBILITY.md shows each with the server's answer):
//
//   - There are no foreign keys. A deleted row leaves the edges of others to it: clear
//     them before, or delete those rows in the same transaction.
//   - Columns cannot be altered. Schema.Create adds tables, columns and indexes, and
//     returns an error that wraps [immudb.ErrUnsupported] for the rest.
//   - A transaction holds at most 1,024 rows, and so does a CreateBulk.
//   - ForUpdate takes no lock. With it or without it, a transaction fails to commit with
//     [immudb.ErrConflict] if another one has changed rows that it read.
//
// The server's unique indexes take two NULLs for duplicates, so a unique index with an
// optional field or edge is an ordinary one, and the driver looks for duplicates before
// it writes, in the same transaction. Only writes through the driver are checked so.
//
// Errors of unique indexes and CHECKs are ent's constraint errors, and match
// [immudb.ErrDuplicateKey] and [immudb.ErrCheck].
//
// # Types
//
//	Bool                            BOOLEAN
//	Int…, Uint…                     INTEGER (64 bits, signed: a uint64 above 1<<63-1 is an error)
//	Float32, Float                  FLOAT
//	String, Text, Enum              VARCHAR, or VARCHAR[n] with MaxLen(n); n counts bytes
//	Bytes                           BLOB, or BLOB[n] with MaxLen(n)
//	Time                            TIMESTAMP: microseconds, finer digits are cut
//	JSON, Strings, Ints, Any        JSON
//	UUID                            UUID
//
// SchemaType with the key "immudb" or "postgres" names another type. Strings and bytes in
// a key or an index get a length of 256 if they have none, or less if their keys would
// exceed the 1,024 bytes that the server can store.
package entimmudb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"

	"github.com/immudb-go/immudb"
)

var (
	_ dialect.Driver = (*Driver)(nil)
	_ dialect.Tx     = (*Tx)(nil)
)

// Driver is a driver of ent. Get one from [Open] or [OpenDB].
type Driver struct {
	conn
	schema []*schema.Table
}

// Open opens a database by its data source name, see [immudb.ParseDSN]. It does not
// connect before the first use. tables are migrate.Tables of ent's generated code.
func Open(dsn string, tables []*schema.Table) (*Driver, error) {
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	c, err := immudb.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return OpenDB(sql.OpenDB(c), tables), nil
}

// OpenDB returns a driver for an open pool. Closing the driver closes the pool.
func OpenDB(db *sql.DB, tables []*schema.Table) *Driver {
	return &Driver{conn{db: db, on: db, tables: describe(tables)}, tables}
}

// DB returns the pool.
func (d *Driver) DB() *sql.DB { return d.db }

// Dialect returns "postgres": ent writes PostgreSQL's dialect, and knows no others than
// its own.
func (d *Driver) Dialect() string { return dialect.Postgres }

// Close closes the pool.
func (d *Driver) Close() error { return d.db.Close() }

// Tx begins a transaction.
func (d *Driver) Tx(ctx context.Context) (dialect.Tx, error) { return d.BeginTx(ctx, nil) }

// BeginTx begins a transaction with options.
func (d *Driver) BeginTx(ctx context.Context, opts *sql.TxOptions) (dialect.Tx, error) {
	tx, err := d.db.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &Tx{conn{on: tx, tables: d.tables, broken: new(bool)}, tx}, nil
}

// Tx is a transaction.
type Tx struct {
	conn
	tx *sql.Tx
}

// Commit commits the transaction.
func (t *Tx) Commit() error {
	if *t.broken {
		_ = t.tx.Rollback() // it fails only where nothing can be committed any more
		return errBroken
	}
	return named(t.tx.Commit())
}

// Rollback rolls the transaction back.
func (t *Tx) Rollback() error { return t.tx.Rollback() }

// conn runs ent's statements on a pool or in a transaction.
type conn struct {
	db     *sql.DB // nil in a transaction
	on     entsql.ExecQuerier
	tables map[string]*table
	broken *bool // set when a transaction holds a part of a statement that failed
}

var errBroken = fmt.Errorf("entimmudb: %w: a statement of it failed halfway; roll it back", immudb.ErrTxAborted)

// Exec runs a statement of ent. v is nil or a *sql.Result.
func (c conn) Exec(ctx context.Context, query string, args, v any) error {
	w, err := c.read(query, args)
	if err != nil {
		return err
	}
	if w == nil {
		err := entsql.Conn{ExecQuerier: c.on}.Exec(ctx, query, args, v)
		if errors.Is(err, immudb.ErrUnsupported) && c.edges(query) {
			// The transaction has deleted edges, and the server takes them for existing.
			// Rows that are nothing but a key are the same after an UPSERT.
			text := strings.TrimSuffix("UPSERT"+strings.TrimPrefix(query, "INSERT"), " ON CONFLICT DO NOTHING")
			err = entsql.Conn{ExecQuerier: c.on}.Exec(ctx, text, args, v)
		}
		return named(err)
	}
	out, err := c.write(ctx, w)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
	case *sql.Result:
		*v = affected(out.written)
	default:
		return fmt.Errorf("entimmudb: a result of type %T: want *sql.Result", v)
	}
	return nil
}

// Query runs a query of ent. v is a *sql.Rows of package entgo.io/ent/dialect/sql.
func (c conn) Query(ctx context.Context, query string, args, v any) error {
	w, err := c.read(query, args)
	if err != nil {
		return err
	}
	rows, ok := v.(*entsql.Rows)
	if !ok {
		return fmt.Errorf("entimmudb: rows of type %T: want *sql.Rows of ent", v)
	}
	if w == nil {
		if err := (entsql.Conn{ExecQuerier: c.on}).Query(ctx, query, args, rows); err != nil {
			return named(err)
		}
		rows.ColumnScanner = selection{rows.ColumnScanner, query}
		return nil
	}
	out, err := c.write(ctx, w)
	if err != nil {
		return err
	}
	*rows = entsql.Rows{ColumnScanner: out}
	return nil
}

// ExecContext runs a statement as it is, for ent's feature sql/execquery.
func (c conn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if c.broken != nil && *c.broken {
		return nil, errBroken
	}
	res, err := c.on.ExecContext(ctx, query, args...)
	return res, named(err)
}

// QueryContext runs a query as it is, for ent's feature sql/execquery.
func (c conn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if c.broken != nil && *c.broken {
		return nil, errBroken
	}
	rows, err := c.on.QueryContext(ctx, query, args...)
	return rows, named(err)
}

// read reads a statement. It returns nil for one that the server runs as it is.
func (c conn) read(query string, args any) (*write, error) {
	if c.broken != nil && *c.broken {
		return nil, errBroken
	}
	argv, ok := args.([]any)
	if !ok {
		return nil, nil // ent's own error
	}
	switch {
	case strings.HasPrefix(query, "INSERT INTO "):
		return c.readInsert(query, argv)
	case strings.HasPrefix(query, "UPDATE "):
		return c.readUpdate(query, argv)
	case strings.HasPrefix(query, "SHOW server_version"):
		return nil, unsupported("ent's own migration: call Schema.Create with the option Migrate of the driver")
	}
	return nil, nil
}

// write runs the steps of a statement in one transaction.
func (c conn) write(ctx context.Context, w *write) (out *answer, err error) {
	if c.db == nil {
		if out, err = w.run(ctx, step{c.on, w.args}); err != nil {
			*c.broken = true
		}
		return out, named(err)
	}
	err = immudb.RunTx(ctx, c.db, nil, func(tx *sql.Tx) error {
		out, err = w.run(ctx, step{tx, w.args})
		return err
	})
	return out, named(err)
}
