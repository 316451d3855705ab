package immudb

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/immudb-go/immudb/internal/wire"
)

// session is a session the server keeps for us, see pool.
type session struct {
	addr   string
	cc     *grpc.ClientConn
	tokens SessionTokens
	md     context.Context // a background context with the tokens as metadata

	// lastCall is when the session was last used, in Unix nanoseconds. The
	// keep-alive loop reads it beside the call that writes it.
	lastCall atomic.Int64
	// suspect is set when another session of the same server turned out to be
	// lost: the server may have been restarted, so that this one is asked for
	// before it is trusted with a call.
	suspect atomic.Bool

	// users is how many connections have leased it. It changes with pool.mu held.
	users atomic.Int32
	// txs is how many of them are in a transaction.
	txs atomic.Int32
	// retired is set with pool.mu held when nobody is to lease the session any
	// more: the server has dropped it, or something of ours goes on in it that only
	// its end will end. It is closed as soon as nobody is in a transaction in it;
	// whoever still uses it then finds that out, and moves to another one.
	retired atomic.Bool

	ended     bool      // somebody closes it; guarded by pool.mu
	alone     bool      // its only user does not share it; guarded by pool.mu
	idleSince time.Time // when its last user left; guarded by pool.mu
}

// context is ctx with the tokens in md, which are the session's, or the session's
// and a transaction's. Metadata that the caller attached for other servers does
// not travel.
func (s *session) context(ctx, md context.Context) context.Context {
	s.touch()
	if ctx == context.Background() {
		return md
	}
	return &callContext{ctx, md}
}

// touch notes that the session is being used.
func (s *session) touch() { s.lastCall.Store(time.Now().UnixNano()) }

// callContext is a caller's context with a call's tokens in it. Made once for a
// session or transaction, the tokens cost a call one allocation at most.
type callContext struct {
	context.Context
	md context.Context
}

func (c *callContext) Value(key any) any {
	if v := c.md.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// keepAlive tells the server that the session is in use.
func (s *session) keepAlive(ctx context.Context) error {
	if _, err := wire.Call(s.context(ctx, s.md), s.cc, wire.MethodKeepAlive, nil, wire.Empty); err != nil {
		return classify(ctx, err)
	}
	s.suspect.Store(false)
	return nil
}

// close ends the session on the server, which also ends its transactions. There
// is nothing to be done about a failure: the server drops idle sessions itself.
func (s *session) close(ctx context.Context) {
	_, err := wire.Call(s.context(ctx, s.md), s.cc, wire.MethodCloseSession, nil, wire.Empty)
	if err != nil && answerLost(err) && ctx.Err() == nil {
		// The connection broke. The session outlives it, if the server does.
		s.cc.ResetConnectBackoff()
		ctx, cancel := context.WithTimeout(ctx, reconnectPatience)
		defer cancel()
		_, _ = wire.Call(s.context(ctx, s.md), s.cc, wire.MethodCloseSession, nil, wire.Empty, grpc.WaitForReady(true))
	}
}

// open opens a session on the first host that has one to give. An answer that
// would be the same anywhere (a wrong password, no such database) is final.
func (c *Connector) open(ctx context.Context) (*session, error) {
	req := wire.OpenSessionRequest(c.cfg.User, c.cfg.Password, c.cfg.Database)
	var failed []error
	for _, h := range c.hosts {
		s, err := c.openOn(ctx, h, req)
		if err == nil {
			return s, nil
		}
		failed = append(failed, err)
		var e *Error
		elsewhere := errors.As(err, &e) && (e.kind == nil && e.SQLState == "" || e.kind == ErrMaxSessions)
		if ctx.Err() != nil || !elsewhere {
			break
		}
	}
	return nil, errors.Join(failed...)
}

// reconnectPatience is how long a connection is waited for on a channel that
// has failed before: long enough for a server on its way up, short enough for an
// error to come at once.
const reconnectPatience = time.Second

// openOn opens a session on h within connect_timeout.
func (c *Connector) openOn(ctx context.Context, h *host, req []byte) (*session, error) {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	wasDown := h.cc.GetState() == connectivity.TransientFailure
	var ans wire.Session
	sent, err := wire.Call(ctx, h.cc, wire.MethodOpenSession, req, &ans)
	if err != nil && !sent && wasDown {
		// That was the channel's last failure, told again while it waits for its
		// next try. Have it try now.
		h.cc.ResetConnectBackoff()
		patient, cancel := context.WithTimeout(ctx, reconnectPatience)
		defer cancel()
		_, second := wire.Call(patient, h.cc, wire.MethodOpenSession, req, &ans, grpc.WaitForReady(true))
		if status.Code(second) != codes.DeadlineExceeded {
			err = second
		}
	}
	if err == nil && ans.ID == "" {
		err = status.Error(codes.Internal, "the server answered OpenSession without a session id")
	}
	if err == nil {
		s := &session{addr: h.addr, cc: h.cc, tokens: SessionTokens{ServerUUID: ans.ServerUUID, SessionID: ans.ID}}
		s.md = metadata.NewOutgoingContext(context.Background(), s.tokens.metadata(TransactionTokens{}))
		s.touch()
		return s, nil
	}
	e, ok := classify(ctx, err).(*Error)
	if !ok { // ctx has ended; but for Close, that is connect_timeout
		e = &Error{Message: "no answer", GRPC: status.Code(err), cause: errConnectTimeout, safe: true}
	}
	e.safe = e.safe || !sent || answerLost(err)
	e.Message = "connect to " + h.addr + ": " + e.Message
	if e.kind == ErrNoSuchDatabase {
		e.Message += " (" + c.cfg.Database + ")"
	}
	return nil, e
}
