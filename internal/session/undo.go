package session

import (
	"context"
	"time"

	"github.com/immudb-go/immudb/internal/wire"
)

// tell makes a call that must reach a server. It repeats the call until the server
// has answered, until the server must have dropped the session, or until enough
// returns true for a failure.
func tell(ctx context.Context, quit <-chan struct{}, enough func(f *wire.Failure) bool, call func(ctx context.Context) *wire.Failure) {
	ctx, cancel := context.WithTimeout(ctx, expiry)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, undoPause) {
		attempt, cancel := context.WithTimeout(ctx, closeTimeout)
		f := call(attempt)
		cancel()
		if f == nil || f.Fate == wire.Refused || f.Fate == wire.NoSession || enough(f) {
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-quit:
			timer.Stop()
			quit = nil // one more attempt
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// closeOnServer closes the session on the server, which also ends its
// transactions. A pool that is closed or rests does not repeat the call to a server that cannot be
// reached: the session will expire there.
func (s *Session) closeOnServer(ctx context.Context) {
	away := func(f *wire.Failure) bool { return f.Fate == wire.NotSent && s.pool.ending() }
	tell(ctx, s.pool.quit, away, func(ctx context.Context) *wire.Failure {
		return s.host.call(ctx, true, func(ctx context.Context) *wire.Failure {
			return s.Call(ctx, wire.MethodCloseSession, nil, wire.Empty)
		})
	})
}
