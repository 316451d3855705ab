package session

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/wire"
)

// Lease is a connection's use of a session, which other leases may share. Which
// session that is may change between two calls. Session and Move may be called
// from several goroutines, the rest from one at a time.
type Lease struct {
	pool   *Pool
	moving sync.Mutex // one goroutine moves

	session atomic.Pointer[Session] // changes with Pool.mu held
	alone   bool                    // the lease does not share its session; guarded by Pool.mu
}

// Lease hands out the use of a session. While there is none to be had, because
// max_sessions or the server allows no more, it waits within ctx and
// connect_timeout.
func (p *Pool) Lease(ctx context.Context) (*Lease, error) {
	p.mu.Lock()
	p.leases++
	p.mu.Unlock()
	l := &Lease{pool: p}
	if err := l.wait(ctx, l.join); err != nil {
		p.mu.Lock()
		p.leases--
		p.mu.Unlock()
		p.closeHostsWhenUnused()
		return nil, err
	}
	return l, nil
}

// Release ends the lease.
func (l *Lease) Release() {
	p := l.pool
	p.mu.Lock()
	p.leave(l.session.Load(), l.alone)
	p.leases--
	if p.closed {
		p.waitForJobs() // the session may be ending
	}
	p.mu.Unlock()
	p.closeHostsWhenUnused()
}

// leave ends a lease's use of a session. mu is held.
func (p *Pool) leave(s *Session, alone bool) {
	if alone {
		s.alone = false
	}
	if s.leases.Add(-1) == 0 {
		s.idleSince = time.Now()
		p.endIfUnused(s)
	}
	p.signalFreed()
}

// Session is the session used now.
func (l *Lease) Session() *Session { return l.session.Load() }

// Move goes to another session because from is leaving, unless that has been done.
// If there is no other one and there can be none, it stays.
func (l *Lease) Move(ctx context.Context, from *Session) error {
	l.moving.Lock()
	defer l.moving.Unlock()
	if l.session.Load() != from {
		return nil
	}
	if l.alone {
		return l.wait(ctx, l.joinAlone)
	}
	return l.wait(ctx, l.join)
}

// use makes the lease use s, which counts it already, instead of what it used
// before. mu is held.
func (l *Lease) use(s *Session, alone bool) {
	before, wasAlone := l.session.Load(), l.alone
	l.alone = alone
	l.session.Store(s)
	if before != nil {
		l.pool.leave(before, wasAlone && before != s)
	}
}

// Rebalance goes to a session that nobody uses if others use this one too, or
// else has one opened, within max_sessions.
func (l *Lease) Rebalance(ctx context.Context) {
	p, s := l.pool, l.session.Load()
	if s.leases.Load() == 1 || s.leaving.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	switch best, shared := p.best(); {
	case best == nil:
	case best.leases.Load() > 0:
		p.grow(ctx, shared)
	case !best.doubtful():
		best.leases.Add(1)
		l.use(best, false)
	}
}

// Isolate makes the session the lease's alone until Share, perhaps another one:
// the next call will change what the others would find in it.
func (l *Lease) Isolate(ctx context.Context) error {
	if l.claim() {
		return nil
	}
	return l.wait(ctx, l.joinAlone)
}

// claim makes the session the lease's alone if nobody else uses it.
func (l *Lease) claim() bool {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	s := l.session.Load()
	if !l.alone && s.leases.Load() == 1 && !s.leaving.Load() {
		s.alone, l.alone = true, true
	}
	return l.alone
}

// Share ends what Isolate began.
func (l *Lease) Share() {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if l.alone {
		l.session.Load().alone, l.alone = false, false
		l.pool.signalFreed()
	}
}

