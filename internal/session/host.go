package session

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"

	"github.com/immudb-go/immudb/internal/wire"
)

// HostConfig says how to reach a server.
type HostConfig struct {
	Addr        string // host:port
	Credentials credentials.TransportCredentials
	// Dial opens the connection. nil: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Options are added after this package's own, so they win.
	Options []grpc.DialOption
}

// host is a server: the channel to it, the connections beneath, and how many
// sessions of ours it has.
type host struct {
	addr  string
	ch    atomic.Pointer[wire.Channel] // see channel
	dials func() (*grpc.ClientConn, error)
	watch watch

	// epoch counts the events after which the sessions on this server are doubtful: a
	// connection broke, or the server did not know one of our sessions.
	epoch atomic.Int64
	sync  atomic.Bool // the server has said that it is a replica that replicates synchronously
	waits atomic.Bool // the server has said that its commits wait for replicas

	count counters

	attempt atomic.Pointer[error] // how the last attempt to connect ended

	// What follows is guarded by Pool.mu.
	closed    bool        // the channel is closed
	sessions  int         // on the server: used, being opened, being closed
	ghosts    []time.Time // an OpenSession whose answer was lost may have left a session: when each such has expired
	uuid      string      // the server's UUID in its last answer to OpenSession
	role      role        // what the server last said it is
	wrongRole time.Time   // when the server was last found not to be one to use; zero: it was not
	written   bool        // it was the primary of this pool, and has not been a replica since
	stale     time.Time   // when a replica was last found to have an outdated catalog
	split     bool        // it was last found to be a second primary
	scout     *Session    // asks a server that is not used whether it can be; or nil

	refusal    time.Time // when a refused login was last logged
	stormFrom  time.Time // the sessions opened since then are counted
	stormOpens int
}

// window is how many bytes of one answer the server may send before the driver
// has read them: about a message of 2,048 short rows. So at most three messages of
// an answer are in memory. The server produces 45 MB/s of rows; with this window it
// need not wait for the driver up to a round trip of 14 ms.
const window = 640 << 10

func newHost(cfg HostConfig, connectTimeout time.Duration, log *slog.Logger, silent func(context.Context, *host)) (*host, error) {
	h := &host{addr: cfg.Addr}
	h.watch = watch{host: h, log: log, silent: func(ctx context.Context) { silent(ctx, h) }}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}
	}
	if connectTimeout == 0 {
		connectTimeout = 24 * time.Hour // the callers' contexts bound their waits; the attempt goes on
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(attempts{cfg.Credentials, h}),
		grpc.WithDefaultCallOptions(wire.CallOptions()...),
		grpc.WithDisableServiceConfig(),
		// The environment's HTTPS_PROXY is ignored: only the DSN decides where a
		// connection goes.
		grpc.WithNoProxy(),
		// gRPC must not retry: it does not know which calls may run twice.
		grpc.WithDisableRetry(),
		// With windows of a fixed size gRPC does not estimate the bandwidth, which costs
		// two allocations and a ping for each query.
		grpc.WithInitialWindowSize(window),
		grpc.WithInitialConnWindowSize(4 * window),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxBackoff},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := dial(ctx, addr, cfg.Dial)
			if err != nil {
				h.attempt.Store(&err)
				return nil, err
			}
			h.count.connects.Add(1)
			return h.watch.over(conn), nil
		}),
	}
	target := "passthrough:///" + strings.ReplaceAll(cfg.Addr, "%", "%25") // of an IPv6 zone
	options = append(options, cfg.Options...)
	h.dials = func() (*grpc.ClientConn, error) { return grpc.NewClient(target, options...) }
	return h, h.open()
}

// channel is the channel to the server. It is closed only while the pool rests, and
// when the pool has been closed.
func (h *host) channel() *wire.Channel { return h.ch.Load() }

// open makes the channel if there is none or it is closed. It does not connect.
// Pool.mu is held, or nobody else knows h.
func (h *host) open() error {
	if h.ch.Load() != nil && !h.closed {
		return nil
	}
	cc, err := h.dials()
	if err != nil {
		return err
	}
	h.ch.Store(wire.NewChannel(cc))
	h.attempt.Store(nil)
	h.closed = false
	return nil
}

// close closes the channel. Pool.mu is held, or nobody else knows h.
func (h *host) close() {
	if ch := h.ch.Load(); ch != nil {
		_ = ch.Close() // fails only when it is closed already
	}
	h.closed = true
}

// attempts are credentials that keep how the handshakes of a host end: of an
// error, gRPC passes on the text alone.
type attempts struct {
	credentials.TransportCredentials
	host *host
}

func (a attempts) Clone() credentials.TransportCredentials {
	return attempts{a.TransportCredentials.Clone(), a.host}
}

func (a attempts) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := a.TransportCredentials.ClientHandshake(ctx, authority, raw)
	a.host.attempt.Store(&err)
	return conn, info, err
}

// lastAttempt is the error of the last attempt to connect, or nil.
func (h *host) lastAttempt() error {
	if err := h.attempt.Load(); err != nil {
		return *err
	}
	return nil
}

// dial connects within ctx, in attempts of dialTimeout each. A refused connection
// is not tried again.
func dial(ctx context.Context, addr string, attempt func(context.Context, string) (net.Conn, error)) (net.Conn, error) {
	for {
		conn, silent, err := dialOnce(ctx, addr, attempt)
		if err == nil || !silent || ctx.Err() != nil {
			return conn, err
		}
	}
}

