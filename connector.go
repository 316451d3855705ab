package immudb

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/immudb-go/immudb/internal/wire"
)

var (
	_ driver.Connector = (*Connector)(nil)
	_ io.Closer        = (*Connector)(nil)
)

// Connector opens connections for one [Config]. It owns what they share: one
// gRPC channel per host, the sessions, one goroutine that keeps sessions alive.
// sql.DB.Close closes it.
type Connector struct {
	cfg   *Config
	log   *slog.Logger
	hosts []*host

	texts   textCache
	catalog catalog
	lanes   lanes
	groups  groups
	endings endings
	pool    *pool
	trust   *verification
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
		cfg:  cfg,
		log:  cfg.Logger,
		pool: newPool(),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.trust, err = newVerification(cfg, c.log); err != nil {
		return nil, err
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

// window is how much of an answer the server may send ahead, in bytes: about a
// message of 2,048 short rows. With the message being read and the one being put
// together, three are in memory; and over a way of 14 ms the server, which makes
// 45 MB/s of them, need not wait.
const window = 640 << 10

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
		// Windows of a fixed size spare gRPC its measuring: two allocations and a ping
		// for each query.
		grpc.WithInitialWindowSize(window),
		grpc.WithInitialConnWindowSize(4 * window),
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

// Format prints the configuration without its secrets, whatever the verb: fmt
// would go through the fields else.
func (c *Connector) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "immudb.Connector(%s)", c.cfg) }

// Connect returns a connection. It costs a round trip only when the connector
// has no session yet: else the connection gets one that nobody uses or, until
// there are max_sessions, shares one. While the server has no session to give,
// Connect waits for one within ctx and connect_timeout.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	s, err := c.lease(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{connector: c, session: s}, nil
}

// Close ends the idle sessions and what goes on in the background. Connections
// still open stay usable; the last one to be closed closes the channels.
// sql.DB.Close calls it.
func (c *Connector) Close() error {
	unused, first := c.pool.close()
	if !first {
		return nil
	}
	c.closeSessions(unused...)
	// Sessions being opened are about to be ours to close. A server that does
	// not answer does not hold Close up for ever.
	giveUp := time.AfterFunc(closeTimeout, c.pool.giveUp)
	c.pool.background.Wait()
	giveUp.Stop()
	c.closeHostsWhenUnused()
	return nil
}

// closeHostsWhenUnused closes the channels of a closed connector once no
// connection uses them.
func (c *Connector) closeHostsWhenUnused() {
	if c.pool.finished() {
		c.closeHosts()
	}
}

func (c *Connector) closeHosts() {
	for _, h := range c.hosts {
		_ = h.cc.Close() // fails only when it is closed already
	}
}
