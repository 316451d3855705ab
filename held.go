package immudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// maxConnTries is how many connections in a row may turn out to be of no use, as
// many as database/sql tries itself.
const maxConnTries = 3

// heldConn is a connection of a sql.DB, kept from one use to the next. Its zero
// value with db set is ready to use.
type heldConn struct {
	db   *sql.DB
	conn *sql.Conn // nil until needed

	// patience bounds the wait for a connection of the sql.DB, unless it is 0, and
	// late is the error then.
	patience time.Duration
	late     func() error
}

// take makes sure that there is a connection.
func (h *heldConn) take(ctx context.Context) (err error) {
	if h.conn != nil {
		return nil
	}
	patient, cancel := ctx, context.CancelFunc(func() {})
	if h.patience > 0 {
		patient, cancel = context.WithTimeout(ctx, h.patience)
	}
	defer cancel()
	h.conn, err = h.db.Conn(patient)
	if err != nil && patient.Err() != nil && ctx.Err() == nil {
		return h.late()
	}
	return withoutBadConn(err)
}

// use runs f on the connection, and on another one if the server provably did not
// run what f asked for.
func (h *heldConn) use(ctx context.Context, f func(c *Conn) error) error {
	for try := 1; ; try++ {
		err := h.useOnce(ctx, f)
		if !errors.Is(err, driver.ErrBadConn) || try == maxConnTries {
			return withoutBadConn(err)
		}
	}
}

// useOnce runs f on the connection. After an error that matches driver.ErrBadConn
// the connection is gone.
func (h *heldConn) useOnce(ctx context.Context, f func(c *Conn) error) error {
	if err := h.take(ctx); err != nil {
		return err
	}
	err := h.conn.Raw(func(dc any) error {
		c, ok := dc.(*Conn)
		if !ok {
			return unsupported(fmt.Sprintf("this needs a sql.DB of this driver, not one whose conns are %T", dc))
		}
		return f(c)
	})
	if errors.Is(err, driver.ErrBadConn) {
		h.conn = nil // closed by database/sql, because of the error
	}
	return err
}

// release gives the connection back.
func (h *heldConn) release() {
	if h.conn != nil {
		_ = h.conn.Close() // fails only if it is closed already
		h.conn = nil
	}
}

// onConn runs f on a connection of db, and on another one if the server provably
// did not run what f asked for.
func onConn(ctx context.Context, db *sql.DB, f func(c *Conn) error) error {
	h := heldConn{db: db}
	defer h.release()
	return h.use(ctx, func(c *Conn) error { return fromTrust(f(c)) })
}
