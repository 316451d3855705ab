package session

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/immudb-go/immudb/internal/wire"
)

// Config says what a Pool connects to and how.
type Config struct {
	Hosts   []HostConfig // in the order tried
	Target  Target       // which of them may be used
	Shuffle bool         // they are tried in random order, and none is preferred
	// OpenSession returns the request to open a session, see [wire.OpenSessionRequest], or a
	// *RequestError. refused is nil, or the request that the server has just refused because
	// of its user or password; then nil means that there is no other.
	OpenSession    func(ctx context.Context, refused []byte) ([]byte, error)
	ConnectTimeout time.Duration // bounds the wait for a session; 0: only the caller's context does
	KeepAlive      time.Duration // 0: sessions are not kept alive
	IdleTimeout    time.Duration // 0: unused sessions are kept
	MaxSessions    int           // on one server
	Log            *slog.Logger
	// Opening is called before a session is opened, and its result when that has ended.
	// The opening uses the context. nil: nothing is called.
	Opening func(ctx context.Context, addr string) (context.Context, func(error))
	// Metadata returns the gRPC metadata of a call in a session; tx is the id of the
	// transaction, or "" outside one.
	Metadata func(serverUUID, session, tx string) metadata.MD
}

// Pool holds the sessions of one connector. Its methods may be called from several
// goroutines at once.
type Pool struct {
	cfg   Config
	hosts []*host

	mu       sync.Mutex
	sessions []*Session    // on the servers, those being closed included
	leases   int           // how many have not been released
	opening  *opening      // the session to share that is being opened, or nil
	tried    time.Time     // when the last opening ended
	last     *host         // the server of the session opened last
	freed    chan struct{} // closed, and replaced, when waiting leases should look for a session again
	closed   bool
	lineage  lineage
	keeping  chan struct{} // ends the keep-alive loop when closed; nil: the loop does not run

	resting     bool        // see rest.go
	unusedSince time.Time   // when the last lease was released
	restTimer   *time.Timer // calls rest; nil before the first lease is released

	jobs   int                // goroutines that open, keep, close and undo
	idle   *sync.Cond         // on mu: jobs may have become 0
	quit   chan struct{}      // closed with the pool
	ctx    context.Context    // of jobs begun before Close
	giveUp context.CancelFunc // ends ctx
}

// ErrClosed is the error of a pool that was closed.
var ErrClosed = errors.New("connector is closed")

// New makes a pool. It does not connect.
func New(cfg Config) (*Pool, error) {
	p := &Pool{cfg: cfg, freed: make(chan struct{}), quit: make(chan struct{})}
	p.idle = sync.NewCond(&p.mu)
	p.ctx, p.giveUp = context.WithCancel(context.Background())
	for _, hc := range cfg.Hosts {
		h, err := newHost(hc, cfg.ConnectTimeout, cfg.Log, p.askIfItWaits)
		if err != nil {
			p.closeHosts()
			return nil, &HostError{Addr: hc.Addr, Err: err}
		}
		p.hosts = append(p.hosts, h)
	}
	return p, nil
}

// Close closes the sessions that no lease uses, and waits for the pool's background
// jobs. Leases stay usable; the last one to be released closes the connections.
// Close waits for a server that does not answer for closeTimeout at most.
func (p *Pool) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	close(p.quit)
	if p.restTimer != nil {
		p.restTimer.Stop()
	}
	p.stopKeeping()
	p.signalFreed()
	p.endUnused()
	late := time.AfterFunc(closeTimeout, p.giveUp)
	p.waitForJobs()
	p.mu.Unlock()
	late.Stop()
	p.closeHostsWhenUnused()
}

// ending reports that the pool is closed or rests.
func (p *Pool) ending() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed || p.resting
}

// endUnused closes the sessions that endIfUnused closes. mu is held.
func (p *Pool) endUnused() {
	for _, s := range slices.Clone(p.sessions) {
		p.endIfUnused(s)
	}
}

// closeHostsWhenUnused closes the channels of a pool that is closed or rests, once
// it has no lease, no session and no job.
func (p *Pool) closeHostsWhenUnused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if (p.closed || p.resting) && p.leases == 0 && len(p.sessions) == 0 && p.jobs == 0 {
		p.closeHosts()
	}
}

