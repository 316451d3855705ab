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
	Hosts          []HostConfig // in the order tried
	Target         Target       // which of them may be used
	OpenSession    []byte       // the request
	ConnectTimeout time.Duration
	KeepAlive      time.Duration // 0: sessions are not kept alive
	IdleTimeout    time.Duration // 0: unused sessions are kept
	MaxSessions    int           // on one server
	Log            *slog.Logger
	// Metadata is what a call of a session, inside a transaction unless tx is "",
	// carries.
	Metadata func(serverUUID, session, tx string) metadata.MD
}

// Pool is the sessions of one connector. Its methods may be called from several
// goroutines.
type Pool struct {
	cfg   Config
	hosts []*host

	mu       sync.Mutex
	sessions []*Session    // on the servers, those being closed included
	leases   int           // how many have not been released
	opening  *opening      // of a session to be shared, or nil
	tried    time.Time     // when the last opening of one ended
	freed    chan struct{} // closed, and replaced, when those who wait for a session may find one
	closed   bool
	keeping  bool // the keep-alive loop runs

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
		h, err := newHost(hc, cfg.ConnectTimeout, cfg.Log)
		if err != nil {
			p.closeHosts()
			return nil, &HostError{Addr: hc.Addr, Err: err}
		}
		p.hosts = append(p.hosts, h)
	}
	return p, nil
}

// Close ends the sessions that no lease uses, and what goes on in the background.
// Leases stay usable; the last one to be released closes the connections. A
// server that does not answer holds Close up for closeTimeout at most.
func (p *Pool) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	close(p.quit)
	p.signalFreed()
	for _, s := range slices.Clone(p.sessions) {
		p.endIfUnused(s)
	}
	late := time.AfterFunc(closeTimeout, p.giveUp)
	p.waitForJobs()
	p.mu.Unlock()
	late.Stop()
	p.closeHostsWhenUnused()
}

func (p *Pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// closeHostsWhenUnused closes the channels of a closed pool once nobody needs
// them.
func (p *Pool) closeHostsWhenUnused() {
	p.mu.Lock()
	unused := p.closed && p.leases == 0 && len(p.sessions) == 0 && p.jobs == 0
	p.mu.Unlock()
	if unused {
		p.closeHosts()
	}
}

func (p *Pool) closeHosts() {
	for _, h := range p.hosts {
		_ = h.channel.Close() // fails only when it is closed already
	}
}

// start starts a job: a goroutine that Close waits for. Its context ends when
// Close has waited for closeTimeout; that of a job begun after Close as late after
// its own beginning. mu is held.
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

// lost takes a session off the books that its server does not know. The others on
// that server are probably gone too, and become doubtful: to ask is cheaper than a
// failed call for each.
func (p *Pool) lost(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.ended {
		return // closed by us, or known to be lost
	}
	s.ended = true
	s.leaving.Store(true)
	s.host.epoch.Add(1)
	p.forget(s)
	p.cfg.Log.Info("immudb session lost", slog.String("host", s.host.addr))
	// Where several servers are behind one address, it was another that said so.
	p.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		s.Call(ctx, wire.MethodCloseSession, nil, wire.Empty)
	})
}

// retire sees to it that the session is closed as soon as no transaction is open
// in it, and that leases move to another one.
func (p *Pool) retire(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.leaving.Store(true)
	p.endIfUnused(s)
}

// retireGently is retire for a session that serves as well as before, but holds on
// to something on the server: if it is the last one, it is closed when another has
// been opened. A login is what the network can make cost most: when its answer is
// lost, a session stays on the server until it expires.
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

// endIfUnused closes a session that is to go, or any one of a closed pool, unless
// something is in the way: a transaction, or in a session that is to stay a lease.
// mu is held.
func (p *Pool) endIfUnused(s *Session) {
	toGo := s.leaving.Load() || p.closed && s.leases.Load() == 0
	if s.ended || !toGo || s.txs > 0 || p.needed(s) {
		return
	}
	s.ended = true
	s.leaving.Store(true)
	p.start(func(ctx context.Context) {
		s.closeOnServer(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.forget(s)
	})
}

// needed reports whether leases would have no session if s were closed, and another
// can be opened beside it. mu is held.
func (p *Pool) needed(s *Session) bool {
	if p.closed || !s.serves || s.alone || s.leases.Load() == 0 || p.cfg.MaxSessions == 1 {
		return false
	}
	return !slices.ContainsFunc(p.sessions, func(other *Session) bool { return other != s && !other.alone && !other.ended })
}

// forget takes a session off the books: its server has room for another one. mu
// is held.
func (p *Pool) forget(s *Session) {
	at := slices.Index(p.sessions, s)
	if at < 0 {
		return
	}
	p.sessions = slices.Delete(p.sessions, at, at+1)
	s.host.sessions--
	p.signalFreed()
}

// signalFreed wakes those who wait for a session. mu is held.
func (p *Pool) signalFreed() {
	close(p.freed)
	p.freed = make(chan struct{})
}
