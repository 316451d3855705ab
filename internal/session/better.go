package session

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/immudb-go/immudb/internal/wire"
)

// rank says how much a server is preferred; less is better. mu is held.
func (p *Pool) rank(h *host) int {
	r := 0
	if !p.cfg.Shuffle {
		r = slices.Index(p.hosts, h)
	}
	if p.cfg.Target == PreferStandby && h.role != replica {
		r += len(p.hosts)
	}
	return r
}

// bestRank is the rank of a server if it has the role asked for. mu is held.
func (p *Pool) bestRank(h *host) int {
	if p.cfg.Shuffle {
		return 0
	}
	return slices.Index(p.hosts, h)
}

// leaveWorse makes the leases move to s from the sessions on servers that are less
// preferred. Transactions end where they began. mu is held.
func (p *Pool) leaveWorse(s *Session) {
	if s.alone {
		return
	}
	for _, other := range slices.Clone(p.sessions) {
		if other.alone || other.ended || other.leaving.Load() || p.rank(other.host) <= p.rank(s.host) {
			continue
		}
		p.cfg.Log.Info("immudb sessions move to a preferred server", slog.String("from", other.host.addr), slog.String("to", s.host.addr))
		other.leaving.Store(true)
		p.endIfUnused(other)
	}
}

// lookForBetter runs until quit is closed. It follows the primary in use. While sessions
// are on a server that is not the most preferred, it asks the better ones whether they can
// be used again.
func (p *Pool) lookForBetter(ctx context.Context, quit <-chan struct{}) {
	look := time.NewTicker(lookPause)
	defer look.Stop()
	for {
		select {
		case <-quit:
			return
		case <-look.C:
		}
		p.followPrimary(ctx)
		p.leaveStrays()
		for _, h := range p.betterHosts() {
			if p.tryBetter(ctx, h) {
				break
			}
		}
	}
}

// leaveStrays makes the leases move from sessions on less preferred servers while the most
// preferred one of those in use has sessions to share: an opening that began while a server was away
// may end when the work has returned to it.
func (p *Pool) leaveStrays() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var best *Session
	for _, s := range p.sessions {
		usable := !s.alone && !s.ended && !s.leaving.Load() && !s.doubtful()
		if usable && (best == nil || p.rank(s.host) < p.rank(best.host)) {
			best = s
		}
	}
	// Without room there, the next session would be opened on another server again.
	if best != nil && p.hasRoom(best.host) {
		p.leaveWorse(best)
	}
}

// betterHosts returns, best first, the servers that are preferred to the one that
// the shared sessions are on.
func (p *Pool) betterHosts() []*host {
	p.mu.Lock()
	defer p.mu.Unlock()
	worst := -1
	for _, s := range p.sessions {
		if !s.alone && !s.ended && !s.leaving.Load() {
			worst = max(worst, p.rank(s.host))
		}
	}
	var better []*host
	for _, h := range p.hosts {
		inUse := slices.ContainsFunc(p.sessions, func(s *Session) bool {
			return s.host == h && !s.alone && !s.ended && !s.leaving.Load() && !s.doubtful()
		})
		if !inUse && p.bestRank(h) < worst {
			better = append(better, h)
		}
	}
	return better
}

// tryBetter asks a server whether it can be used, and moves the leases to it if so.
// The session that asked a server that cannot be used is kept, to ask again: a login
// costs the server far more than a question.
func (p *Pool) tryBetter(ctx context.Context, h *host) (moved bool) {
	if h.down() {
		h.tryNow()
	}
	if !h.connects(ctx) {
		return false
	}
	s := p.candidate(ctx, h)
	if s == nil {
		return false
	}
	want := p.cfg.Target
	if want == PreferStandby {
		want = Standby
	}
	err := p.judge(ctx, s, want)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case s.ended:
	case err != nil && isWrongRole(err) && s.alone:
		h.scout = s
	case err != nil:
		s.leaving.Store(true)
		p.endIfUnused(s)
	default:
		s.alone, s.idleSince = false, time.Now()
		p.noteServer(s)
		p.leaveWorse(s)
		p.signalFreed()
		return true
	}
	return false
}

// candidate returns a session on h that h knows: one from before h was away, the one
// that asked last time, or a new one, which is nobody's yet. It is nil if there is
// none.
func (p *Pool) candidate(ctx context.Context, h *host) *Session {
	for {
		p.mu.Lock()
		s := h.scout
		h.scout = nil
		if s == nil || s.leaving.Load() {
			s = nil
			for _, other := range p.sessions {
				if other.host == h && !other.alone && !other.ended && !other.leaving.Load() {
					s = other
				}
			}
		}
		p.mu.Unlock()
		if s == nil {
			break
		}
		f := s.ask(ctx, false)
		if f == nil {
			return s
		}
		if f.Fate != wire.NoSession {
			if s.alone {
				p.retire(s)
			}
			return nil
		}
		p.lost(s)
	}
	s, err := p.openOn(ctx, h, false)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.alone, s.idleSince = true, time.Now()
	p.sessions = append(p.sessions, s)
	if p.closed || p.resting {
		p.endIfUnused(s)
		return nil
	}
	return s
}
