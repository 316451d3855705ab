package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/immudb-go/immudb/internal/trust"
	"github.com/immudb-go/immudb/internal/wire"
)

var (
	_ driver.Conn               = (*Conn)(nil)
	_ driver.ConnBeginTx        = (*Conn)(nil)
	_ driver.ConnPrepareContext = (*Conn)(nil)
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.NamedValueChecker  = (*Conn)(nil)
	_ driver.Pinger             = (*Conn)(nil)
	_ driver.SessionResetter    = (*Conn)(nil)
	_ driver.Validator          = (*Conn)(nil)
)

// Conn is a connection: a session leased from the [Connector], which other
// connections may share, with at most one transaction. Programs meet it in
// sql.Conn.Raw:
//
//	err := conn.Raw(func(c any) error {
//		fmt.Println(c.(*immudb.Conn).SessionTokens().ServerUUID)
//		return nil
//	})
//
// Like every driver.Conn it is used by one goroutine at a time.
type Conn struct {
	connector *Connector
	session   *session
	tx        *tx // the open transaction, or nil

	alone    bool   // the session is shared with nobody
	database string // where a USE moved the session, or "" if it is where it began
	lost     bool   // the session is gone, or in a state not known to us
	closed   bool

	begun trust.Begun // what was trusted when the commit under way was sent; see readyToProve

	closeConnector bool // the connector was made for this connection alone
}

// SessionTokens names the session on the server.
func (c *Conn) SessionTokens() SessionTokens { return c.session.tokens }

// TransactionTokens names the open transaction on the server; they are empty
// outside one.
func (c *Conn) TransactionTokens() TransactionTokens {
	if c.tx == nil {
		return TransactionTokens{}
	}
	return c.tx.tokens
}

// Host returns the address of the server the session is on, as host:port.
func (c *Conn) Host() string { return c.session.addr }

// ServerVersion asks the server for its version, such as "1.11.1". It is "" for
// a server embedded in a Go program, which does not know its own.
func (c *Conn) ServerVersion(ctx context.Context) (string, error) {
	var info wire.ServerInfo
	err := c.call(ctx, "", wire.MethodServerInfo, nil, &info)
	return info.Version, err
}

// Format prints where the connection leads and none of its tokens, whatever the
// verb: fmt would go through its fields else.
func (c *Conn) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "immudb.Conn(%s)", c.session.addr) }

// call makes a unary call in the session. write names the work whose outcome
// matters, as in "COMMIT"; it is "" for a call that changes nothing.
func (c *Conn) call(ctx context.Context, write, method string, req []byte, ans wire.Answer) error {
	for resumed := false; ; resumed = true {
		sent, err := wire.Call(c.session.context(ctx, c.session.md), c.session.cc, method, req, ans)
		if err == nil {
			return nil
		}
		if again, err := c.resume(ctx, c.failed(ctx, err, sent, write), resumed); !again {
			return err
		}
	}
}

// resume is asked about the error of a call outside a transaction. If the server
// did not run the call because it had lost the session, and was not asked about
// this call before, it takes another session and says that the call may be made
// again. What a user of sql.Conn had made of the session (USE) cannot be resumed.
func (c *Conn) resume(ctx context.Context, err error, resumed bool) (again bool, _ error) {
	if !c.lost || c.tx != nil || c.database != "" || !errors.Is(err, ErrSessionLost) {
		return false, err
	}
	if resumed {
		if bad, ok := err.(badConn); ok {
			err = bad.cause // a third session would fare no better
		}
		return false, err
	}
	lease := c.connector.lease
	if c.alone {
		lease = c.connector.leaseAlone
	}
	s, leaseErr := lease(ctx)
	if leaseErr != nil {
		return false, err
	}
	c.connector.drop(c.session)
	c.session, c.lost = s, false
	return true, nil
}