// wait calls join until it has a session or says why there is none, and waits in
// between while there is none only because of a limit.
func (l *Lease) wait(ctx context.Context, join func(context.Context) error) error {
	var patience <-chan time.Time // never, without connect_timeout
	if d := l.pool.cfg.ConnectTimeout; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		patience = timer.C
	}
	var full *LimitError // the last answer of that kind
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, 500*time.Millisecond) {
		freed := l.pool.nextFreed()
		err := join(ctx)
		limit, isLimit := err.(*LimitError)
		switch {
		case isLimit:
			full = limit
		case err != nil && full != nil && ctx.Err() != nil:
			return l.pool.full(full, ctx.Err())
		default:
			return err
		}
		again := time.NewTimer(delay/2 + rand.N(delay))
		select {
		case <-freed:
		case <-again.C:
		case <-patience:
			return l.pool.full(full, ErrConnectTimeout)
		case <-ctx.Done():
			again.Stop()
			return l.pool.full(full, ctx.Err())
		}
		again.Stop()
	}
}

// full is the error after a wait for a session that a limit does not allow. Where
// sessions are being closed and their server does not answer, that is what is
// wrong, not the limit.
func (p *Pool) full(limit *LimitError, waited error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions {
		if limit.Own && s.ended {
			silent := &wire.Failure{Fate: wire.NotSent, Code: codes.Unavailable, Message: "no answer to CloseSession"}
			return &HostError{Addr: s.host.addr, Failure: silent, Err: waited}
		}
	}
	return limit.after(waited)
}

// join uses the session that the fewest leases use.
func (l *Lease) join(ctx context.Context) error {
	p := l.pool
	for mayOpen := true; ; {
		s, o, err := p.pick(ctx, mayOpen)
		if err != nil {
			return err
		}
		if o != nil {
			if err := o.wait(ctx); err != nil && (s == nil || ctx.Err() != nil) {
				return err
			} else if err != nil {
				mayOpen = false
			}
			continue
		}
		ok, err := p.confirm(ctx, s)
		p.mu.Lock()
		if ok {
			l.use(s, false)
		} else {
			p.leave(s, false)
		}
		p.mu.Unlock()
		if ok || err != nil {
			return err
		}
	}
}

// pick takes the best session, which the caller leaves if it turns out to be of no
// use. If other leases use the session, or it serves only until there is another,
// pick has one opened for later callers, within max_sessions. If there is no
// session, or only one that is leaving, pick returns the opening of another one to
// wait for; s is then one to fall back on.
func (p *Pool) pick(ctx context.Context, mayOpen bool) (s *Session, o *opening, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, ErrClosed
	}
	best, shared := p.best()
	leaving := best != nil && best.leaving.Load()
	if best == nil || leaving && !best.serves && mayOpen {
		if p.opening == nil && p.room() {
			p.opening = p.open(ctx, nil)
		}
		switch {
		case p.opening != nil:
			return best, p.opening, nil
		case best == nil:
			return nil, nil, &LimitError{Own: true}
		}
	}
	if leaving || best.leases.Load() > 0 {
		p.grow(ctx, shared)
	}
	best.leases.Add(1)
	return best, nil, nil
}

// best returns the session to be shared, or nil, and how many sessions are
// shared: one that is not leaving before one that is, one that is certain before
// a doubtful one, then the one that the fewest leases use, and of those that none
// uses the warmest. mu is held.
func (p *Pool) best() (best *Session, shared int) {
	for _, s := range p.sessions {
		if s.alone || s.ended {
			continue
		}
		shared++
		if best == nil || s.better(best) {
			best = s
		}
	}
	return best, shared
}

func (s *Session) better(other *Session) bool {
	if a, b := s.leaving.Load(), other.leaving.Load(); a != b {
		return b
	}
	if a, b := s.doubtful(), other.doubtful(); a != b {
		return b
	}
	if a, b := s.leases.Load(), other.leases.Load(); a != b || a > 0 {
		return a < b
	}
	return s.idleSince.After(other.idleSince)
}

