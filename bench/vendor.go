package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net"
	"strconv"
	"sync"

	"github.com/codenotary/immudb/pkg/client"
	official "github.com/codenotary/immudb/pkg/stdlib"
)

// openVendor opens a database with the vendor's driver. configure completes the options of each connection.
//
// The vendor's OpenDB gives all its connections the same options, and opening a connection writes to them: connections that are
// opened at the same time race, and one may get the interceptors of another, and with them its session.
func openVendor(addr string, configure func(*client.Options)) (*sql.DB, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	db := official.OpenDB(nil) // only an open database tells which driver is registered
	vendor := db.Driver().(*official.Driver)
	if err := db.Close(); err != nil {
		return nil, err
	}
	return sql.OpenDB(&vendorConnector{driver: vendor, options: func() *client.Options {
		o := client.DefaultOptions().WithAddress(host).WithPort(number)
		configure(o)
		return o
	}}), nil
}

// vendorConnector opens the vendor's connections one at a time, each with options of its own. One at a time, because they share
// the file of the server's state.
type vendorConnector struct {
	driver  *official.Driver
	options func() *client.Options
	opening sync.Mutex
}

var _ driver.Connector = (*vendorConnector)(nil)

func (c *vendorConnector) Connect(ctx context.Context) (driver.Conn, error) {
	c.opening.Lock()
	defer c.opening.Unlock()
	name := official.RegisterConnConfig(c.options())
	defer official.UnregisterConnConfig(name)
	connector, err := c.driver.OpenConnector(name)
	if err != nil {
		return nil, err
	}
	return connector.Connect(ctx)
}

func (c *vendorConnector) Driver() driver.Driver { return c.driver }
