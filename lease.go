package immudb

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

var (
	errClosed         = errors.New("immudb: connector is closed")
	errConnectTimeout = errors.New("connect_timeout passed")
)

// growthPause is how long after one session the next is opened while connections
// share: what that costs the server stays below a tenth of one core, also for
// the queries that are under way.
const growthPause = time.Second

// lease hands out a session, which others may use too. The caller releases or
// drops it. While the server has no session to give, lease waits for one within
// ctx and connect_timeout.
func (c *Connector) lease(ctx context.Context) (*session, error) {
	return c.leaseWith(ctx, c.leaseNow)
}

// leaseAlone hands out a session that is nobody else's until it is released or
// shared.
func (c *Connector) leaseAlone(ctx context.Context) (*session, error) {
	return c.leaseWith(ctx, c.leaseAloneNow)
}

func (c *Connector) leaseWith(ctx context.Context, now func(context.Context) (*session, error)) (*session, error) {
	var patience <-chan time.Time // never, without connect_timeout
	if c.cfg.ConnectTimeout > 0 {
		patience = time.After(c.cfg.ConnectTimeout)
	}
	var refused error // the server's last no
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, 500*time.Millisecond) {
		freed := c.pool.nextFreed()
		s, err := now(ctx)
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, ErrMaxSessions):
			refused = err
		case refused != nil && ctx.Err() != nil:
			return nil, maxSessionsError(refused, ctx.Err())
		default:
			return nil, err
		}
		again := time.NewTimer(delay/2 + rand.N(delay))
		select {
		case <-freed:
		case <-again.C:
		case <-patience:
			return nil, maxSessionsError(refused, errConnectTimeout)
		case <-ctx.Done():
			again.Stop()
			return nil, maxSessionsError(refused, ctx.Err())
		}
		again.Stop()
	}
}

func (c *Connector) leaseNow(ctx context.Context) (*session, error) {
	for {
		s, o, err := c.join(ctx)
		if err != nil {
			return nil, err
		}
		if s != nil {
			if c.trusted(ctx, s) {
				return s, nil
			}
		} else if err := o.wait(ctx); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// join leases the session that the fewest use. If there is none it returns the
// opening of one to wait for. If that session is in use it has another one
// opened for those who come later, within max_sessions.
func (c *Connector) join(ctx context.Context) (*session, *opening, error) {
	p := c.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errClosed
	}
	best, shared := p.leastUsed()
	if best == nil {
		if p.opening == nil {
			p.opening = c.startOpening(ctx, false)
		}
		return nil, p.opening, nil
	}
	if best.users.Load() > 0 {
		c.grow(ctx, shared)
	}
	best.users.Add(1)
	return best, nil, nil
}

// rebalance returns a session that nobody uses instead of s, which others use
// too, or s if there is none; then it has one opened, within max_sessions.
func (c *Connector) rebalance(ctx context.Context, s *session) *session {
	p := c.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || s.retired.Load() || s.users.Load() == 1 {
		return s
	}
	switch best, shared := p.leastUsed(); {
	case best.users.Load() > 0:
		c.grow(ctx, shared)
	case !best.suspect.Load():
		best.users.Add(1)
		s.users.Add(-1) // others are left
		return best
	}
	return s
}

// grow has a session opened, if it is time for one more than there are to share.
// pool.mu is held.
func (c *Connector) grow(ctx context.Context, shared int) {
	if p := c.pool; shared < c.cfg.MaxSessions && p.opening == nil && time.Since(p.tried) >= growthPause {
		p.opening = c.startOpening(ctx, false)
	}
}

// leastUsed returns the session to be shared that the fewest use, of those that
// nobody uses the warmest, or nil, and how many there are. pool.mu is held.
func (p *pool) leastUsed() (best *session, shared int) {
	for _, s := range p.sessions {
		if s.alone || s.retired.Load() {
			continue
		}
		shared++
		if best == nil || s.users.Load() < best.users.Load() ||
			s.users.Load() == 0 && best.users.Load() == 0 && s.idleSince.After(best.idleSince) {
			best = s
		}
	}
	return best, shared
}

// leaseAloneNow takes a session that nobody uses, or opens one.
func (c *Connector) leaseAloneNow(ctx context.Context) (*session, error) {
	p := c.pool
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, errClosed
		}
		if s, _ := p.leastUsed(); s != nil && s.users.Load() == 0 {
			s.users.Add(1)
			s.alone = true
			p.mu.Unlock()
			if c.trusted(ctx, s) {
				return s, nil
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			continue
		}
		o := c.startOpening(ctx, true)
		p.mu.Unlock()
		err := o.wait(ctx)
		p.mu.Lock()
		s := o.session
		if s == nil {
			o.alone = false // for whoever comes next, should it still come
		}
		p.mu.Unlock()
		if s != nil {
			return s, nil
		}
		return nil, err
	}
}

