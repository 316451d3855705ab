package immudb

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/immudb-go/immudb/internal/wire"
)

// session is a session the server keeps for us. It is leased to one Conn at a
// time or idle in its Connector's pool, never both.
type session struct {
	addr   string
	cc     *grpc.ClientConn
	tokens SessionTokens
	md     metadata.MD // the tokens; read-only

	// lastCall is when the session was last used, in Unix nanoseconds. The
	// keep-alive loop reads it beside the call that writes it.
	lastCall atomic.Int64
	// suspect is set when another session of the same server turned out to be
	// lost: the server may have been restarted, so that this one is asked for
	// before it is trusted with a call.
	suspect atomic.Bool

	idleSince time.Time // guarded by Connector.mu
}

// context is ctx with the tokens that name the session, and tx if there is one.
// Metadata that the caller attached for other servers does not travel.
func (s *session) context(ctx context.Context, md metadata.MD) context.Context {
	s.lastCall.Store(time.Now().UnixNano())
	return metadata.NewOutgoingContext(ctx, md)
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
	_, _ = wire.Call(s.context(ctx, s.md), s.cc, wire.MethodCloseSession, nil, wire.Empty)
}