func (p *Pool) closeHosts() {
	for _, h := range p.hosts {
		h.close()
	}
}

// start starts a job: a goroutine that Close waits for. Its context ends when
// Close has waited for closeTimeout. A job started after Close has closeTimeout
// from its own start. mu is held.
func (p *Pool) start(job func(ctx context.Context)) {
	ctx, cancel := p.ctx, context.CancelFunc(func() {})
	if p.closed {
		ctx, cancel = context.WithTimeout(context.Background(), closeTimeout)
	}
	p.jobs++
	go func() {
		defer func() {
			cancel()
			p.mu.Lock()
			p.jobs--
			p.mu.Unlock()
			p.idle.Broadcast()
			p.closeHostsWhenUnused()
		}()
		job(ctx)
	}()
}

// waitForJobs waits until no job is left. mu is held at the beginning and the end.
func (p *Pool) waitForJobs() {
	for p.jobs > 0 {
		p.idle.Wait()
	}
}

// patience bounds ctx by connect_timeout.
func (p *Pool) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.cfg.ConnectTimeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, p.cfg.ConnectTimeout)
}

// lost removes a session that its server does not know. The other sessions on that
// server are probably lost too, so they become doubtful: asking about each before
// its next use is cheaper than a failed call in each.
func (p *Pool) lost(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.ended {
		return // closed by us, or known to be lost
	}
	s.ended = true
	s.leaving.Store(true)
	s.host.epoch.Add(1)
	s.host.count.lost.Add(1)
	p.forget(s)
	p.cfg.Log.Info("immudb session lost", slog.String("host", s.host.addr))
	// If several servers share one address, the session may still exist on another
	// one of them: close it there.
	p.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		s.Call(ctx, wire.MethodCloseSession, nil, wire.Empty)
	})
}

// retire makes leases move from the session to another one, and closes it as soon
// as no transaction is open in it.
func (p *Pool) retire(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.leaving.Store(true)
	p.endIfUnused(s)
}

// retireGently is retire for a session that still works but may hold a transaction
// that cannot be named. If it is the last session, it is kept until another has
// been opened: on a bad network a login may be the costliest call, because each one
// whose answer is lost leaves a session on the server until that expires.
func (p *Pool) retireGently(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.serves = true
	s.leaving.Store(true)
	p.endIfUnused(s)
	if !s.ended && p.opening == nil && p.needed(s) && p.room() {
		p.opening = p.open(context.Background(), nil)
	}
}

// endIfUnused closes a session that is leaving, or that no lease uses in a pool that
// is closed or rests. It keeps the session while a transaction is open in it, or while it is
// needed. mu is held.
func (p *Pool) endIfUnused(s *Session) {
	toGo := s.leaving.Load() || (p.closed || p.resting) && s.leases.Load() == 0
	if s.ended || !toGo || s.txs > 0 || p.needed(s) {
		return
	}
	s.ended = true
	s.leaving.Store(true)
	s.host.count.retired.Add(1)
	p.start(func(ctx context.Context) {
		s.closeOnServer(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.forget(s)
	})
}

// needed reports whether s is a leaving session that works, the last one that the
// leases can share, and another can be opened beside it. mu is held.
func (p *Pool) needed(s *Session) bool {
	if p.closed || !s.serves || s.alone || s.leases.Load() == 0 || p.cfg.MaxSessions == 1 {
		return false
	}
	return !slices.ContainsFunc(p.sessions, func(other *Session) bool { return other != s && !other.alone && !other.ended })
}

// forget removes a session from the pool; it no longer counts against max_sessions.
// mu is held.
func (p *Pool) forget(s *Session) {
	at := slices.Index(p.sessions, s)
	if at < 0 {
		return
	}
	p.sessions = slices.Delete(p.sessions, at, at+1)
	s.host.sessions--
	p.signalFreed()
}

// signalFreed wakes the leases that wait for a session. mu is held.
func (p *Pool) signalFreed() {
	close(p.freed)
	p.freed = make(chan struct{})
}
