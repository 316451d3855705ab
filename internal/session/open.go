package session

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/immudb-go/immudb/internal/wire"
)

// opening is a session that is being opened. It goes on when the callers that wait
// for it have left; the session is then for later leases.
type opening struct {
	done    chan struct{} // closed when the session is open, or could not be opened
	alone   bool          // the session is for one lease alone; guarded by Pool.mu
	session *Session      // if alone, the session opened, already counted as used by that lease; guarded by Pool.mu
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

// open starts to open a session, on any server but away, which may be nil. mu is
// held and the pool is not closed.
func (p *Pool) open(ctx context.Context, away *host) *opening {
	o := &opening{done: make(chan struct{})}
	values := context.WithoutCancel(ctx)
	p.start(func(job context.Context) {
		defer close(o.done)
		ctx, cancel := context.WithCancel(values)
		defer cancel()
		defer context.AfterFunc(job, cancel)()
		s, err := p.openSomewhere(ctx, away)
		if err == nil {
			err = p.adopt(s, o)
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

// openSomewhere opens a session on the first server that can be reached and allows
// one. If none can be reached it tries each again, and waits a little for each. A
// refusal that every server would give (a wrong password, no such database) ends
// the search.
func (p *Pool) openSomewhere(ctx context.Context, away *host) (*Session, error) {
	if p.cfg.Target == PreferStandby {
		if s, err := p.openOnFirst(ctx, away, false, Standby); err == nil || ctx.Err() != nil {
			return s, err
		}
	}
	if len(p.hosts) > 1 {
		if s, err := p.openOnFirst(ctx, away, false, p.cfg.Target); err == nil || ctx.Err() != nil || !isAway(err) {
			return s, err
		}
	}
	return p.openOnFirst(ctx, away, true, p.cfg.Target)
}

func (p *Pool) openOnFirst(ctx context.Context, away *host, patiently bool, want Target) (*Session, error) {
	var failed []error
	for _, h := range p.inOrder() {
		if h == away {
			continue
		}
		s, err := p.openOn(ctx, h, patiently)
		if err == nil {
			err = p.checkRole(ctx, s, want)
		}
		if err == nil {
			return s, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil || isFinal(err) {
			break
		}
	}
	return nil, joinErrors(failed...)
}

// isAway reports that no server was reached, but for those that were and are not of
// the role asked for: a server that can be used may come back.
func isAway(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		all := many.Unwrap()
		return slices.ContainsFunc(all, isAway) && !slices.ContainsFunc(all, func(err error) bool { return !isAway(err) && !isWrongRole(err) })
	}
	e, ok := err.(*HostError)
	return ok && e.Failure != nil && e.Failure.Fate == wire.NotSent
}

// isWrongRole reports a server that was reached and is not of the role asked for.
func isWrongRole(err error) bool {
	e, ok := err.(*HostError)
	return ok && (errors.Is(e.Err, ErrSplitBrain) ||
		e.Failure != nil && e.Failure.Fate == wire.Refused && (e.Failure.Class == wire.Replica || e.Failure.Message == notAReplica))
}

// isFinal reports whether err is a refusal that every server would give, or that there is
// nothing to send to any.
func isFinal(err error) bool {
	if _, ok := err.(*RequestError); ok {
		return true
	}
	e, ok := err.(*HostError)
	return ok && e.Failure != nil && e.Failure.Fate == wire.Refused && e.Failure.Class != wire.Replica && (e.Failure.Class != wire.ClassNone || e.Failure.SQLState != "")
}

// openOn opens a session on h within connect_timeout.
func (p *Pool) openOn(ctx context.Context, h *host, patiently bool) (s *Session, err error) {
	if !p.reserve(h) {
		return nil, &LimitError{Own: true}
	}
	if p.cfg.Opening != nil {
		own, ended := p.cfg.Opening(ctx, h.addr)
		defer func() { ended(err) }()
		ctx = own
	}
	ctx, cancel := p.patience(ctx)
	defer cancel()
	epoch := h.epoch.Load()
	req, err := p.cfg.OpenSession(ctx, nil)
	if err != nil {
		p.unreserved(h)
		return nil, err
	}
	var ans wire.Session
	login := func() *wire.Failure {
		return h.call(ctx, patiently, func(ctx context.Context) *wire.Failure {
			return h.channel().Call(ctx, wire.MethodOpenSession, req, &ans)
		})
	}
	f := login()
	if f != nil && f.Fate == wire.Refused && f.Class == wire.Authentication {
		another, err := p.cfg.OpenSession(ctx, req)
		if err != nil {
			p.unreserve(h, f)
			return nil, err
		}
		if another != nil {
			req = another
			f = login()
		}
	}
	if f == nil && ans.ID == "" {
		f = wire.Malformed("the server answered OpenSession without a session id")
	}
	if f != nil {
		p.unreserve(h, f)
		if f.Class == wire.MaxSessions {
			return nil, &LimitError{Failure: f}
		}
		return nil, h.failed(f)
	}
	p.noteOpened(h)
	s = &Session{ID: ans.ID, ServerUUID: ans.ServerUUID, pool: p, host: h}
	s.Scope = s.scope("")
	s.confirmed.Store(epoch)
	s.touch()
	return s, nil
}

// adopt adds a session just opened to the pool, or closes it if the pool is closed
// or rests.
func (p *Pool) adopt(s *Session, o *opening) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions = append(p.sessions, s)
	p.noteServer(s)
	p.noteUsed(s)
	s.idleSince = time.Now()
	if p.closed || p.resting {
		p.endIfUnused(s)
		return ErrClosed
	}
	if o.alone {
		s.alone = true
		s.leases.Add(1)
		o.session = s
	} else {
		for _, other := range slices.Clone(p.sessions) {
			p.endIfUnused(other) // it may have been kept only until now
		}
	}
	p.leaveWorse(s)
	if p.keeping == nil {
		quit := make(chan struct{})
		p.keeping = quit
		p.start(func(ctx context.Context) { p.keepSessions(ctx, quit) })
		if len(p.hosts) > 1 {
			p.start(func(ctx context.Context) { p.lookForBetter(ctx, quit) })
		}
	}
	p.signalFreed()
	return nil
}

// noteServer logs when the server at an address is not the one that answered
// before: a replacement, a restored copy, or a replica behind the same name. mu is
// held.
func (p *Pool) noteServer(s *Session) {
	h := s.host
	if h.uuid != "" && h.uuid != s.ServerUUID {
		p.cfg.Log.Warn("immudb server has changed its identity", slog.String("host", h.addr),
			slog.String("before", h.uuid), slog.String("now", s.ServerUUID))
	}
	h.uuid = s.ServerUUID
}

// room reports whether max_sessions allows one more session on some server. mu is
// held.
func (p *Pool) room() bool { return slices.ContainsFunc(p.hosts, p.hasRoom) }

// hasRoom reports whether max_sessions allows one more session on h. Sessions that
// may exist because an answer was lost count as well, unless there is no other
// session to share. mu is held.
func (p *Pool) hasRoom(h *host) bool {
	h.ghosts = slices.DeleteFunc(h.ghosts, func(until time.Time) bool { return time.Now().After(until) })
	if h.sessions >= p.cfg.MaxSessions {
		return false
	}
	if h.sessions+len(h.ghosts) < p.cfg.MaxSessions {
		return true
	}
	return !slices.ContainsFunc(p.sessions, func(s *Session) bool { return s.host == h && !s.alone && !s.ended })
}

// reserve counts a session that is about to be opened on h, if max_sessions allows
// it.
func (p *Pool) reserve(h *host) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.hasRoom(h) {
		return false
	}
	h.sessions++
	return true
}

// unreserved takes the count of reserve back when no OpenSession was sent.
func (p *Pool) unreserved(h *host) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.sessions--
	p.signalFreed()
}

// unreserve takes the count of reserve back after OpenSession has failed. If the
// session may exist all the same, it counts until it must have expired.
func (p *Pool) unreserve(h *host, f *wire.Failure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.sessions--
	p.noteNotOpened(h, f)
	if f.Fate == wire.Unknown {
		h.ghosts = append(h.ghosts, time.Now().Add(expiry))
	}
	if f.Class != wire.MaxSessions { // a waiting lease would meet the same limit
		p.signalFreed()
	}
}
