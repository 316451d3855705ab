package immudb

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// keepSessions keeps the connector's sessions alive until the connector is
// closed: the server drops one that is silent for a few minutes, and the idle
// ones of a sql.DB are silent. Warm sessions that nobody leased for
// session_idle_timeout are closed, so that a burst does not hold the server's
// sessions for ever.
func (c *Connector) keepSessions() {
	var touch, unused <-chan time.Time // never, where the config says 0
	if d := c.cfg.KeepAlive; d > 0 {
		touch = time.Tick(d / 4)
	}
	if d := c.cfg.SessionIdleTimeout; d > 0 {
		unused = time.Tick(max(d/4, 10*time.Millisecond))
	}
	for {
		select {
		case <-c.pool.quit:
			return
		case <-unused:
			c.closeSessions(c.pool.takeUnused(time.Now().Add(-c.cfg.SessionIdleTimeout))...)
		case <-touch:
			c.touch()
		}
	}
}

// touch calls KeepAlive for every session that would be silent for longer than
// keepalive by the next tick, a quarter of that away.
func (c *Connector) touch() {
	since := time.Now().Add(-c.cfg.KeepAlive * 3 / 4).UnixNano()
	silent := slices.DeleteFunc(c.pool.all(), func(s *session) bool { return s.lastCall.Load() > since })

	ctx, cancel := context.WithTimeout(c.pool.ctx, c.cfg.KeepAlive)
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
