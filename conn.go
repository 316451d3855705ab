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

// Conn is a connection of database/sql. It uses a session of the [Connector], which
// other connections may use too, and has at most one transaction. Between two calls
// outside transactions it may move to another session. Programs get a Conn from [Raw].
//
// Like every driver.Conn it is used by one goroutine at a time.
type Conn struct {
	connector *Connector
	lease     *session.Lease
	tx        *tx // the open transaction, or nil

	database string      // the database that USE moved the session to, or ""
	broken   atomic.Bool // the session's state that its user set by USE is lost or unknown
	closed   bool

	grammar grammar // see knowsReturning

	begun trust.Begun // marks the moment before the current commit was sent; see readyToProve

	afterClose func() error // nil: nothing is to be done
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
// a server embedded in a Go program, which does not know its version.
func (c *Conn) ServerVersion(ctx context.Context) (string, error) {
	var info wire.ServerInfo
	err := c.call(ctx, reads, "", wire.MethodServerInfo, nil, &info)
	return info.Version, err
}

// Format prints the connection's host and none of its tokens, for every verb;
// without it, fmt would print the fields.
func (c *Conn) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "immudb.Conn(%s)", c.Host()) }

// call makes a unary call outside a transaction. name is the operation's name for
// ErrOutcomeUnknown, such as "Exec"; it is "" for reads.
func (c *Conn) call(ctx context.Context, kind callKind, name, method string, req []byte, ans wire.Answer) error {
	return c.inSession(ctx, kind, name, func(s *session.Session) *wire.Failure {
		return s.Call(ctx, method, req, ans)
	})
}

// maxMoves is how often a call is made again in another session, because the server
// did not know the session, before it fails.
const maxMoves = 5

// inSession makes a call outside a transaction. If the server does not know the
// session, it has run nothing, and inSession makes the call again in another
// session. A session that USE DATABASE has moved cannot be replaced.
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
			if err := c.checkHost(ctx, kind, s.Addr()); err != nil {
				return err
			}
			s = c.session()
		}
		f := call(s)
		if c.connector.replicas != nil {
			c.connector.replicas.Saw()
		}
		if f == nil {
			return nil
		}
		s.Explain(f)
		err := c.callFailed(kind, name, f)
		switch {
		case f.Class == wire.Replica && c.database == "" && moves < maxMoves && ctx.Err() == nil && s.SetAside():
			c.retried(ctx, moves+1, retryReplica) // nothing was done
			continue
		case f.Fate != wire.NoSession:
		case c.database != "":
			c.broken.Store(true)
			err = badConn{err}
		case moves < maxMoves && ctx.Err() == nil:
			s.Lost()
			c.retried(ctx, moves+1, retrySessionLost)
			continue
		}
		return err
	}
}

// notRun is the error of a call that found no session. It matches
// driver.ErrBadConn, because another connection may have one.
func notRun(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, errClosed) {
		return err
	}
	return badConn{err}
}

// PrepareContext parses the query. It makes no call: the server has no prepared
// statements.
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

// Ping makes a round trip, which shows that the server knows the session.
func (c *Conn) Ping(ctx context.Context) error {
	if a := askOf(ctx); a != nil {
		return a.answer(c)
	}
	return c.call(ctx, reads, "", wire.MethodKeepAlive, nil, wire.Empty)
}

// ResetSession makes the connection ready for its next user: it ends an open
// transaction and undoes a USE DATABASE. It makes a round trip only if there was
// one of these.
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

// breakSession retires a session whose state is unknown, so that no other
// connection uses it.
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
		c.breakSession() // moving back would take a round trip
	}
	c.closed = true
	c.lease.Release()
	if c.connector.replicas != nil {
		c.connector.replicas.Leave()
	}
	if c.afterClose != nil {
		return c.afterClose()
	}
	return nil
}

// Database returns the name of the session's current database.
func (c *Conn) Database() string {
	if c.database != "" {
		return c.database
	}
	return c.connector.cfg.Database
}