// dialOnce makes one attempt to connect. silent reports that it ended without an
// answer.
func dialOnce(ctx context.Context, addr string, attempt func(context.Context, string) (net.Conn, error)) (conn net.Conn, silent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err = attempt(ctx, addr)
	return conn, ctx.Err() != nil, err
}

// down reports whether the last attempt to connect failed. gRPC fails the calls that wait
// for an attempt before the channel's state changes, so the state alone comes too late for
// the next call.
func (h *host) down() bool {
	return h.lastAttempt() != nil || h.channel().Connection().GetState() == connectivity.TransientFailure
}

// tryNow ends the pause before the next attempt to connect.
func (h *host) tryNow() { h.channel().Connection().ResetConnectBackoff() }

// call makes a call. While a channel is down, gRPC fails each call with the error
// of the last attempt to connect. With patiently, call then waits up to
// reconnectPatience for a connection and makes the call again. Only that wait is
// bounded, not the call.
func (h *host) call(ctx context.Context, patiently bool, call func(ctx context.Context) *wire.Failure) *wire.Failure {
	wasDown := patiently && h.down()
	f := call(ctx)
	if f == nil || f.Fate != wire.NotSent || !wasDown || ctx.Err() != nil {
		return f
	}
	h.tryNow()
	if !h.connects(ctx) {
		return f
	}
	return call(ctx)
}

// connects waits for a connection for as long as reconnectPatience.
func (h *host) connects(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, reconnectPatience)
	defer cancel()
	cc := h.channel().Connection()
	for {
		switch state := cc.GetState(); state {
		case connectivity.Ready:
			return true
		case connectivity.Shutdown:
			return false
		default:
			cc.Connect()
			if !cc.WaitForStateChange(ctx, state) {
				return false
			}
		}
	}
}

// watch closes a host's dead connections within a few seconds: the peer vanished
// without closing, or a firewall dropped the flow. TCP notices that after minutes,
// and the server's policy punishes gRPC's pings. An answer is due on a connection
// while a call has not ended, or when bytes were written and none read since. When
// no byte has arrived for a while although an answer is due, watch makes a small
// call (probe) that every server answers; when still no byte arrives, it closes the
// connection. gRPC then fails the connection's calls and dials again.
type watch struct {
	host *host
	log  *slog.Logger
	// silent is called beside each probe: a call may have no answer because its server
	// waits for others.
	silent func(context.Context)

	mu      sync.Mutex
	conns   []*watchedConn
	ticking atomic.Bool
	probing atomic.Bool
}

// watchedConn is a connection that records its reads and writes for watch.
type watchedConn struct {
	net.Conn
	watch *watch
	reads atomic.Uint64 // how often bytes came
	due   atomic.Bool   // bytes were written after the last read
	once  sync.Once     // the first Close counts

	// What follows is guarded by watch.mu.
	seen  uint64 // reads at the last look
	quiet int    // looks since bytes came
}

func (w *watch) over(conn net.Conn) net.Conn {
	c := &watchedConn{Conn: conn, watch: w}
	w.mu.Lock()
	w.conns = append(w.conns, c)
	w.mu.Unlock()
	return c
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.reads.Add(1)
		c.due.Store(false)
	}
	return n, err
}

func (c *watchedConn) Write(b []byte) (int, error) {
	c.due.Store(true)
	if !c.watch.ticking.Load() {
		c.watch.start()
	}
	return c.Conn.Write(b)
}

// Close ends the connection and makes the sessions of its server doubtful.
func (c *watchedConn) Close() error {
	c.once.Do(func() {
		w := c.watch
		w.mu.Lock()
		w.conns = slices.DeleteFunc(w.conns, func(other *watchedConn) bool { return other == c })
		w.mu.Unlock()
		w.host.epoch.Add(1)
	})
	return c.Conn.Close()
}

func (w *watch) start() {
	if w.ticking.CompareAndSwap(false, true) {
		time.AfterFunc(watchTick, w.tick)
	}
}

// tick checks the connections, and schedules the next check while an answer is due.
func (w *watch) tick() {
	pending := w.host.channel().Pending() > 0
	var dead []*watchedConn
	again, probe := false, false
	w.mu.Lock()
	for _, c := range w.conns {
		if reads := c.reads.Load(); reads != c.seen {
			c.seen, c.quiet = reads, 0
		}
		if !pending && !c.due.Load() {
			c.quiet = 0
			continue
		}
		again = true
		c.quiet++
		probe = probe || c.quiet >= probeTicks && c.seen > 0
		if c.quiet >= deadTicks {
			dead = append(dead, c)
		}
	}
	w.mu.Unlock()
	for _, c := range dead {
		w.log.Warn("immudb connection is dead, it is closed and dialled again", slog.String("host", w.host.addr))
		_ = c.Close() // the connection is dead: an error of Close adds nothing
	}
	if probe && w.probing.CompareAndSwap(false, true) {
		go w.probe()
	}
	w.ticking.Store(false)
	if again {
		w.start()
	}
}

// probe makes a call so that the server sends bytes.
func (w *watch) probe() {
	defer w.probing.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), (deadTicks-probeTicks)*watchTick)
	defer cancel()
	if w.host.channel().Probe(ctx) == nil {
		w.silent(ctx)
	}
}
