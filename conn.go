package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/immudb-go/immudb/internal/session"
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

// Conn is a connection: the use of a session of the [Connector], which other
// connections may share, with at most one transaction. Which session that is may
// change between two calls outside transactions. Programs meet a Conn in
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
	lease     *session.Lease
	tx        *tx // the open transaction, or nil

	database string      // where a USE moved the session, or "" if it is where it began
	broken   atomic.Bool // what a user had made of the session is gone, or not known
	closed   bool

	begun trust.Begun // what was trusted when the commit under way was sent; see readyToProve

	closeConnector bool // the connector was made for this connection alone
}

// session is the session that calls outside a transaction use now.
func (c *Conn) session() *session.Session { return c.lease.Session() }

// SessionTokens names the session on the server: in a transaction, the one that
// the transaction is in.
func (c *Conn) SessionTokens() SessionTokens {
	s := c.session()
	if c.tx != nil {
		s = c.tx.server.Session()
	}
	return SessionTokens{ServerUUID: s.ServerUUID, SessionID: s.ID}
}

// TransactionTokens names the open transaction on the server; they are empty
// outside one.
func (c *Conn) TransactionTokens() TransactionTokens {
	if c.tx == nil {
		return TransactionTokens{}
	}
	return TransactionTokens{TransactionID: c.tx.server.ID}
}

// Host returns the address of the server the session is on, as host:port.
func (c *Conn) Host() string { return c.session().Addr() }

// ServerVersion asks the server for its version, such as "1.11.1". It is "" for
// a server embedded in a Go program, which does not know its own.
func (c *Conn) ServerVersion(ctx context.Context) (string, error) {
	var info wire.ServerInfo
	err := c.call(ctx, reads, "", wire.MethodServerInfo, nil, &info)
	return info.Version, err
}

// Format prints where the connection leads and none of its tokens, whatever the
// verb: fmt would go through its fields else.
func (c *Conn) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "immudb.Conn(%s)", c.Host()) }

// call makes a unary call outside a transaction. name names a write, as in
// "Exec", for the error that says that its outcome is unknown.
func (c *Conn) call(ctx context.Context, kind callKind, name, method string, req []byte, ans wire.Answer) error {
	return c.inSession(ctx, kind, name, func(s *session.Session) *wire.Failure {
		return s.Call(ctx, method, req, ans)
	})
}

// maxMoves is how many sessions in a row may turn out to be unknown to the server
// before a call is given up.
const maxMoves = 5

// inSession makes a call outside a transaction, in another session if the server
// does not know the one it was made in: then nothing was run. A session that USE
// DATABASE has moved cannot be replaced.
func (c *Conn) inSession(ctx context.Context, kind callKind, name string, call func(s *session.Session) *wire.Failure) error {
	for moves := 0; ; moves++ {
		s := c.session()
		if s.Leaving() {
			if c.database != "" {
				c.broken.Store(true)
				return badConn{&Error{Message: "the session that USE DATABASE has moved is gone", SQLState: "08003", kind: ErrSessionLost, safe: true}}
			}
			if err := c.lease.Move(ctx, s); err != nil {
				return notRun(ctx, c.connector.leaseError(err))
			}
			s = c.session()
		}
		f := call(s)
		if f == nil {
			return nil
		}
		err := callError(kind, name, f)
		switch {
		case f.Class == wire.Replica && c.database == "" && moves < maxMoves && ctx.Err() == nil && s.SetAside():
			continue // nothing was done
		case f.Fate != wire.NoSession:
		case c.database != "":
			c.broken.Store(true)
			err = badConn{err}
		case moves < maxMoves && ctx.Err() == nil:
			s.Lost()
			continue
		}
		return err
	}
}

// notRun is the error of a call for which there was no session: another connection
// may have one.
func notRun(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, errClosed) {
		return err
	}
	return badConn{err}
}

// PrepareContext reads the text. There is nothing to prepare on the server.
func (c *Conn) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	q, err := c.connector.queries.parse(query)
	if err != nil {
		return nil, err
	}
	return &stmt{conn: c, query: q}, nil
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
	return c.call(ctx, reads, "", wire.MethodKeepAlive, nil, wire.Empty)
}

// ResetSession makes sure that nothing of the connection's past is visible to
// its next user: an open transaction ends, a moved database moves back. It costs
// a round trip only when there is something to undo.
func (c *Conn) ResetSession(ctx context.Context) error {
	if !c.IsValid() {
		return driver.ErrBadConn
	}
	if c.tx != nil {
		c.tx.abandon()
	}
	if c.database != "" {
		if err := c.moveBack(ctx); err != nil {
			c.breakSession()
			return badConn{err}
		}
		c.lease.Share()
	}
	c.lease.Rebalance(ctx)
	return nil
}

// breakSession gives up a session that is in a state not known: nobody else is to
// find it.
func (c *Conn) breakSession() {
	c.broken.Store(true)
	c.session().Retire()
}

func (c *Conn) moveBack(ctx context.Context) error {
	if d := c.connector.cfg.ConnectTimeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	err := c.call(ctx, reads, "", wire.MethodUseDatabase, wire.UseDatabaseRequest(c.connector.cfg.Database), wire.Empty)
	if err == nil {
		c.database = ""
	}
	return err
}

// IsValid reports whether the connection may go back to database/sql's pool.
func (c *Conn) IsValid() bool { return !c.broken.Load() && !c.closed }

// Close gives the session back to the connector, which keeps it for the next
// connection. It ends an open transaction.
func (c *Conn) Close() error {
	if c.closed {
		return nil
	}
	if c.tx != nil {
		c.tx.abandon()
	}
	if c.database != "" && !c.broken.Load() {
		c.breakSession() // rather than wait for a move back
	}
	c.closed = true
	c.lease.Release()
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
