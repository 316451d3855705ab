// Package immudb is a database/sql driver for immudb, the tamper-evident SQL
// database.
//
//	import _ "github.com/immudb-go/immudb"
//
//	db, err := sql.Open("immudb", "immudb://user:password@localhost:3322/defaultdb")
//
// See [ParseDSN] for the options of a DSN. A program that prefers to fill in a
// struct, or that needs its own dialer or logger, makes a [Connector]:
//
//	cfg := immudb.NewConfig()
//	cfg.User, cfg.Password = "user", "password"
//	connector, err := immudb.NewConnector(cfg)
//	db := sql.OpenDB(connector)
package immudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
)

// DriverName is the name the driver is always registered under. It is also
// registered as "immudb" unless a package initialised earlier took that name,
// as the vendor's driver does.
const DriverName = "immudb-go"

func init() {
	sql.Register(DriverName, &Driver{})
	// A second Register under one name panics.
	if !slices.Contains(sql.Drivers(), "immudb") {
		sql.Register("immudb", &Driver{})
	}
}

var (
	_ driver.Driver        = (*Driver)(nil)
	_ driver.DriverContext = (*Driver)(nil)
)

// Driver is the database/sql driver. Its zero value is ready to use.
type Driver struct{}

// OpenConnector parses the DSN, so that sql.Open reports its errors.
func (d *Driver) OpenConnector(dsn string) (driver.Connector, error) {
	cfg, err := ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	return NewConnector(cfg)
}

// Open opens one connection with a connector of its own; closing the connection
// closes both.
// database/sql uses OpenConnector instead.
func (d *Driver) Open(dsn string) (driver.Conn, error) {
	connector, err := d.OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	c := connector.(*Connector)
	conn, err := c.Connect(context.Background())
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	conn.(*Conn).closeConnector = true
	return conn, nil
}
