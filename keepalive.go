package immudb

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// keepSessions keeps the connector's sessions alive until ctx ends: the server
// drops one that is silent for a few minutes, and the idle ones of a sql.DB are
// silent. Warm sessions that nobody leased for session_idle_timeout are closed,
// so that a burst does not hold the server's sessions for ever.
func (c *Connector) keepSessions(ctx context.Context) {
	var touch, unused <-chan time.Time // never, where the config says 0
	if d := c.cfg.KeepAlive; d > 0 {
		touch = time.Tick(d)
	}
	if d := c.cfg.SessionIdleTimeout; d > 0 {
		unused = time.Tick(max(d/4, 10*time.Millisecond))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-unused:
			c.closeUnused()
		case <-touch:
			c.touch(ctx)
		}
	}
}

// closeUnused closes the warm sessions that were not leased for too long.
func (c *Connector) closeUnused() {
	unusedSince := time.Now().Add(-c.cfg.SessionIdleTimeout)
	c.mu.Lock()
	var unused []*session
	c.idle = slices.DeleteFunc(c.idle, func(s *session) bool {
		if s.idleSince.After(unusedSince) {
			return false
		}
		unused = append(unused, s)
		return true
	})
	c.mu.Unlock()
	c.closeSessions(unused...)
}

// touch calls KeepAlive for every session that made no call of its own since
// the tick before.
func (c *Connector) touch(ctx context.Context) {
	silentSince := time.Now().Add(-c.cfg.KeepAlive / 2).UnixNano()
	c.mu.Lock()
	var silent []*session
	for s := range c.leased {
		silent = append(silent, s)
	}
	silent = append(silent, c.idle...)
	c.mu.Unlock()
	silent = slices.DeleteFunc(silent, func(s *session) bool { return s.lastCall.Load() > silentSince })

	ctx, cancel := context.WithTimeout(ctx, c.cfg.KeepAlive)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range silent {
		wg.Go(func() {
			if err := s.keepAlive(ctx); errors.Is(err, ErrSessionLost) {
				c.sessionLost(s)
			}
		})
	}
	wg.Wait()
}
