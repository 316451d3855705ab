package session

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/immudb-go/immudb/internal/wire"
)

// Session is a session on a server. Its calls go through the embedded Scope.
type Session struct {
	Scope
	ID, ServerUUID string

	pool *Pool
	host *host

	// lastCall is when the session was last used, in Unix nanoseconds.
	lastCall atomic.Int64
	// confirmed is the host's epoch at which the server last knew the session.
	confirmed atomic.Int64
	// leaving is set when leases should move to another session: the server does not
	// know this one any more, or it holds a transaction that cannot be named and only
	// the session's end will end.
	leaving atomic.Bool

	leases atomic.Int32 // how many leases use the session; changes with pool.mu held

	// What follows is guarded by pool.mu.
	txs       int       // transactions open in it, begun, or being undone
	alone     bool      // its only lease does not share it
	ended     bool      // it is being closed, or the server does not know it
	serves    bool      // though leaving, it serves as well as before
	idleSince time.Time // when its last lease left
}

// Addr is the address of the session's server, as host:port.
func (s *Session) Addr() string { return s.host.addr }

// Leaving reports whether leases should move to another session.
func (s *Session) Leaving() bool { return s.leaving.Load() }

// doubtful reports whether something happened since the server last knew the
// session that may have ended it: the connection broke, or the server did not
// know another session of ours.
func (s *Session) doubtful() bool { return s.confirmed.Load() != s.host.epoch.Load() }

// ask asks the server whether it knows the session, which also keeps it alive.
// patiently: a server that is away is waited for a little.
func (s *Session) ask(ctx context.Context, patiently bool) *wire.Failure {
	epoch := s.host.epoch.Load()
	f := s.host.call(ctx, patiently, func(ctx context.Context) *wire.Failure {
		return s.Call(ctx, wire.MethodKeepAlive, nil, wire.Empty)
	})
	if f == nil {
		s.confirmed.Store(epoch)
	}
	return f
}

// Lost tells the pool that the server does not know the session.
func (s *Session) Lost() { s.pool.lost(s) }

// Retire has the session closed, as soon as no transaction is open in it, because
// it is in a state that cannot be known.
func (s *Session) Retire() { s.pool.retire(s) }

// Scope is where a call is made: in a session, or in a transaction of one.
type Scope struct {
	session *Session
	md      context.Context // a background context with the tokens as metadata
}

func (s *Session) scope(tx string) Scope {
	tokens := s.pool.cfg.Metadata(s.ServerUUID, s.ID, tx)
	return Scope{s, metadata.NewOutgoingContext(context.Background(), tokens)}
}

// Session is the session of the scope.
func (sc *Scope) Session() *Session { return sc.session }

// Call makes a unary call. It returns nil if ans holds the answer.
func (sc *Scope) Call(ctx context.Context, method string, req []byte, ans wire.Answer) *wire.Failure {
	return sc.session.host.channel.Call(sc.context(ctx), method, req, ans)
}

// Fetch asks for an answer of one message, see [wire.Stream.Fetch].
func (sc *Scope) Fetch(ctx context.Context, stream *wire.Stream, method string, req *wire.Request, known []wire.Column, b *wire.Batch) (whole bool, f *wire.Failure) {
	return stream.Fetch(sc.context(ctx), sc.session.host.channel, method, req, known, b)
}

// Open sends a query whose answer comes through stream, until own ends: own
// becomes the caller's ctx with the scope's tokens and an end of its own.
func (sc *Scope) Open(ctx context.Context, own *StreamContext, stream *wire.Stream, method string, req *wire.Request, known []wire.Column) *wire.Failure {
	sc.session.touch()
	own.begin(ctx, sc.md)
	return stream.Open(own, sc.session.host.channel, method, req, known)
}

// context is ctx with the scope's tokens. Metadata that the caller attached for
// other servers does not travel.
func (sc *Scope) context(ctx context.Context) context.Context {
	sc.session.touch()
	if ctx == context.Background() {
		return sc.md
	}
	return &callContext{ctx, sc.md}
}

func (s *Session) touch() { s.lastCall.Store(time.Now().UnixNano()) }

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
