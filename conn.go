package immudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
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
		f := s.Call(ctx, method, req, ans)
		if method != wire.MethodKeepAlive && (!kind.autocommits() || f != nil) { // of what was written, sawCommits tells
			c.sawPrimary()
		}
		return f
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
		if f == nil {
			return nil
		}
		err := c.callFailed(s, kind, name, f)
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

// Raw runs f on the driver's connection beneath conn, also if the sql.DB goes
// through a package that wraps drivers (for tracing, logging or hooks). It makes no
// call to the server. f runs once, must not keep its argument, and must not use conn.
// If f returns an error that matches driver.ErrBadConn, conn is closed.
//
//	err := immudb.Raw(ctx, conn, func(c *immudb.Conn) error {
//		fmt.Println(c.SessionTokens().ServerUUID)
//		return nil
//	})
//
// Raw finds the connection through a method Unwrap, Raw, WrappedConn or RawConn of
// the wrapper, or else by a Ping or an empty Exec that goes through the wrapper and
// that the driver answers by running f. A sql.DB of another driver gets such a Ping
// and Exec too, before Raw returns an error.
func Raw(ctx context.Context, conn *sql.Conn, f func(c *Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a := &ask{f: f}
	var outer any
	err := conn.Raw(func(dc any) error {
		outer = dc
		if own := beneath(dc); own != nil {
			return a.answer(own)
		}
		return nil
	})
	if a.answered || err != nil {
		return err
	}
	// Some wrappers report a connection as bad once its context has ended.
	asking := context.WithValue(context.WithoutCancel(ctx), askKey{}, a)
	err = conn.PingContext(asking)
	if !a.answered && !errors.Is(err, driver.ErrBadConn) {
		_, err = conn.ExecContext(asking, "") // the wrapper has no Ping
	}
	switch {
	case !a.answered && errors.Is(err, driver.ErrBadConn):
		return err
	case !a.answered:
		return unsupported(fmt.Sprintf("this needs a sql.DB of this driver, and its conns are %T, beneath which there is none", outer))
	case errors.Is(a.err, driver.ErrBadConn) && !errors.Is(err, driver.ErrBadConn):
		// The wrapper has changed the error. database/sql must still learn it.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return a.err
}

type askKey struct{}

// ask is a question of [Raw] on its way through a wrapper to the driver's connection.
type ask struct {
	f        func(c *Conn) error
	answered bool
	err      error // of f
}

// askOf returns the question that ctx carries, or nil.
func askOf(ctx context.Context) *ask {
	a, _ := ctx.Value(askKey{}).(*ask)
	return a
}

// answer runs f. A wrapper that makes its call again gets the first result.
func (a *ask) answer(c *Conn) error {
	if !a.answered {
		a.answered = true
		a.err = a.f(c)
	}
	return a.err
}

// own is how a struct that embeds *Conn is known: embedding promotes the method.
func (c *Conn) own() *Conn { return c }

// maxWrappers bounds how many wrappers are looked through.
const maxWrappers = 16

// beneath returns the connection that dc is or wraps, as far as its methods tell, or
// nil.
func beneath(dc any) *Conn {
	for range maxWrappers {
		if c, ok := dc.(interface{ own() *Conn }); ok {
			return c.own()
		}
		dc = unwrapped(dc)
		if dc == nil {
			return nil
		}
	}
	return nil
}

// unwrapped returns what the first of the usual methods of a wrapper returns, or nil.
func unwrapped(dc any) any {
	v := reflect.ValueOf(dc)
	for _, name := range []string{"Unwrap", "Raw", "WrappedConn", "RawConn"} {
		m := v.MethodByName(name)
		if !m.IsValid() || m.Type().NumIn() != 0 || m.Type().NumOut() == 0 {
			continue
		}
		out := m.Call(nil)[0]
		switch out.Kind() {
		case reflect.Interface, reflect.Pointer:
			if !out.IsNil() {
				return out.Interface()
			}
		case reflect.Struct:
			return out.Interface()
		}
	}
	return nil
}
