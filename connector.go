package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/immudb-go/immudb/internal/wire"
)

var (
	_ driver.Connector = (*Connector)(nil)
	_ io.Closer        = (*Connector)(nil)
)

// Connector opens connections for one [Config]. It owns what they share: one
// gRPC channel per host, the sessions not in use, one goroutine that keeps
// sessions alive. sql.DB.Close closes it.
type Connector struct {
	cfg   *Config
	log   *slog.Logger
	hosts []*host

	texts   textCache
	catalog catalog
	lanes   lanes

	mu       sync.Mutex
	idle     []*session            // the warmest last
	leased   map[*session]struct{} // sessions of open connections
	released chan struct{}         // closed, and replaced, when a session comes back
	closed   bool
	stop     context.CancelFunc // ends keepSessions; nil until there is a session
	stopped  sync.WaitGroup
}

// host is a server with the channel to it, which connects when first used and
// again whenever it must.
type host struct {
	addr string
	cc   *grpc.ClientConn
}

// NewConnector prepares connections for cfg, which it copies. It does not
// connect: the first use of the sql.DB made from it does.
//
//	db := sql.OpenDB(connector)
func NewConnector(cfg *Config) (*Connector, error) {
	cfg = cfg.Clone()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Connector{
		cfg:      cfg,
		log:      cfg.Logger,
		leased:   make(map[*session]struct{}),
		released: make(chan struct{}),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	for _, addr := range cfg.Hosts {
		cc, err := dial(cfg, addr)
		if err != nil {
			c.closeHosts()
			return nil, err
		}
		c.hosts = append(c.hosts, &host{addr, cc})
	}
	return c, nil
}

func dial(cfg *Config, addr string) (*grpc.ClientConn, error) {
	name, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("immudb: host %q: %w", addr, err)
	}
	tlsConfig, err := cfg.tlsConfig(name)
	if err != nil {
		return nil, err
	}
	creds := insecure.NewCredentials()
	if tlsConfig != nil {
		creds = credentials.NewTLS(tlsConfig)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(wire.CallOptions()...),
		grpc.WithDisableServiceConfig(),
		// Whether a call may be sent again is for this package to decide.
		grpc.WithDisableRetry(),
		// A server that comes back is found within a second.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: cfg.ConnectTimeout,
		}),
	}
	if cfg.DialContext != nil {
		options = append(options, grpc.WithContextDialer(cfg.DialContext))
	}
	cc, err := grpc.NewClient("passthrough:///"+addr, append(options, cfg.DialOptions...)...)
	if err != nil {
		return nil, fmt.Errorf("immudb: host %q: %w", addr, err)
	}
	return cc, nil
}

// Driver returns the driver, as driver.Connector demands.
func (c *Connector) Driver() driver.Driver { return &Driver{} }

// Connect returns a connection with a session of its own: a warm one if there
// is one, which costs no round trip, else a new one. While the server has no
// session to give, Connect waits for one within ctx and connect_timeout.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	s, err := c.lease(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{connector: c, session: s}, nil
}

var errClosed = errors.New("immudb: connector is closed")

// lease hands out a session that the caller owns until release or drop.
func (c *Connector) lease(ctx context.Context) (*session, error) {
	var patience <-chan time.Time // never, without connect_timeout
	if c.cfg.ConnectTimeout > 0 {
		patience = time.After(c.cfg.ConnectTimeout)
	}
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, 500*time.Millisecond) {
		s, released, err := c.takeIdle()
		if err != nil {
			return nil, err
		}
		if s != nil {
			if !s.suspect.Load() || s.keepAlive(ctx) == nil {
				return s, nil
			}
			c.drop(s)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			continue
		}
		s, err = c.open(ctx)
		if err == nil {
			return s, c.adopt(s)
		}
		if !errors.Is(err, ErrMaxSessions) {
			return nil, err
		}
		again := time.NewTimer(delay/2 + rand.N(delay))
		select {
		case <-released:
		case <-again.C:
		case <-patience:
			return nil, maxSessionsError(err, errConnectTimeout)
		case <-ctx.Done():
			again.Stop()
			return nil, maxSessionsError(err, ctx.Err())
		}
		again.Stop()
	}
}

var errConnectTimeout = errors.New("connect_timeout passed")

// maxSessionsError says what to do about a server that has no session left.
// waited is why the wait for one ended.
func maxSessionsError(refused, waited error) error {
	e := &Error{
		Message: "the server allows no more sessions: keep SetMaxOpenConns below its limit (max-sessions, 100 by default), " +
			"or lower max_idle_sessions in the programs that share it",
		SQLState: "53300",
		kind:     ErrMaxSessions,
		cause:    waited,
		safe:     true,
	}
	var answer *Error
	if errors.As(refused, &answer) {
		e.GRPC = answer.GRPC
	}
	return e
}

// takeIdle leases the warmest idle session, or returns a channel that is closed
// when one comes back.
func (c *Connector) takeIdle() (*session, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, errClosed
	}
	if len(c.idle) == 0 {
		return nil, c.released, nil
	}
	s := c.idle[len(c.idle)-1]
	c.idle[len(c.idle)-1] = nil
	c.idle = c.idle[:len(c.idle)-1]
	c.leased[s] = struct{}{}
	return s, nil, nil
}

