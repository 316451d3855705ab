package faulttest

import (
	"context"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// logins watches the calls that open sessions. If such a call was sent and its answer was lost with the connection, its
// session may be open on the server, and only the server can close it.
type logins struct {
	silent bool // connections may be silent, so that an answer may be lost although its connection stays open

	mu     sync.Mutex
	opened int // calls answered with a session
	lost   int // calls sent and not answered
	out    int // calls sent and still waiting
}

var _ stats.Handler = (*logins)(nil)

// loginKey is the context key for a call that opens a session.
type loginKey struct{}

// login is a call that opens a session.
type login struct{ sent bool }

func (l *logins) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if !strings.HasSuffix(info.FullMethodName, "/OpenSession") {
		return ctx
	}
	return context.WithValue(ctx, loginKey{}, &login{})
}

func (l *logins) HandleRPC(ctx context.Context, event stats.RPCStats) {
	call, ok := ctx.Value(loginKey{}).(*login)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch event := event.(type) {
	case *stats.OutPayload:
		if !call.sent {
			call.sent = true
			l.out++
		}
	case *stats.End:
		if !call.sent {
			return
		}
		l.out--
		switch code := status.Code(event.Error); {
		case event.Error == nil:
			l.opened++
		case code == codes.Unavailable, l.silent && (code == codes.Canceled || code == codes.DeadlineExceeded):
			l.lost++
		}
	}
}

func (l *logins) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (l *logins) HandleConn(context.Context, stats.ConnStats) {}

// count returns how many sessions were opened, and how many more may have been opened without an answer.
func (l *logins) count() (opened, lost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.opened, l.lost + l.out
}
