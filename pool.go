package immudb

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pool holds a connector's sessions. Opening one costs the server 58 ms of CPU
// (it hashes the password), so sessions outlive connections: they are kept warm
// and leased again, and a connection that waits for one to be opened takes one
// that comes free meanwhile.
type pool struct {
	mu       sync.Mutex
	idle     []*session            // the warmest last
	leased   map[*session]struct{} // sessions of open connections
	released chan struct{}         // closed, and replaced, when a session comes free
	closed   bool
	keeping  bool // keepSessions runs

	// waiting is how many connections wait for a session. As long as there are any,
	// those that are given back to a sql.DB give theirs up, see Conn.IsValid.
	waiting atomic.Int64

	turns      chan struct{}      // holds a token for each session being opened
	growth     chan struct{}      // likewise, of those opened one at a time
	background sync.WaitGroup     // goroutines that open and keep sessions
	quit       chan struct{}      // closed with the pool
	ctx        context.Context    // of what goes on in the background
	giveUp     context.CancelFunc // ends ctx
}

// openAtOnce is how many sessions are opened at a time while there are no more
// than that, or when none has come free for openPatience. Otherwise they are
// opened one at a time: more would compete for the server's CPU with the very
// queries that will free one.
const (
	openAtOnce   = 2
	openPatience = 50 * time.Millisecond // about what it takes to open one
)

func newPool() *pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &pool{
		leased:   make(map[*session]struct{}),
		released: make(chan struct{}),
		turns:    make(chan struct{}, openAtOnce),
		growth:   make(chan struct{}, 1),
		quit:     make(chan struct{}),
		ctx:      ctx,
		giveUp:   cancel,
	}
}

var (
	errClosed         = errors.New("immudb: connector is closed")
	errConnectTimeout = errors.New("connect_timeout passed")
)

