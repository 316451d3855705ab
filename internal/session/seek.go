package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/immudb-go/immudb/internal/wire"
)

// seeker is the goroutine that asks the replicas.
type seeker struct {
	*Replicas
	lease  *Lease    // nil: none could be had
	judged time.Time // when the server was last asked what it is
	pause  time.Duration
	floors time.Time // when the primary was last asked
	trails bool      // the replica would be used if it had what was read
}

// run looks for replicas when it is wanted, until ctx ends, and goes on by itself while
// the replica does not have what was read.
func (r *seeker) run(ctx context.Context) {
	defer func() {
		r.unlink(nil)
		if r.lease != nil {
			r.lease.drop()
		}
	}()
	var last time.Time // when it was last wanted
	var slower time.Duration
	for {
		if !r.behind() || time.Since(last) > catchUpPatience {
			select {
			case <-ctx.Done():
				return
			case <-r.wanted:
				last, slower = time.Now(), 0
			}
		} else {
			select {
			case <-r.wanted:
				last, slower = time.Now(), 0
			default:
				slower = min(slower+slower/4+replicaPause/4, catchUpPause)
			}
		}
		r.raiseFloor(ctx)
		pause := time.NewTimer(r.ask(ctx) + slower)
		r.asked.Do(func() { close(r.first) })
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// behind reports whether reads go to the primary only because the replica does not have
// what was read or committed, or is not known to.
func (r *seeker) behind() bool {
	l := r.link.Load()
	return r.trails || l != nil && (l.head.Load() < r.floor.Load() || r.covered.Load() < r.seen.Load())
}

// raiseFloor takes into account what the primary has answered. It must be soon after the
// answers, and before the replica is asked what it has.
func (r *seeker) raiseFloor(ctx context.Context) {
	g := r.seen.Load()
	if r.covered.Load() >= g || time.Since(r.floors) < floorPause {
		return
	}
	r.floors = time.Now()
	ctx, cancel := context.WithTimeout(ctx, replicaPatience)
	defer cancel()
	tx, ok := r.askPrimary(func() (uint64, bool) { return r.primary.head(ctx) })
	if ok {
		raise(&r.floor, tx)
		raise(&r.covered, g)
	}
}

// head asks the server of a session for the newest transaction of its database.
func (p *Pool) head(ctx context.Context) (tx uint64, ok bool) {
	p.mu.Lock()
	s, _ := p.best()
	p.mu.Unlock()
	if s == nil || s.leaving.Load() || s.doubtful() {
		return 0, false
	}
	tx, f := s.Head(ctx)
	return tx, f == nil
}

// none returns how long to wait after no replica was found. Each attempt may cost the
// primary a login.
func (r *seeker) none() time.Duration {
	r.pause = min(max(2*r.pause, lookPause), 8*lookPause)
	return r.pause
}

// ask brings what is known of the replica up to date, and returns how long to wait
// before it is asked again.
func (r *seeker) ask(ctx context.Context) time.Duration {
	p := r.pool
	r.trails = false
	if r.lease == nil {
		lease, err := p.Lease(ctx)
		if err != nil {
			return r.none()
		}
		r.lease, r.judged = lease, time.Now()
	}
	s := r.lease.Session()
	if s.leaving.Load() {
		if err := r.lease.Move(ctx, s); err != nil {
			return r.none()
		}
		s, r.judged = r.lease.Session(), time.Now()
	}
	own, cancel := context.WithTimeout(ctx, replicaPatience)
	defer cancel()
	epoch := s.host.epoch.Load()
	head, f := s.Head(own)
	switch {
	case ctx.Err() != nil:
		return lookPause
	case f != nil && f.Fate == wire.NoSession:
		p.lost(s)
		r.look()
		return replicaPause
	case f != nil:
		r.giveUp(s, "immudb replica does not answer, another is looked for")
		return lookPause
	}
	s.confirmed.Store(epoch)
	if s.host.sync.Load() {
		// Its queries wait for transactions that it has but may not show yet: if it loses
		// its primary then, for ever.
		r.giveUp(s, "immudb replica replicates synchronously, it is not read from")
		return r.none()
	}
	r.pause = 0
	if time.Since(r.judged) > roleMemory {
		if err := p.judge(own, s, Standby); err != nil {
			r.giveUp(s, "immudb server is not a replica any more, another is looked for")
			return lookPause
		}
		r.judged = time.Now()
	}
	floor := r.floor.Load()
	r.lag.Store(floor - min(head, floor))
	if l := r.link.Load(); l != nil && l.session == s {
		raise(&l.head, head)
		return replicaPause
	}
	p.mu.Lock()
	stale := time.Since(s.host.stale) < stalePause
	p.mu.Unlock()
	if stale {
		return lookPause
	}
	if r.trails = head < floor; r.trails {
		// A catalog that is read before the change of the schema is there stays as it was.
		return replicaPause
	}
	if r.blocked.Load() {
		if wait := schemaPause - time.Since(time.Unix(0, r.changed.Load())); wait > 0 {
			return wait
		}
		if !r.fits(own, r.lease) || r.lease.Session() != s {
			return lookPause
		}
	}
	r.unlink(nil)
	l := &Link{replicas: r.Replicas, session: s}
	l.head.Store(head)
	r.mu.Lock()
	r.link.Store(l)
	r.mu.Unlock()
	if r.blocked.Load() && !r.fits(own, r.lease) {
		r.unlink(l) // the schema has changed meanwhile
	}
	p.cfg.Log.Info("immudb reads go to a replica", slog.String("host", s.host.addr), slog.Uint64("tx", head))
	return replicaPause
}

// giveUp leaves the server of a session.
func (r *seeker) giveUp(s *Session, why string) {
	r.unlink(nil)
	p := r.pool
	p.mu.Lock()
	p.setAside(s, why)
	p.mu.Unlock()
	r.look()
}
