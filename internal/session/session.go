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
	// know this one any more, or it may hold a transaction whose id the driver never
	// learned, which only the end of the session ends.
	leaving atomic.Bool

	leases atomic.Int32 // how many leases use the session; changes with pool.mu held

	// What follows is guarded by pool.mu.
	txs       int       // transactions open in it, being begun, or being rolled back
	alone     bool      // it has one lease, which does not share it
	ended     bool      // it is being closed, or the server does not know it
	serves    bool      // it still works although it is leaving
	idleSince time.Time // when its last lease left
}

// Addr is the address of the session's server, as host:port.
func (s *Session) Addr() string { return s.host.addr }

// Leaving reports whether leases should move to another session.
func (s *Session) Leaving() bool { return s.leaving.Load() }

// doubtful reports whether the server may have lost the session: since the server
// last confirmed it, the connection broke, or the server did not know another of
// our sessions.
func (s *Session) doubtful() bool { return s.confirmed.Load() != s.host.epoch.Load() }

// ask asks the server whether it knows the session, which also keeps it alive.
// With patiently it waits a little for a server that was down, see host.call.
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

// Retire has the session closed as soon as no transaction is open in it. A caller
// uses it when the session's state on the server is not known.
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
	return sc.session.host.channel().Call(sc.context(ctx), method, req, ans)
}

// Fetch asks for an answer of one message, see [wire.Stream.Fetch].
func (sc *Scope) Fetch(ctx context.Context, stream *wire.Stream, method string, req *wire.Request, known []wire.Column, b *wire.Batch) (whole bool, f *wire.Failure) {
	return stream.Fetch(sc.context(ctx), sc.session.host.channel(), method, req, known, b)
}

// Open sends a query whose answer is read from stream until own ends. Open makes
// own a context that ends with the caller's ctx or by own.Cancel, with the scope's
// tokens in it.
func (sc *Scope) Open(ctx context.Context, own *StreamContext, stream *wire.Stream, method string, req *wire.Request, known []wire.Column) *wire.Failure {
	sc.session.touch()
	own.begin(ctx, sc.md)
	return stream.Open(own, sc.session.host.channel(), method, req, known)
}

// context is ctx with the scope's tokens. gRPC metadata that the caller put into
// ctx is not sent.
func (sc *Scope) context(ctx context.Context) context.Context {
	sc.session.touch()
	if ctx == context.Background() {
		return sc.md
	}
	return &callContext{ctx, sc.md}
}

func (s *Session) touch() { s.lastCall.Store(time.Now().UnixNano()) }

// callContext is a caller's context with a call's tokens in it. The tokens are made
// once for a session or transaction, so a call allocates at most this struct.
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
