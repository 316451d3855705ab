package session

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/wire"
)

// Target says which servers may be used.
type Target uint8

const (
	AnyRole       Target = iota // all; no server is asked what it is
	Primary                     // those that take writes
	Standby                     // those that replicate another server
	PreferStandby               // as Standby, and all while there is none
)

// role is what a server said when it was last asked.
type role uint8

const (
	unasked role = iota
	primary
	replica
)

// notAReplica is the message about a primary where a replica is asked for.
const notAReplica = "the database is a primary, and target_session_attrs asks for a replica"

// roleMemory is how long a server of the wrong role is tried after the others.
const roleMemory = 5 * time.Second

// inOrder returns the servers in the order to try them: as configured, or mixed
// for Shuffle, and those of late found to be of the wrong role last.
func (p *Pool) inOrder() []*host {
	p.mu.Lock()
	defer p.mu.Unlock()
	hosts := slices.Clone(p.hosts)
	if p.cfg.Shuffle {
		rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	}
	wrong := func(h *host) int {
		if !h.wrongRole.IsZero() && time.Since(h.wrongRole) < roleMemory {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(hosts, func(a, b *host) int { return wrong(a) - wrong(b) })
	return hosts
}

// checkRole asks the server of a session just opened what it is, and gives the
// session up if the server may not be used.
func (p *Pool) checkRole(ctx context.Context, s *Session, want Target) error {
	err := p.judge(ctx, s, want)
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sessions = append(p.sessions, s)
		s.leaving.Store(true)
		p.endIfUnused(s)
	}
	return err
}

// judge asks the server of a session what it is, and returns an error if the server
// may not be used. A server that refuses to tell its role may be used.
func (p *Pool) judge(ctx context.Context, s *Session, want Target) error {
	if p.cfg.Target == AnyRole {
		return nil
	}
	ctx, cancel := p.patience(ctx)
	defer cancel()
	var settings wire.DatabaseSettings
	f := s.Call(ctx, wire.MethodDatabaseSettings, nil, &settings)
	if f != nil && f.Fate == wire.Refused {
		return nil
	}
	if f != nil {
		return s.host.failed(f)
	}
	p.noteSettings(s.host, &settings)
	var err error
	switch {
	case settings.Replica && want == Primary:
		err = &HostError{Addr: s.host.addr, Failure: &wire.Failure{
			Fate: wire.Refused, Class: wire.Replica, Code: codes.FailedPrecondition, SQLState: "25006",
			Message: "the database is a replica, and target_session_attrs asks for a primary: promote it, or add its primary to the hosts",
		}}
	case !settings.Replica && want == Standby:
		err = &HostError{Addr: s.host.addr, Failure: &wire.Failure{
			Fate: wire.Refused, Code: codes.FailedPrecondition,
			Message: notAReplica,
		}}
	case want == Primary && len(p.hosts) > 1:
		err = p.mayWrite(ctx, s)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.host.wrongRole = time.Time{}
	if isWrongRole(err) {
		s.host.wrongRole = time.Now()
	}
	return err
}

// noteSettings remembers what a server has said of its database.
func (p *Pool) noteSettings(h *host, settings *wire.DatabaseSettings) {
	p.mu.Lock()
	p.noteRole(h, settings.Replica)
	p.mu.Unlock()
	h.sync.Store(settings.Replica && settings.Sync)
	h.waits.Store(!settings.Replica && settings.SyncAcks > 0)
}

// sessionOn returns a session on h that its server knows, as far as is known, or nil.
func (p *Pool) sessionOn(h *host) *Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.IndexFunc(p.sessions, func(s *Session) bool { return s.host == h && !s.alone && !s.ended && !s.doubtful() })
	if at < 0 {
		return nil
	}
	return p.sessions[at]
}

// askIfItWaits asks a server on which a call has long had no answer whether its commits
// wait for replicas, for [Session.Explain]: where any role will do it is not asked before.
func (p *Pool) askIfItWaits(ctx context.Context, h *host) {
	s := p.sessionOn(h)
	if s == nil {
		return
	}
	var settings wire.DatabaseSettings
	// Not as a call of the session: one without an answer would count as its use.
	if h.channel().Call(&callContext{ctx, s.md}, wire.MethodDatabaseSettings, nil, &settings) == nil {
		p.noteSettings(h, &settings)
	}
}

// noteRole remembers the role of a server. A primary that has become a replica
// follows another one: it is not held against it any more that it was written to. mu is
// held.
func (p *Pool) noteRole(h *host, isReplica bool) {
	before := h.role
	h.role = primary
	if isReplica {
		h.role, h.written = replica, false
	}
	if before != unasked && before != h.role {
		p.cfg.Log.Warn("immudb role changed", slog.String("host", h.addr), slog.String("before", before.String()), slog.String("now", h.role.String()))
	}
}

// failed is the error for a call to the server that got no answer.
func (h *host) failed(f *wire.Failure) *HostError {
	err := &HostError{Addr: h.addr, Failure: f, Connect: h.lastAttempt()}
	if f.Ended != nil { // callers do not end the context: connect_timeout does, or Close
		err.Err = ErrConnectTimeout
	}
	return err
}

// SetAside tells the pool that the session's server has refused a write because it
// is a replica. Where a primary is asked for and may be elsewhere, the sessions on
// that server are retired, and moved is true: the call may be made again.
func (s *Session) SetAside() (moved bool) {
	p := s.pool
	if p.cfg.Target != Primary || len(p.hosts) == 1 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noteRole(s.host, true)
	p.setAside(s, "immudb server is a replica, another is looked for")
	return true
}

// Behind tells the pool that the session's server lacks part of the history that the
// caller trusts. Where there are others, the sessions on it are retired, and moved is
// true: the question may be asked again.
func (s *Session) Behind() (moved bool) {
	p := s.pool
	if len(p.hosts) == 1 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setAside(s, "immudb server lacks transactions that are trusted, another is looked for")
	return true
}

// setAside retires the sessions on the server of s, which is tried after the others
// for a while. mu is held.
func (p *Pool) setAside(s *Session, why string) {
	if !s.leaving.Load() {
		p.cfg.Log.Warn(why, slog.String("host", s.host.addr))
	}
	s.host.wrongRole = time.Now()
	for _, other := range slices.Clone(p.sessions) {
		if other.host == s.host {
			other.leaving.Store(true)
			p.endIfUnused(other)
		}
	}
}

// Explain adds to a failure, if the call ended without an answer, that the server
// waits for its replicas before it answers, where it has said so.
func (s *Session) Explain(f *wire.Failure) {
	if f.Ended != nil && s.host.waits.Load() {
		f.Ended = &awaitsReplicas{s.host.addr, f.Ended}
	}
}

// awaitsReplicas is the end of a caller's context during a call to a primary that
// replicates synchronously.
type awaitsReplicas struct {
	addr string
	err  error
}

func (e *awaitsReplicas) Error() string {
	return e.err.Error() + " (the primary " + e.addr + " replicates synchronously: it waits for its replicas before it answers; check that enough of them follow)"
}

func (e *awaitsReplicas) Unwrap() error { return e.err }
