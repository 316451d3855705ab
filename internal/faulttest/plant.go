package faulttest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/immudb-go/immudb"
)

// Plant is a fault planted in the driver, which the judges must find. It shows that the judges do detect faults.
type Plant struct {
	Name string
	exec func(c *plantedConn, ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error)
	read func(p *planted, key string, r *recording) *recording
}

// plantEvery is how often a planted fault happens: once in this number of calls that can have it.
const plantEvery = 7

// Plants are the faults that can be planted. A connection with a planted fault is not an *immudb.Conn, so workloads that
// need one cannot run with it.
var Plants = []*Plant{
	{Name: "write runs twice", exec: func(c *plantedConn, ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
		if _, err := c.Conn.ExecContext(ctx, query, args); err != nil {
			return nil, err
		}
		return c.Conn.ExecContext(ctx, query, args)
	}},
	{Name: "write is acknowledged and not made", exec: func(*plantedConn, context.Context, string, []driver.NamedValue) (driver.Result, error) {
		return driver.RowsAffected(1), nil
	}},
	{Name: "write is made and said to have failed", exec: func(c *plantedConn, ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
		if res, err := c.Conn.ExecContext(ctx, query, args); err != nil {
			return res, err
		}
		return nil, errPlanted
	}},
	{Name: "query is answered as it was before", read: func(p *planted, key string, r *recording) *recording {
		return p.before(key, r)
	}},
	{Name: "rows end too early", read: func(_ *planted, _ string, r *recording) *recording {
		return &recording{columns: r.columns, rows: r.rows[:len(r.rows)/2]}
	}},
	{Name: "calls fail for good", exec: func(c *plantedConn, _ context.Context, _ string, _ []driver.NamedValue) (driver.Result, error) {
		c.planted.broken()
		return nil, errPlanted
	}},
}

var errPlanted = errors.New("planted: this call has failed")

// Connector returns the connector of a driver with the fault in it.
func (p *Plant) Connector(c *immudb.Connector) driver.Connector {
	return &planted{Connector: c, plant: p, answers: map[string]*recording{}}
}

// planted is a connector whose connections have the fault.
type planted struct {
	*immudb.Connector
	plant *Plant

	mu      sync.Mutex
	calls   int
	down    bool
	answers map[string]*recording // the first answer to each query
}

// Connect calls the driver's Connect and adds the fault.
func (p *planted) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &plantedConn{Conn: c.(*immudb.Conn), planted: p}, nil
}

// turn reports whether the fault happens in this call.
func (p *planted) turn() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	return p.down || p.calls%plantEvery == 0
}

func (p *planted) broken() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
}

// before returns the first answer to a query, and keeps r if there was none.
func (p *planted) before(key string, r *recording) *recording {
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.answers[key]; first != nil {
		return &recording{columns: first.columns, rows: first.rows}
	}
	p.answers[key] = &recording{columns: r.columns, rows: r.rows}
	return r
}

// plantedConn is a connection of the driver with the fault in it.
type plantedConn struct {
	*immudb.Conn
	planted *planted
}

// ExecContext calls the driver's ExecContext, with the fault.
func (c *plantedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if exec := c.planted.plant.exec; exec != nil && c.planted.turn() {
		return exec(c, ctx, query, args)
	}
	return c.Conn.ExecContext(ctx, query, args)
}

// QueryContext calls the driver's QueryContext, with the fault.
func (c *plantedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.QueryContext(ctx, query, args)
	read := c.planted.plant.read
	if err != nil || read == nil || !strings.HasPrefix(query, "SELECT") {
		return rows, err
	}
	r, err := record(rows)
	if err != nil || !c.planted.turn() {
		return r, err
	}
	return read(c.planted, fmt.Sprint(query, args), r), nil
}

// recording is rows that were read to their end.
type recording struct {
	columns []string
	rows    [][]driver.Value
}

func record(rows driver.Rows) (_ *recording, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	r := &recording{columns: rows.Columns()}
	for {
		row := make([]driver.Value, len(r.columns))
		if err := rows.Next(row); err == io.EOF {
			return r, nil
		} else if err != nil {
			return nil, err
		}
		r.rows = append(r.rows, row)
	}
}

// Columns implements driver.Rows.
func (r *recording) Columns() []string { return r.columns }

// Close implements driver.Rows.
func (r *recording) Close() error { return nil }

// Next implements driver.Rows.
func (r *recording) Next(row []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	copy(row, r.rows[0])
	r.rows = r.rows[1:]
	return nil
}
