package session

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/immudb-go/immudb/internal/wire"
)

// keepSessions runs until quit is closed. It keeps silent sessions alive, as
// the server drops a session after a few minutes without a call, and closes those
// that no lease used for IdleTimeout, so that the sessions of a burst go again.
func (p *Pool) keepSessions(ctx context.Context, quit <-chan struct{}) {
	var touch, unused <-chan time.Time // never, where the config says 0
	if d := p.cfg.KeepAlive; d > 0 {
		touch = time.Tick(d / 4)
	}
	if d := p.cfg.IdleTimeout; d > 0 {
		unused = time.Tick(max(d/4, 10*time.Millisecond))
	}
	for {
		select {
		case <-quit:
			return
		case <-unused:
			p.retireUnused(time.Now().Add(-p.cfg.IdleTimeout))
		case <-touch:
			p.touchSilent(ctx)
		}
	}
}

// retireUnused closes the sessions that no lease has used since the given time.
func (p *Pool) retireUnused(since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range slices.Clone(p.sessions) {
		if s.leases.Load() == 0 && s.txs == 0 && s.idleSince.Before(since) {
			s.leaving.Store(true)
			p.endIfUnused(s)
		}
	}
}

// touchSilent sends a keep-alive for every session that would otherwise be silent
// for longer than KeepAlive by the next tick, which comes KeepAlive/4 later.
func (p *Pool) touchSilent(ctx context.Context) {
	since := time.Now().Add(-p.cfg.KeepAlive * 3 / 4).UnixNano()
	p.mu.Lock()
	silent := slices.DeleteFunc(slices.Clone(p.sessions), func(s *Session) bool { return s.ended || s.lastCall.Load() > since })
	p.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, p.cfg.KeepAlive)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range silent {
		wg.Go(func() {
			if f := s.ask(ctx, true); f != nil && f.Fate == wire.NoSession {
				p.lost(s)
			}
		})
	}
	wg.Wait()
}
