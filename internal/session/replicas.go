package session

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immudb-go/immudb/internal/wire"
)

// Replicas decides which session serves a read: one on a replica, or none, and then the
// primary serves it. A read never waits for that decision: a goroutine asks the replicas,
// and a read uses what it knows.
//
// A read must not be older than what the connector has committed or read before. floor
// is the newest transaction that it is known to have seen. The server does not tell which
// transactions a query has seen, so each answer of the primary is counted in seen, and
// the primary is asked for its newest transaction: the answers before that question have
// seen no later one. covered is how many of them floor takes into account. The sooner after
// an answer the primary is asked, the less floor is above what the answer has seen: while
// others write all the time, a replica never has what the primary has now. So the
// goroutine asks soon after a read that the primary has served, and a read itself only if
// it comes before that.
//
// The reads go to one replica at a time, the one of link. Its own answers never go back,
// and what they have seen is only counted when another replica takes its place. A connector
// that has seen nothing may read from any replica, and then from that one for as long as it
// serves: so the first connection waits a little for a replica.
type Replicas struct {
	pool    *Pool // its sessions are on replicas
	primary *Pool
	fits    func(context.Context, *Lease) bool

	floor, seen, covered atomic.Uint64
	link                 atomic.Pointer[Link] // nil: the primary serves all reads
	blocked              atomic.Bool          // fits must be asked before a replica is used
	changed              atomic.Int64         // when the schema was last changed, as time.Time.UnixNano
	routed, fellBack     atomic.Uint64
	lag                  atomic.Uint64
	wanted               chan struct{} // holds an element when a read has missed a replica
	first                chan struct{} // closed when replicas have been asked for the first time

	asked sync.Once          // closes first
	mu    sync.Mutex         // held while link changes, too
	conns int                // connections of the connector
	quit  context.CancelFunc // ends the goroutine; nil: it does not run
	marks []mark             // what the primary had, the oldest first
}

// mark is the newest transaction that the primary had at a time, or later.
type mark struct {
	at time.Time
	tx uint64
}

// maxMarks bounds the memory for [Replicas.LeaseWithin].
const maxMarks = 64

// Link is a session on a replica that may serve reads.
type Link struct {
	replicas *Replicas
	session  *Session
	head     atomic.Uint64 // the replica has all transactions up to this one
}

// Session is the session on the replica.
func (l *Link) Session() *Session { return l.session }

// NewReplicas makes the replicas of the hosts of a pool's configuration; primary is the
// pool of what replicas do not serve. It does not connect. fits reports whether the server of a lease shows the changes of the schema
// that [Replicas.SchemaChanged] told of.
func NewReplicas(cfg Config, primary *Pool, fits func(context.Context, *Lease) bool) (*Replicas, error) {
	cfg.Target, cfg.Shuffle = Standby, true
	pool, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return &Replicas{pool: pool, primary: primary, fits: fits, wanted: make(chan struct{}, 1), first: make(chan struct{})}, nil
}

// Join counts a connection. The replicas are looked for while there is one. While the
// connector has seen nothing, Join waits for the first attempt to find one, within ctx
// and firstPatience.
func (r *Replicas) Join(ctx context.Context) {
	r.join()
	if r.floor.Load() > 0 || r.seen.Load() > 0 {
		return
	}
	patience := time.NewTimer(firstPatience)
	defer patience.Stop()
	select {
	case <-r.first:
	case <-patience.C:
	case <-ctx.Done():
	}
}

func (r *Replicas) join() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns++
	if r.quit != nil {
		return
	}
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	if r.pool.closed {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.quit = cancel
	r.look()
	r.pool.start(func(job context.Context) {
		defer context.AfterFunc(job, cancel)()
		(&seeker{Replicas: r}).run(ctx)
	})
}

// Leave takes the count of Join back.
func (r *Replicas) Leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns--; r.conns == 0 {
		r.stop()
	}
}

// Close ends the sessions and the goroutine.
func (r *Replicas) Close() {
	r.mu.Lock()
	r.stop()
	r.mu.Unlock()
	r.unlink(nil)
	r.pool.Close()
}

// stop ends the goroutine. mu is held.
func (r *Replicas) stop() {
	if r.quit != nil {
		r.quit()
		r.quit = nil
	}
}

// Committed tells of a transaction that the connector has committed.
func (r *Replicas) Committed(tx uint64) { raise(&r.floor, tx) }

// Saw tells of an answer of the primary, before the caller gets it.
func (r *Replicas) Saw() { r.seen.Add(1) }

// SchemaChanged takes the replicas out of use until they fit.
func (r *Replicas) SchemaChanged() {
	r.changed.Store(time.Now().UnixNano())
	r.blocked.Store(true)
	r.unlink(nil)
	r.look()
}

