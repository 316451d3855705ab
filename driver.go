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
	"fmt"
	"slices"
	"sync"
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
type Driver struct {
	mu     sync.Mutex
	shared map[string]*sharedConnector // by DSN
}

// sharedConnector is the connector of the connections that Driver.Open made for one
// DSN.
type sharedConnector struct {
	connector *Connector
	conns     int // open, or being opened; guarded by Driver.mu
}

// Format prints no field, because the DSNs hold passwords.
func (d *Driver) Format(f fmt.State, _ rune) { fmt.Fprint(f, "immudb.Driver") }

// OpenConnector parses the DSN, so that sql.Open reports its errors. Only the empty
// DSN gives a connector, whose Connect fails: packages that wrap drivers call
// sql.Open with it to get the Driver.
func (d *Driver) OpenConnector(dsn string) (driver.Connector, error) {
	cfg, err := ParseDSN(dsn)
	if dsn == "" {
		return noDSN{err, d}, nil
	}
	if err != nil {
		return nil, err
	}
	return NewConnector(cfg)
}

// noDSN is the connector of an empty DSN.
type noDSN struct {
	err    error
	driver *Driver
}

func (n noDSN) Connect(context.Context) (driver.Conn, error) { return nil, n.err }
func (n noDSN) Driver() driver.Driver                        { return n.driver }

// Open opens a connection. The connections that one Driver opens for one DSN share a
// connector, and so its sessions; closing the last of them closes the connector.
// database/sql uses OpenConnector instead, unless a package that wraps drivers hides
// it.
func (d *Driver) Open(dsn string) (driver.Conn, error) {
	s, err := d.share(dsn)
	if err != nil {
		return nil, err
	}
	conn, err := s.connector.Connect(context.Background())
	if err != nil {
		_ = d.unshare(dsn, s) // the error of Connect says more
		return nil, err
	}
	conn.(*Conn).afterClose = func() error { return d.unshare(dsn, s) }
	return conn, nil
}

// share returns the connector for the DSN and counts a connection of it.
func (d *Driver) share(dsn string) (*sharedConnector, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.shared[dsn]
	if s == nil {
		cfg, err := ParseDSN(dsn)
		if err != nil {
			return nil, err
		}
		connector, err := NewConnector(cfg)
		if err != nil {
			return nil, err
		}
		s = &sharedConnector{connector: connector}
		if d.shared == nil {
			d.shared = make(map[string]*sharedConnector)
		}
		d.shared[dsn] = s
	}
	s.conns++
	return s, nil
}

// unshare takes the count of share back, and closes the connector after its last
// connection.
func (d *Driver) unshare(dsn string, s *sharedConnector) error {
	d.mu.Lock()
	s.conns--
	last := s.conns == 0
	if last {
		delete(d.shared, dsn)
	}
	d.mu.Unlock()
	if !last {
		return nil
	}
	return s.connector.Close()
}