// lease hands out a session that the caller owns until release or drop.
func (c *Connector) lease(ctx context.Context) (*session, error) {
	var patience <-chan time.Time // never, without connect_timeout
	if c.cfg.ConnectTimeout > 0 {
		patience = time.After(c.cfg.ConnectTimeout)
	}
	var refused error // the server's last no
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, 500*time.Millisecond) {
		s, err := c.leaseNow(ctx)
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
		case <-c.pool.nextRelease():
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

// leaseNow leases a session that is idle, or comes free before a new one is
// open, or the new one.
func (c *Connector) leaseNow(ctx context.Context) (*session, error) {
	var (
		waiting bool
		hurry   bool // none has come free for openPatience
		open    *opening
		opened  <-chan struct{}
		abandon = func() {
			if open != nil {
				c.abandon(open)
			}
		}
	)
	for {
		released := c.pool.nextRelease()
		s, err := c.takeIdle(ctx)
		if s != nil || err != nil {
			abandon()
			return s, err
		}
		if !waiting {
			waiting = true
			c.pool.waiting.Add(1)
			defer c.pool.waiting.Add(-1)
		}
		var turn chan struct{} // to open one; nil if one is on its way
		var stalled <-chan time.Time
		switch {
		case open != nil:
		case hurry || c.pool.size() < openAtOnce:
			turn = c.pool.turns
		default:
			turn, stalled = c.pool.growth, time.After(openPatience)
		}
		select {
		case <-stalled:
			hurry = true
		case turn <- struct{}{}:
			open = c.startOpening(ctx, turn)
			opened = open.done
		case <-opened:
			return open.session, open.err
		case <-released:
			hurry = false
		case <-ctx.Done():
			abandon()
			return nil, ctx.Err()
		}
	}
}

// takeIdle leases the warmest idle session, if there is one. One whose server
// may have been restarted is asked first whether it is still there.
func (c *Connector) takeIdle(ctx context.Context) (*session, error) {
	for {
		s, err := c.pool.take()
		if s == nil || err != nil {
			return nil, err
		}
		if !s.broken.Load() && (!s.suspect.Load() || c.ask(ctx, s) == nil) {
			return s, nil
		}
		c.drop(s)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// opening is a session on its way. It is opened on a goroutine of its own: a
// call given up would leave a session on the server that nobody knows.
type opening struct {
	done      chan struct{} // closed when session or err is set
	session   *session      // leased to whoever waits for it
	err       error
	abandoned bool // nobody waits; guarded by pool.mu
}

// startOpening opens a session. The caller has taken a turn, which ends with it.
func (c *Connector) startOpening(ctx context.Context, turn <-chan struct{}) *opening {
	o := &opening{done: make(chan struct{})}
	values := context.WithoutCancel(ctx)
	began := c.pool.goUnlessClosed(func() {
		defer func() { <-turn }()
		timed, cancel := context.WithCancel(values)
		defer cancel()
		defer context.AfterFunc(c.pool.ctx, cancel)()
		s, err := c.open(timed)
		if err == nil {
			err = c.adopt(s)
		}
		c.pool.mu.Lock()
		if err != nil {
			o.err = err
		} else {
			o.session = s
		}
		abandoned := o.abandoned
		c.pool.mu.Unlock()
		close(o.done)
		if abandoned && err == nil {
			c.release(s)
		}
	})
	if !began {
		<-turn
		o.err = errClosed
		close(o.done)
	}
	return o
}

// abandon leaves a session on its way to the pool.
func (c *Connector) abandon(o *opening) {
	c.pool.mu.Lock()
	o.abandoned = true
	s := o.session
	c.pool.mu.Unlock()
	if s != nil {
		c.release(s)
	}
}

// adopt makes the connector the owner of a session just opened, and leased.
func (c *Connector) adopt(s *session) error {
	p := c.pool
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.closeSessions(s)
		return errClosed
	}
	p.leased[s] = struct{}{}
	if !p.keeping {
		p.keeping = true
		p.background.Go(c.keepSessions)
	}
	p.mu.Unlock()
	return nil
}

// release takes a leased session back: into the pool if there is room, else it
// is closed.
func (c *Connector) release(s *session) {
	if s.broken.Load() || !c.pool.put(s, c.cfg.MaxIdleSessions) {
		c.drop(s)
	}
}

// drop ends a leased session: there is no room for it, or it is in a state not
// known to us, or the server has dropped it. Nobody waits for that.
func (c *Connector) drop(s *session) {
	c.inBackground(func(ctx context.Context) {
		s.close(ctx)
		c.pool.forget(s)
	})
	c.closeHostsWhenUnused()
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

// sessionLost marks every session of the server as suspect: when one is gone,
// the others probably are, and asking is cheaper than failing a call for each.
func (c *Connector) sessionLost(lost *session) {
	for _, s := range c.pool.all() {
		if s.addr == lost.addr {
			s.suspect.Store(true)
		}
	}
	c.log.Info("immudb session lost", slog.String("host", lost.addr))
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

// take leases the warmest idle session; it returns nil if there is none.
func (p *pool) take() (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if len(p.idle) == 0 {
		return nil, nil
	}
	last := len(p.idle) - 1
	s := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	p.leased[s] = struct{}{}
	return s, nil
}

// put takes a leased session back, unless the pool is closed or full.
func (p *pool) put(s *session, most int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= most {
		return false
	}
	delete(p.leased, s)
	s.idleSince = time.Now()
	p.idle = append(p.idle, s)
	p.signalRelease()
	return true
}

// forget takes a leased session off the books. The server has a place for
// another one then.
func (p *pool) forget(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.leased, s)
	p.signalRelease()
}

func (p *pool) signalRelease() {
	close(p.released)
	p.released = make(chan struct{})
}

// nextRelease is closed when the next session comes free.
func (p *pool) nextRelease() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.released
}

// size is the number of sessions there are or will be in a moment.
func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle) + len(p.leased) + len(p.turns) + len(p.growth)
}

// all lists the sessions, leased and idle.
func (p *pool) all() []*session {
	p.mu.Lock()
	defer p.mu.Unlock()
	sessions := slices.Clone(p.idle)
	for s := range p.leased {
		sessions = append(sessions, s)
	}
	return sessions
}

// takeUnused removes the sessions that have been idle since before the given
// time.
func (p *pool) takeUnused(since time.Time) (unused []*session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = slices.DeleteFunc(p.idle, func(s *session) bool {
		old := s.idleSince.Before(since)
		if old {
			unused = append(unused, s)
		}
		return old
	})
	return unused
}

// close ends the handing out and returns the idle sessions. first is false if
// that was done before.
func (p *pool) close() (idle []*session, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false
	}
	p.closed = true
	close(p.quit)
	idle, p.idle = p.idle, nil
	p.signalRelease()
	return idle, true
}

// finished reports whether the pool is closed and its last session has come
// back.
func (p *pool) finished() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed && len(p.leased) == 0
}

// maxSessionsError says what to do about a server that has no session left.
// waited is why the wait for one ended.
func maxSessionsError(refused, waited error) error {
	e := &Error{
		Message: "the server allows no more sessions: keep SetMaxOpenConns below its limit (max-sessions, 100 by default), " +
			"or lower max_idle_sessions in the programs that share it",
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