// open opens a session on the first host that has one to give. An answer that
// would be the same anywhere (a wrong password, no such database) is final.
func (c *Connector) open(ctx context.Context) (*session, error) {
	req := wire.OpenSessionRequest(c.cfg.User, c.cfg.Password, c.cfg.Database)
	var failed []error
	for _, h := range c.hosts {
		s, err := c.openOn(ctx, h, req)
		if err == nil {
			return s, nil
		}
		failed = append(failed, err)
		var e *Error
		elsewhere := errors.As(err, &e) && (e.kind == nil && e.SQLState == "" || e.kind == ErrMaxSessions)
		if ctx.Err() != nil || !elsewhere {
			break
		}
	}
	return nil, errors.Join(failed...)
}

// reconnectPatience is how long a connection is waited for on a channel that has
// failed before: long enough for a server on its way up, short enough for an
// error to come at once.
const reconnectPatience = time.Second

// openOn opens a session on h within connect_timeout.
func (c *Connector) openOn(ctx context.Context, h *host, req []byte) (*session, error) {
	timed, cancel := ctx, context.CancelFunc(func() {})
	if c.cfg.ConnectTimeout > 0 {
		timed, cancel = context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	}
	defer cancel()
	wasDown := h.cc.GetState() == connectivity.TransientFailure
	var ans wire.Session
	sent, err := wire.Call(timed, h.cc, wire.MethodOpenSession, req, &ans)
	if err != nil && !sent && wasDown {
		// That was the channel's last failure, told again while it waits for its
		// next try. Have it try now.
		h.cc.ResetConnectBackoff()
		again, cancel := context.WithTimeout(timed, reconnectPatience)
		defer cancel()
		if _, again := wire.Call(again, h.cc, wire.MethodOpenSession, req, &ans, grpc.WaitForReady(true)); again == nil || status.Code(again) != codes.DeadlineExceeded {
			err = again
		}
	}
	if err != nil {
		switch e := classify(timed, err).(type) {
		case *Error:
			e.Message = "connect to " + h.addr + ": " + e.Message
			if e.kind == ErrNoSuchDatabase {
				e.Message += " (" + c.cfg.Database + ")"
			}
			return nil, e
		default:
			if ctx.Err() == nil {
				return nil, &Error{Message: "connect to " + h.addr, GRPC: codes.DeadlineExceeded, cause: errConnectTimeout, safe: true}
			}
			return nil, fmt.Errorf("immudb: connect to %s: %w", h.addr, e)
		}
	}
	s := &session{addr: h.addr, cc: h.cc, tokens: SessionTokens{ServerUUID: ans.ServerUUID, SessionID: ans.ID}}
	s.md = s.tokens.metadata(TransactionTokens{})
	s.lastCall.Store(time.Now().UnixNano())
	return s, nil
}

// adopt makes the connector the owner of a session just opened and leased.
func (c *Connector) adopt(s *session) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		go c.closeSessions(s) // the caller waits for nothing
		return errClosed
	}
	c.leased[s] = struct{}{}
	if c.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		c.stop = cancel
		c.stopped.Go(func() { c.keepSessions(ctx) })
	}
	return nil
}

// release takes a leased session back: into the pool if it is worth keeping and
// there is room, else it is closed.
func (c *Connector) release(s *session) {
	c.mu.Lock()
	delete(c.leased, s)
	keep := !c.closed && len(c.idle) < c.cfg.MaxIdleSessions
	if keep {
		s.idleSince = time.Now()
		c.idle = append(c.idle, s)
		close(c.released)
		c.released = make(chan struct{})
	}
	c.mu.Unlock()
	if !keep {
		c.closeSessions(s)
		c.closeHostsWhenUnused()
	}
}

// drop forgets a leased session that the server does not know any more, or whose
// state is not known to us: then it is closed, so that nothing of it goes on.
func (c *Connector) drop(s *session) {
	c.mu.Lock()
	delete(c.leased, s)
	c.mu.Unlock()
	c.closeSessions(s)
	c.closeHostsWhenUnused()
}

// sessionLost marks every session of the server as suspect: when one is gone,
// the others probably are, and asking is cheaper than failing a call for each.
func (c *Connector) sessionLost(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for other := range c.leased {
		other.suspect.Store(other.addr == s.addr || other.suspect.Load())
	}
	for _, other := range c.idle {
		other.suspect.Store(other.addr == s.addr || other.suspect.Load())
	}
	c.log.Info("immudb session lost", slog.String("host", s.addr))
}

// closeSessions ends the sessions on the server, side by side.
func (c *Connector) closeSessions(sessions ...*session) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range sessions {
		wg.Go(func() { s.close(ctx) })
	}
	wg.Wait()
}

// Close ends the idle sessions and the goroutine that kept them. Connections
// still open stay usable; the last one to be closed closes the channels.
// sql.DB.Close calls it.
func (c *Connector) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	idle := c.idle
	c.idle = nil
	stop := c.stop
	c.mu.Unlock()
	if stop != nil {
		stop()
		c.stopped.Wait()
	}
	c.closeSessions(idle...)
	c.closeHostsWhenUnused()
	return nil
}

// closeHostsWhenUnused closes the channels of a closed connector once no
// connection uses them.
func (c *Connector) closeHostsWhenUnused() {
	c.mu.Lock()
	unused := c.closed && len(c.leased) == 0
	c.mu.Unlock()
	if unused {
		c.closeHosts()
	}
}

func (c *Connector) closeHosts() {
	for _, h := range c.hosts {
		_ = h.cc.Close() // fails only when it is closed already
	}
}
