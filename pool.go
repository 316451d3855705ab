package immudb

import (
	"context"
	"log/slog"
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

func newPool() *pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &pool{
		freed:  make(chan struct{}),
		quit:   make(chan struct{}),
		ctx:    ctx,
		giveUp: cancel,
	}
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
