package session

import (
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/connectivity"

	"github.com/immudb-go/immudb/internal/wire"
)

// counters count what happened to a server's connections and sessions. They only grow.
type counters struct {
	connects atomic.Uint64 // connections made
	opens    atomic.Uint64 // sessions opened
	refused  atomic.Uint64 // OpenSession calls that the server refused
	failed   atomic.Uint64 // OpenSession calls without an answer
	lost     atomic.Uint64 // sessions that the server did not know any more
	retired  atomic.Uint64 // sessions that the driver closed
}

// HostStats is what a pool knows of a server, see the fields of the same names in the
// driver's HostStats.
type HostStats struct {
	Addr, Role, State, ServerUUID                     string
	Sessions, InUse, Shared, Leases, Transactions     int
	Opens, Refused, Failed, Reconnects, Lost, Retired uint64
}

func (r role) String() string {
	switch r {
	case primary:
		return "primary"
	case replica:
		return "replica"
	}
	return ""
}

// Stats returns what the pool knows of each server, in the order of the configuration.
func (p *Pool) Stats() []HostStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]HostStats, len(p.hosts))
	for i, h := range p.hosts {
		all[i] = HostStats{
			Addr: h.addr, Role: h.role.String(), State: h.state(), ServerUUID: h.uuid, Sessions: h.sessions,
			Opens: h.count.opens.Load(), Refused: h.count.refused.Load(), Failed: h.count.failed.Load(),
			Reconnects: max(h.count.connects.Load(), 1) - 1, Lost: h.count.lost.Load(), Retired: h.count.retired.Load(),
		}
		for _, s := range p.sessions {
			if s.host != h {
				continue
			}
			leases := int(s.leases.Load())
			all[i].Leases += leases
			all[i].Transactions += s.txs
			if leases > 0 {
				all[i].InUse++
			}
			if leases > 1 {
				all[i].Shared++
			}
		}
	}
	return all
}

// state is the state of the channel in words.
func (h *host) state() string {
	switch h.channel().Connection().GetState() {
	case connectivity.Ready:
		return "connected"
	case connectivity.Connecting:
		return "connecting"
	case connectivity.TransientFailure:
		return "unreachable"
	case connectivity.Shutdown:
		return "closed"
	}
	return "idle"
}

// noteUsed logs when the sessions move to another server. mu is held.
func (p *Pool) noteUsed(s *Session) {
	h := s.host
	if p.last != nil && p.last != h {
		p.cfg.Log.Warn("immudb failover", slog.String("host", h.addr), slog.String("from", p.last.addr))
	}
	p.last = h
}

// noteOpened counts a session that was opened, and logs when a server is asked for very
// many.
func (p *Pool) noteOpened(h *host) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.count.opens.Add(1)
	h.refusal = time.Time{}
	now := time.Now()
	if now.Sub(h.stormFrom) >= stormWindow {
		h.stormFrom, h.stormOpens = now, 0
	}
	if h.stormOpens++; h.stormOpens == stormFactor*p.cfg.MaxSessions {
		p.cfg.Log.Warn("immudb session storm: sessions are opened again and again, each costs the server about 60 ms of CPU; look for what ends them",
			slog.String("host", h.addr), slog.Int("opened", h.stormOpens), slog.Duration("within", now.Sub(h.stormFrom).Round(time.Second)))
	}
}

// noteNotOpened counts an OpenSession that failed, and logs a refusal, at most once in
// refusalPause while a server refuses all. mu is held.
func (p *Pool) noteNotOpened(h *host, f *wire.Failure) {
	if f.Fate != wire.Refused {
		h.count.failed.Add(1)
		return
	}
	h.count.refused.Add(1)
	if time.Since(h.refusal) < refusalPause {
		return
	}
	h.refusal = time.Now()
	level, reason := slog.LevelWarn, "other"
	switch f.Class {
	case wire.Authentication:
		level, reason = slog.LevelError, "the user or the password is wrong"
	case wire.Permission:
		level, reason = slog.LevelError, "the user may not use the database"
	case wire.NoSuchDatabase:
		level, reason = slog.LevelError, "the database does not exist"
	case wire.MaxSessions:
		reason = "the server has as many sessions as it allows"
	}
	// The server's message is not logged: the driver does not know what is in it.
	p.cfg.Log.Log(p.ctx, level, "immudb login refused", slog.String("host", h.addr), slog.String("reason", reason),
		slog.String("sqlstate", f.SQLState), slog.String("code", f.Code.String()))
}