// grow has a session opened, if it is time for one more than there are to share.
// mu is held.
func (p *Pool) grow(ctx context.Context, shared int) {
	if shared < p.cfg.MaxSessions && p.opening == nil && time.Since(p.tried) >= growthPause && p.room() {
		p.opening = p.open(ctx, nil)
	}
}

// confirm asks the server whether it knows a session, if that is doubtful. If the
// server is away, others may have a session to give, and err says so if there is
// none.
func (p *Pool) confirm(ctx context.Context, s *Session) (ok bool, err error) {
	if !s.doubtful() {
		return true, nil
	}
	only := len(p.hosts) == 1
	ok, away, err := p.question(ctx, s, only)
	if away == nil {
		return ok, err
	}
	err = p.elsewhere(ctx, s.host, away)
	if err == nil || only || !isAway(err) {
		return false, err
	}
	// All are away. This one is waited for as well.
	ok, away, answered := p.question(ctx, s, true)
	if away != nil {
		return false, err
	}
	return ok, answered
}

// question asks the server whether it knows a session. away is the failure to
// reach the server. A session about which the server says nothing may be used: the
// next call in it finds out.
func (p *Pool) question(ctx context.Context, s *Session, patiently bool) (ok bool, away *wire.Failure, err error) {
	patient, cancel := p.patience(ctx)
	defer cancel()
	f := s.ask(patient, patiently)
	if f != nil && f.Fate == wire.Unknown && f.Ended == nil {
		f = s.ask(patient, patiently) // the connection broke; a new one may be better
	}
	switch {
	case f == nil:
		return true, nil, nil
	case ctx.Err() != nil:
		return false, nil, ctx.Err()
	case f.Fate == wire.Unknown:
		return true, nil, nil
	case f.Fate == wire.NoSession:
		p.lost(s)
		return false, nil, nil
	case f.Fate == wire.Refused:
		p.retire(s)
		return false, nil, nil
	}
	return false, f, nil
}

// elsewhere has a session opened on another server because h is away, and returns
// why there is none.
func (p *Pool) elsewhere(ctx context.Context, h *host, f *wire.Failure) error {
	away := &HostError{Addr: h.addr, Failure: f}
	if f.Ended != nil {
		away.Err = ErrConnectTimeout
	}
	if len(p.hosts) == 1 {
		return away
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	if p.opening == nil {
		p.opening = p.open(ctx, h)
	}
	o := p.opening
	p.mu.Unlock()
	if err := o.wait(ctx); err != nil {
		return joinErrors(away, err)
	}
	return nil
}

// joinAlone uses a session that nobody uses, or opens one.
func (l *Lease) joinAlone(ctx context.Context) error {
	p := l.pool
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return ErrClosed
		}
		s := p.unused()
		if s == nil {
			return l.openAlone(ctx)
		}
		s.leases.Add(1)
		s.alone = true
		p.mu.Unlock()
		ok, err := p.confirm(ctx, s)
		p.mu.Lock()
		if ok {
			l.use(s, true)
		} else {
			p.leave(s, true)
		}
		p.mu.Unlock()
		if ok || err != nil {
			return err
		}
	}
}

// unused returns a session that no lease uses, or nil. mu is held.
func (p *Pool) unused() *Session {
	for _, s := range p.sessions {
		if !s.alone && !s.ended && !s.leaving.Load() && s.leases.Load() == 0 {
			return s
		}
	}
	return nil
}

// openAlone opens a session for the lease. mu is held, and unlocked.
func (l *Lease) openAlone(ctx context.Context) error {
	p := l.pool
	if !p.room() {
		p.mu.Unlock()
		return &LimitError{Own: true}
	}
	o := p.open(ctx, nil)
	o.alone = true
	p.mu.Unlock()
	err := o.wait(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.session == nil {
		o.alone = false // for whoever comes next, should it still come
		return err
	}
	l.use(o.session, true)
	return nil
}

// nextFreed is closed when those who wait for a session may find one.
func (p *Pool) nextFreed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.freed
}