// Lease returns the link that serves a read now, or nil, and then the primary must. The
// read sees all that the connector has committed or read, and the transaction must.
// primary asks the primary for its newest transaction.
func (r *Replicas) Lease(must uint64, primary func() (tx uint64, ok bool)) *Link {
	l := r.usable()
	if l == nil || l.head.Load() < max(must, r.floor.Load()) {
		return r.miss()
	}
	if g := r.seen.Load(); r.covered.Load() < g {
		tx, ok := r.askPrimary(primary)
		if !ok {
			return r.miss()
		}
		raise(&r.floor, tx)
		raise(&r.covered, g)
	}
	if l.head.Load() < r.floor.Load() { // read again: floor is raised before covered
		return r.miss()
	}
	r.routed.Add(1)
	return l
}

// LeaseWithin is Lease for a read that may be up to age old, also older than what the
// connector has seen.
func (r *Replicas) LeaseWithin(must uint64, age time.Duration, primary func() (tx uint64, ok bool)) *Link {
	l := r.usable()
	if l == nil || l.head.Load() < must {
		return r.miss()
	}
	now := time.Now()
	r.mu.Lock()
	enough, known := uint64(0), false
	for _, m := range r.marks {
		if now.Sub(m.at) <= age {
			enough, known = m.tx, true
			break
		}
	}
	fresh := len(r.marks) > 0 && now.Sub(r.marks[len(r.marks)-1].at) <= age/4
	r.mu.Unlock()
	if !fresh {
		tx, ok := r.askPrimary(primary)
		if !ok {
			return r.miss()
		}
		if !known {
			enough = tx
		}
	}
	if l.head.Load() < enough {
		return r.miss()
	}
	r.routed.Add(1)
	return l
}

// askPrimary asks the primary for its newest transaction, and remembers the answer.
func (r *Replicas) askPrimary(primary func() (tx uint64, ok bool)) (uint64, bool) {
	at := time.Now()
	tx, ok := primary()
	if !ok {
		return 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.marks); n > 0 && at.Before(r.marks[n-1].at) {
		return tx, true
	}
	if len(r.marks) == maxMarks {
		r.marks = append(r.marks[:0], r.marks[1:]...)
	}
	r.marks = append(r.marks, mark{at, tx})
	return tx, true
}

// usable is the link, if its session may be used without asking.
func (r *Replicas) usable() *Link {
	l := r.link.Load()
	if l == nil || l.session.leaving.Load() || l.session.doubtful() {
		return nil
	}
	return l
}

// miss counts a read that the primary serves, and has the replicas asked again.
func (r *Replicas) miss() *Link {
	r.fellBack.Add(1)
	r.look()
	return nil
}

// look has the goroutine ask the replicas.
func (r *Replicas) look() {
	select {
	case r.wanted <- struct{}{}:
	default:
	}
}

// Answered tells of an answer of the replica, before the caller gets it.
func (l *Link) Answered() {
	if l.replicas.link.Load() != l {
		l.replicas.Saw()
	}
}

// Failed tells that the primary serves a read after all, because the replica has
// failed with f.
func (l *Link) Failed(f *wire.Failure) {
	r := l.replicas
	r.fellBack.Add(1)
	r.routed.Add(^uint64(0))
	switch f.Fate {
	case wire.Refused:
		return
	case wire.NoSession:
		r.pool.lost(l.session)
	}
	if f.Ended == nil {
		r.unlink(l)
		r.look()
	}
}

// Stale tells that the primary has answered what the replica could not: the replica has
// an outdated catalog. It is not used for stalePause.
func (l *Link) Stale() {
	r := l.replicas
	if !r.unlink(l) {
		return
	}
	p := r.pool
	p.mu.Lock()
	l.session.host.stale = time.Now()
	p.setAside(l.session, "immudb replica has an outdated catalog of tables, it is not read from for a while; unload and load its database, or restart it")
	p.mu.Unlock()
	r.look()
}

// unlink takes a link out of use, or with nil whichever there is. seen is raised after
// that and before there is another link: what the link's answers have seen counts from
// then on, and those that come later are told of by Answered.
func (r *Replicas) unlink(l *Link) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l == nil {
		l = r.link.Load()
	}
	if l == nil || !r.link.CompareAndSwap(l, nil) {
		return false
	}
	r.Saw()
	return true
}

// ReplicaStats is what became of reads, see the fields of the same names in the driver's
// ReplicaStats.
type ReplicaStats struct {
	Routed, FellBack, Lag uint64
	Addr                  string
}

// Stats returns what became of the reads, and what is known of each server.
func (r *Replicas) Stats() (ReplicaStats, []HostStats) {
	s := ReplicaStats{Routed: r.routed.Load(), FellBack: r.fellBack.Load(), Lag: r.lag.Load()}
	if l := r.link.Load(); l != nil {
		s.Addr = l.session.host.addr
	}
	return s, r.pool.Stats()
}

// raise sets n to at least v.
func raise(n *atomic.Uint64, v uint64) {
	for {
		old := n.Load()
		if old >= v || n.CompareAndSwap(old, v) {
			return
		}
	}
}