// failed turns the error of a call into what the caller is told, and notes what
// it says about the session. write is as for call.
//
// This is the one place that decides on driver.ErrBadConn: only when the server
// provably did not run the call, because it never saw it or did not know the
// session.
func (c *Conn) failed(ctx context.Context, err error, sent bool, write string) error {
	answer := classify(ctx, err)
	lost := sent && answerLost(err)
	if e, ok := answer.(*Error); ok && (!sent || lost && write == "") {
		e.safe = true
	}
	switch {
	case !sent:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.connector.doubt(c.session.addr)
		if c.tx == nil {
			return badConn{answer}
		}
	case lost:
		if ctx.Err() == nil {
			c.session.suspect.Store(true)
		}
		if write != "" {
			return outcomeUnknown(write, answer)
		}
	case errors.Is(answer, ErrSessionLost):
		c.lost = true
		c.connector.sessionLost(c.session)
		if c.tx == nil {
			return badConn{answer}
		}
	}
	return answer
}

// PrepareContext reads the text. There is nothing to prepare on the server.
func (c *Conn) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	t, err := c.connector.texts.parse(query)
	if err != nil {
		return nil, err
	}
	return &stmt{conn: c, text: t}, nil
}

// Prepare implements driver.Conn; database/sql calls PrepareContext.
func (c *Conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// Begin implements driver.Conn; database/sql calls BeginTx.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// Ping makes a round trip that proves the session alive.
func (c *Conn) Ping(ctx context.Context) error {
	return c.call(ctx, "", wire.MethodKeepAlive, nil, wire.Empty)
}

// ResetSession makes sure that nothing of the connection's past is visible to
// its next user: an open transaction ends, a moved database moves back. It costs
// a round trip only when there is something to undo or the session is in doubt.
func (c *Conn) ResetSession(ctx context.Context) error {
	if !c.IsValid() {
		return driver.ErrBadConn
	}
	if c.tx != nil {
		c.tx.abandon()
	}
	if c.database != "" {
		if err := c.moveBack(ctx); err != nil {
			c.lost = true
			return badConn{err}
		}
	}
	if c.session.suspect.Load() {
		if err := c.connector.ask(ctx, c.session); err != nil {
			c.lost = true
			return badConn{err}
		}
	}
	if !c.IsValid() { // ending the transaction may have ended the session
		return driver.ErrBadConn
	}
	if c.alone {
		c.connector.pool.share(c.session)
		c.alone = false
	}
	if c.session.users.Load() > 1 {
		c.session = c.connector.rebalance(ctx, c.session)
	}
	return nil
}

// isolate makes the session the connection's alone: the next call will change
// what the others would find in it.
func (c *Conn) isolate(ctx context.Context) error {
	if c.alone = c.alone || c.connector.pool.claimAlone(c.session); c.alone {
		return nil
	}
	s, err := c.connector.leaseAlone(ctx)
	if err != nil {
		return err
	}
	c.connector.release(c.session)
	c.session, c.alone = s, true
	return nil
}

func (c *Conn) moveBack(ctx context.Context) error {
	ctx, cancel := c.connector.patience(ctx)
	defer cancel()
	err := c.call(ctx, "", wire.MethodUseDatabase, wire.UseDatabaseRequest(c.connector.cfg.Database), wire.Empty)
	if err == nil {
		c.database = ""
	}
	return err
}

// IsValid reports whether the connection may go back to database/sql's pool.
func (c *Conn) IsValid() bool { return !c.lost && !c.closed && !c.session.retired.Load() }

// Close gives the session back to the connector, which keeps it for the next
// connection. It ends an open transaction.
func (c *Conn) Close() error {
	if c.closed {
		return nil
	}
	if c.tx != nil {
		c.tx.abandon()
	}
	if c.database != "" {
		c.lost = true // rather than wait for a move back
	}
	c.closed = true
	if c.lost {
		c.connector.drop(c.session)
	} else {
		c.connector.release(c.session)
	}
	if c.closeConnector {
		return c.connector.Close()
	}
	return nil
}

// Database returns the database the session is in.
func (c *Conn) Database() string {
	if c.database != "" {
		return c.database
	}
	return c.connector.cfg.Database
}

// closeTimeout bounds what ending something may wait for a server that does not
// answer: a session, a transaction that was given up.
const closeTimeout = 5 * time.Second
