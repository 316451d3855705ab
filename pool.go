package immudb

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// pool holds a connector's sessions. A session is little to the server: a user, a
// database and the transactions begun in it, each of which is named in every
// call. Opening one, though, costs it 58 ms of CPU (it hashes the password). So
// connections share sessions rather than wait for more of them, and more are
// opened slowly, because the server begins the transactions of one session one
// after the other and has its queries wait meanwhile (with 16 writers, reads took
// 1.4 times as long on one session as on one for each).
//
// What cannot be shared is a session that USE DATABASE moves, see leaseAlone. One
// that has to go, because there is something in it that nobody can end, goes as
// soon as nobody is in a transaction in it: its users move to another one.
type pool struct {
	mu       sync.Mutex
	sessions []*session    // open on the server, those about to be closed too
	opening  *opening      // of a session to be shared, or nil
	tried    time.Time     // when the last opening ended
	freed    chan struct{} // closed, and replaced, when those who wait for a session may find one
	closed   bool
	keeping  bool // keepSessions runs

	background sync.WaitGroup     // goroutines that open, keep and close sessions
	quit       chan struct{}      // closed with the pool
	ctx        context.Context    // of what goes on in the background
	giveUp     context.CancelFunc // ends ctx
}

// growthPause is how long after one session the next is opened while connections
// share: what that costs the server stays below a tenth of one core, also for
// the queries that are under way.
const growthPause = time.Second

func newPool() *pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &pool{
		freed:  make(chan struct{}),
		quit:   make(chan struct{}),
		ctx:    ctx,
		giveUp: cancel,
	}
}

var (
	errClosed         = errors.New("immudb: connector is closed")
	errConnectTimeout = errors.New("connect_timeout passed")
)

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

// release takes a leased session back.
func (c *Connector) release(s *session) {
	if c.pool.leave(s) {
		c.end(s)
	}
}

// drop takes back a leased session that is in a state not known to us, or that
// the server has dropped.
func (c *Connector) drop(s *session) {
	c.retire(s)
	c.release(s)
}

// retire sees to it that nobody else leases the session, and that it is closed
// once nobody is in a transaction in it.
func (c *Connector) retire(s *session) {
	if c.pool.retire(s) {
		c.end(s)
	}
}

// leaveTx takes note of the end of a transaction in the session.
func (c *Connector) leaveTx(s *session) {
	if s.txs.Add(-1) == 0 && s.retired.Load() {
		c.retire(s)
	}
}

// end closes a session. Nobody waits for that.
func (c *Connector) end(s *session) {
	c.inBackground(func(ctx context.Context) {
		s.close(ctx)
		c.pool.forget(s)
	})
	c.closeHostsWhenUnused()
}

// leave ends a lease and reports whether the session is to be closed.
func (p *pool) leave(s *session) (end bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.users.Add(-1) > 0 {
		return false
	}
	if p.closed || s.retired.Load() {
		return p.mayEnd(s)
	}
	s.alone = false
	s.idleSince = time.Now()
	p.signalFreed()
	return false
}

// retire reports whether the session is to be closed now.
func (p *pool) retire(s *session) (end bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.retired.Store(true)
	return s.txs.Load() == 0 && p.mayEnd(s)
}

// mayEnd reports, once, that a session is to be closed. p.mu is held.
func (p *pool) mayEnd(s *session) bool {
	first := !s.ended
	s.retired.Store(true)
	s.ended = true
	return first
}

// inBackground runs f, which tells the server something that nobody waits for,
// on a goroutine that Close waits for. After Close it runs at once.
func (c *Connector) inBackground(f func(ctx context.Context)) {
	timed := func() {
		ctx, cancel := context.WithTimeout(c.pool.ctx, closeTimeout)
		defer cancel()
		f(ctx)
	}
	if !c.pool.goUnlessClosed(timed) {
		timed()
	}
}

// patience bounds ctx by connect_timeout.
func (c *Connector) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.cfg.ConnectTimeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.cfg.ConnectTimeout)
}

// ask asks the server whether the session is still there.
func (c *Connector) ask(ctx context.Context, s *session) error {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	return s.keepAlive(ctx)
}

// closeSessions ends the sessions on the server, side by side.
func (c *Connector) closeSessions(sessions ...*session) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range sessions {
		wg.Go(func() { s.close(ctx) })
	}
	wg.Wait()
}

// sessionLost ends the sharing of a session that the server does not know, and
// marks the others of that server as suspect: they are probably gone too, and
// asking is cheaper than failing a call for each.
func (c *Connector) sessionLost(lost *session) {
	c.retire(lost)
	c.doubt(lost.addr)
	c.log.Info("immudb session lost", slog.String("host", lost.addr))
}

// doubt marks the sessions of a server as suspect: they are asked for before they
// are trusted with a call.
func (c *Connector) doubt(addr string) {
	for _, s := range c.pool.of(addr) {
		s.suspect.Store(true)
	}
}

// goUnlessClosed runs f on a goroutine that Close waits for.
func (p *pool) goUnlessClosed(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.background.Go(f)
	}
	return !p.closed
}

// forget takes a session that was closed off the books. The server has a place
// for another one then.
func (p *pool) forget(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions = slices.DeleteFunc(p.sessions, func(other *session) bool { return other == s })
	p.signalFreed()
}

func (p *pool) signalFreed() {
	close(p.freed)
	p.freed = make(chan struct{})
}

// nextFreed is closed when those who wait for a session may find one.
func (p *pool) nextFreed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.freed
}

// all lists the sessions.
func (p *pool) all() []*session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sessions)
}

// of lists the sessions on a server.
func (p *pool) of(addr string) []*session {
	return slices.DeleteFunc(p.all(), func(s *session) bool { return s.addr != addr })
}

// takeUnused removes the sessions that nobody has used since the given time.
func (p *pool) takeUnused(since time.Time) (unused []*session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions = slices.DeleteFunc(p.sessions, func(s *session) bool {
		if s.users.Load() > 0 || !s.idleSince.Before(since) || !p.mayEnd(s) {
			return false
		}
		unused = append(unused, s)
		return true
	})
	return unused
}

// close ends the handing out and returns the sessions that nobody uses. first is
// false if that was done before.
func (p *pool) close() (unused []*session, first bool) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, false
	}
	p.closed = true
	close(p.quit)
	p.signalFreed()
	p.mu.Unlock()
	return p.takeUnused(time.Now().Add(time.Second)), true
}

// finished reports whether the pool is closed and so is its last session.
func (p *pool) finished() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed && len(p.sessions) == 0
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
