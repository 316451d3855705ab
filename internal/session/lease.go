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

// Lease is the right of one database/sql connection to use a session. Several
// leases may share a session, and a lease may move to another session between two
// calls. Session and Move may be called from several goroutines at once, the other
// methods by one at a time.
type Lease struct {
	pool   *Pool
	moving sync.Mutex // held during Move

	session atomic.Pointer[Session] // changes with Pool.mu held
	alone   bool                    // the lease does not share its session; guarded by Pool.mu
}

// Lease returns a new lease. While max_sessions or the server's own limit leaves no
// session for it, it waits within ctx and connect_timeout, and then returns a
// *LimitError. Any other error is a *HostError, several of those joined, ErrClosed,
// or the error of ctx.
func (p *Pool) Lease(ctx context.Context) (*Lease, error) {
	if err := p.addLease(); err != nil {
		return nil, err
	}
	l := &Lease{pool: p}
	if err := l.wait(ctx, l.join); err != nil {
		p.mu.Lock()
		p.dropLease()
		p.mu.Unlock()
		p.closeHostsWhenUnused()
		return nil, err
	}
	return l, nil
}

// Release ends the lease.
func (l *Lease) Release() {
	p := l.pool
	l.drop()
	p.mu.Lock()
	if p.closed {
		p.waitForJobs() // the session may be ending
	}
	p.mu.Unlock()
	p.closeHostsWhenUnused()
}

// drop is Release for a job, which must not wait for jobs.
func (l *Lease) drop() {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(l.session.Load(), l.alone)
	p.dropLease()
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

// Session is the session that the lease uses now.
func (l *Lease) Session() *Session { return l.session.Load() }

// Move makes the lease use another session instead of from, which is leaving. It
// does nothing if the lease has moved already, and stays on from if there is no
// other session and none may be opened.
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

// use makes the lease use s instead of its session so far. The caller has already
// counted the lease in s.leases. mu is held.
func (l *Lease) use(s *Session, alone bool) {
	before, wasAlone := l.session.Load(), l.alone
	l.alone = alone
	l.session.Store(s)
	if before != nil {
		l.pool.leave(before, wasAlone && before != s)
	}
}

// Rebalance moves a lease that shares its session to one that no lease uses. If
// there is none it has one opened for later, within max_sessions.
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

// Isolate gives the lease a session of its own until Share, the present one or
// another. A caller uses it before a call that changes the session itself (USE
// DATABASE), which other leases must not see.
func (l *Lease) Isolate(ctx context.Context) error {
	if l.claim() {
		return nil
	}
	return l.wait(ctx, l.joinAlone)
}

// claim makes the lease's session its own if no other lease uses it, and reports
// whether the lease has a session of its own.
func (l *Lease) claim() bool {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	s := l.session.Load()
	if !l.alone && s.leases.Load() == 1 && !s.leaving.Load() {
		s.alone, l.alone = true, true
	}
	return l.alone
}

// Share lets other leases use the session again, after Isolate.
func (l *Lease) Share() {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if l.alone {
		l.session.Load().alone, l.alone = false, false
		l.pool.signalFreed()
	}
}

// wait calls join until it succeeds or fails. After a LimitError it waits, until a
// session may have become free or for a short random time, and calls join again.
func (l *Lease) wait(ctx context.Context, join func(context.Context) error) error {
	var patience <-chan time.Time // never, without connect_timeout
	if d := l.pool.cfg.ConnectTimeout; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		patience = timer.C
	}
	var full *LimitError // the last one
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, 500*time.Millisecond) {
		freed := l.pool.nextFreed()
		err := join(ctx)
		limit, isLimit := err.(*LimitError)
		switch {
		case isLimit:
			full = limit
		case err != nil && full != nil && wire.Ended(ctx) != nil:
			return l.pool.full(full, wire.Ended(ctx))
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

// full is the error after a wait for a session that a limit did not allow. If
// max_sessions is the limit and a session is still being closed, it reports the
// server that does not answer CloseSession, because that is the cause.
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

// join makes the lease use the session that the fewest leases use, or waits for
// one to be opened.
func (l *Lease) join(ctx context.Context) error {
	p := l.pool
	for mayOpen := true; ; {
		s, o, err := p.pick(ctx, mayOpen)
		if err != nil {
			return err
		}
		if o != nil {
			if err := o.wait(ctx); err != nil && (s == nil || wire.Ended(ctx) != nil) {
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

// pick counts the caller as a user of the best session; the caller must leave it if
// it cannot be used. If other leases use the session, or it is leaving, pick also
// has one opened for later callers, within max_sessions. If there is no session, or
// only one that is leaving, pick instead returns the opening of another one to wait
// for; s is then the leaving one, for use if the opening fails, or nil.
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

// best returns the session to lease next, or nil, and how many sessions can be
// shared. It prefers sessions that are not leaving, then those that are not
// doubtful, then those with the fewest leases, then, if no lease uses them, the one
// used last. mu is held.
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

// grow starts to open one more session to share, if max_sessions allows it, none
// is being opened and growthPause has passed. mu is held.
func (p *Pool) grow(ctx context.Context, shared int) {
	if shared < p.cfg.MaxSessions && p.opening == nil && time.Since(p.tried) >= growthPause && p.room() {
		p.opening = p.open(ctx, nil)
	}
}

// confirm asks the server whether it knows a doubtful session, and reports whether
// the session may be used. If the server cannot be reached, confirm has a session
// opened on another server; err is set if that fails too.
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
	// No server can be reached: wait for this one as well.
	ok, away, answered := p.question(ctx, s, true)
	if away != nil {
		return false, err
	}
	return ok, answered
}

// question asks the server whether it knows a session. away is set if the server
// could not be reached. If the server received the question but did not answer, ok
// is true: the next call in the session finds out.
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
	case wire.Ended(ctx) != nil:
		return false, nil, wire.Ended(ctx)
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

// elsewhere opens a session on another server than h, which cannot be reached. It
// returns nil when a session was opened, else an error that names h too.
func (p *Pool) elsewhere(ctx context.Context, h *host, f *wire.Failure) error {
	away := &HostError{Addr: h.addr, Failure: f, Connect: h.lastAttempt()}
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

// joinAlone gives the lease a session that no other lease uses, or opens one.
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
		o.alone = false // if it is opened after all, any lease may use it
		return err
	}
	l.use(o.session, true)
	return nil
}

// nextFreed returns a channel that is closed when a waiting lease should look for a
// session again.
func (p *Pool) nextFreed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.freed
}