// claimAlone makes s, which its caller has leased, the caller's alone, unless
// others use it.
func (p *pool) claimAlone(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.alone = s.users.Load() == 1
	return s.alone
}

// share ends what claimAlone and leaseAlone began.
func (p *pool) share(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.alone = false
	p.signalFreed()
}

// trusted asks the server whether a session just leased is still there, if that
// is in doubt, and drops it if not.
func (c *Connector) trusted(ctx context.Context, s *session) bool {
	if !s.suspect.Load() {
		return true
	}
	err := c.ask(ctx, s)
	if err == nil {
		return true
	}
	if !errors.Is(err, ErrSessionLost) && ctx.Err() == nil {
		// The server is not to be reached. It would take as long to hear that of
		// each of its sessions.
		for _, other := range c.pool.of(s.addr) {
			c.retire(other)
		}
	}
	c.drop(s)
	return false
}

// opening is a session on its way. It is opened on a goroutine of its own: a
// call given up would leave a session on the server that nobody knows.
type opening struct {
	done    chan struct{} // closed at the end
	alone   bool          // whoever waits wants it alone; guarded by pool.mu
	session *session      // leased alone to whoever waits; guarded by pool.mu
	err     error         // readable once done is closed
}

func (o *opening) wait(ctx context.Context) error {
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startOpening opens a session. pool.mu is held and the pool is not closed.
func (c *Connector) startOpening(ctx context.Context, alone bool) *opening {
	p := c.pool
	o := &opening{done: make(chan struct{}), alone: alone}
	values := context.WithoutCancel(ctx)
	p.background.Go(func() {
		defer close(o.done)
		ctx, cancel := context.WithCancel(values)
		defer cancel()
		defer context.AfterFunc(p.ctx, cancel)()
		s, err := c.open(ctx)
		if err == nil {
			err = c.adopt(s, o)
		}
		o.err = err
		p.mu.Lock()
		defer p.mu.Unlock()
		p.tried = time.Now()
		if p.opening == o {
			p.opening = nil
		}
	})
	return o
}

// adopt makes the connector the owner of a session just opened.
func (c *Connector) adopt(s *session, o *opening) error {
	p := c.pool
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.closeSessions(s)
		return errClosed
	}
	defer p.mu.Unlock()
	s.idleSince = time.Now()
	if o.alone {
		s.alone = true
		s.users.Add(1)
		o.session = s
	}
	p.sessions = append(p.sessions, s)
	if !p.keeping {
		p.keeping = true
		p.background.Go(c.keepSessions)
	}
	p.signalFreed()
	return nil
}

// maxSessionsError says what to do about a server that has no session left.
// waited is why the wait for one ended.
func maxSessionsError(refused, waited error) error {
	e := &Error{
		Message: "the server allows no more sessions (its max-sessions is 100 by default): " +
			"lower max_sessions in the programs that share it, or raise the server's",
		SQLState: "53300",
		kind:     ErrMaxSessions,
		cause:    waited,
		safe:     true,
	}
	var answer *Error
	if errors.As(refused, &answer) {
		e.GRPC = answer.GRPC
	}
	return e
}
