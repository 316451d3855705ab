package session

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/wire"
)

// Target says which servers may be used.
type Target uint8

const (
	AnyRole Target = iota // all; no server is asked what it is
	Primary               // those that take writes
	Standby               // those that replicate another server
)

// notAReplica is the message about a primary where a replica is asked for.
const notAReplica = "the database is a primary, and target_session_attrs asks for a replica"

// roleMemory is how long a server of the wrong role is tried after the others.
const roleMemory = 5 * time.Second

// inOrder returns the servers in the order to try them: as configured, and those
// of late found to be of the wrong role last.
func (p *Pool) inOrder() []*host {
	p.mu.Lock()
	defer p.mu.Unlock()
	hosts := slices.Clone(p.hosts)
	wrong := func(h *host) int {
		if time.Since(h.wrongRole) < roleMemory {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(hosts, func(a, b *host) int { return wrong(a) - wrong(b) })
	return hosts
}

// checkRole asks the server of a session just opened what it is, and gives the
// session up if the server may not be used. A server that refuses to tell may be.
func (p *Pool) checkRole(ctx context.Context, s *Session) error {
	if p.cfg.Target == AnyRole {
		return nil
	}
	ctx, cancel := p.patience(ctx)
	defer cancel()
	var settings wire.DatabaseSettings
	f := s.Call(ctx, wire.MethodDatabaseSettings, nil, &settings)
	if f == nil {
		p.mu.Lock()
		p.noteRole(s.host, settings.Replica)
		p.mu.Unlock()
	}
	var err *HostError
	switch {
	case f != nil && f.Fate == wire.Refused:
		return nil
	case f != nil:
		err = &HostError{Addr: s.host.addr, Failure: f}
		if f.Ended != nil { // but for Close, that is connect_timeout
			err.Err = ErrConnectTimeout
		}
	case settings.Replica && p.cfg.Target == Primary:
		err = &HostError{Addr: s.host.addr, Failure: &wire.Failure{
			Fate: wire.Refused, Class: wire.Replica, Code: codes.FailedPrecondition, SQLState: "25006",
			Message: "the database is a replica, and target_session_attrs asks for a primary",
		}}
	case !settings.Replica && p.cfg.Target == Standby:
		err = &HostError{Addr: s.host.addr, Failure: &wire.Failure{
			Fate: wire.Refused, Code: codes.FailedPrecondition,
			Message: notAReplica,
		}}
	default:
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f == nil {
		s.host.wrongRole = time.Now()
	}
	p.sessions = append(p.sessions, s)
	s.leaving.Store(true)
	p.endIfUnused(s)
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
	if !s.leaving.Load() {
		p.cfg.Log.Warn("immudb server is a replica, another is looked for", slog.String("host", s.host.addr))
	}
	p.noteRole(s.host, true)
	s.host.wrongRole = time.Now()
	for _, other := range slices.Clone(p.sessions) {
		if other.host == s.host {
			other.leaving.Store(true)
			p.endIfUnused(other)
		}
	}
	return true
}
