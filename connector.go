package immudb

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"log/slog"

	"google.golang.org/grpc/metadata"

	"github.com/immudb-go/immudb/internal/session"
)

var (
	_ driver.Connector = (*Connector)(nil)
	_ io.Closer        = (*Connector)(nil)
)

// Connector opens connections for one [Config]. It owns what they share: one
// gRPC channel for each host, the sessions and the background goroutines.
// sql.DB.Close closes it. When it has had no connection for 5 s, it ends all of that
// by itself, and starts it again for the next connection.
type Connector struct {
	cfg   *Config
	log   *slog.Logger
	pool  *session.Pool
	trust *verification

	queries queryCache
	catalog catalog
	lanes   lanes
	// schemaLane holds an element while a change of the schema is under way.
	schemaLane chan struct{}
	groups     groups
	tally      tally
	endings    endings
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
	if cfg.PassFile != "" && cfg.Password == "" {
		password, err := cfg.readPassFile()
		if err != nil {
			return nil, fmt.Errorf("immudb: config: %w", err)
		}
		cfg.Password = password
	}
	c := &Connector{cfg: cfg, log: cfg.Logger, schemaLane: make(chan struct{}, 1), queries: queryCache{strict: cfg.Strict}}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.trust, err = newVerification(cfg, c.log); err != nil {
		return nil, err
	}
	log := c.log.With(slog.String("database", cfg.Database))
	hosts, err := cfg.hostConfigs(log)
	if err != nil {
		return nil, err
	}
	c.pool, err = session.New(session.Config{
		Hosts:          hosts,
		Target:         cfg.target(),
		Shuffle:        cfg.LoadBalanceHosts == "random",
		OpenSession:    (&login{cfg: cfg, log: log, password: cfg.Password}).request,
		ConnectTimeout: cfg.ConnectTimeout,
		KeepAlive:      cfg.KeepAlive,
		IdleTimeout:    cfg.SessionIdleTimeout,
		MaxSessions:    cfg.MaxSessions,
		Log:            log,
		Opening: func(ctx context.Context, addr string) (context.Context, func(error)) {
			ctx, op := c.trace(ctx, TraceSession, addr, "", "", 0, nil)
			return ctx, func(err error) { op.end(ctx, err) }
		},
		Metadata: func(serverUUID, id, tx string) metadata.MD {
			return SessionTokens{ServerUUID: serverUUID, SessionID: id}.metadata(TransactionTokens{TransactionID: tx})
		},
	})
	if err != nil {
		return nil, fmt.Errorf("immudb: host %w", err)
	}
	return c, nil
}

// hostConfigs says how to reach each of the hosts.
func (c *Config) hostConfigs(log *slog.Logger) ([]session.HostConfig, error) {
	var hosts []session.HostConfig
	for _, addr := range c.Hosts {
		creds, err := c.renewable(addr, log)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, session.HostConfig{Addr: addr, Credentials: creds, Dial: c.DialContext, Options: c.DialOptions})
	}
	return hosts, nil
}

// target says which of the hosts may be used.
func (c *Config) target() session.Target {
	switch c.TargetSessionAttrs {
	case "read-write", "primary":
		return session.Primary
	case "read-only", "standby":
		return session.Standby
	case "prefer-standby":
		return session.PreferStandby
	case "":
		if len(c.Hosts) > 1 {
			return session.Primary
		}
	}
	return session.AnyRole
}

// Driver returns the driver, as driver.Connector demands.
func (c *Connector) Driver() driver.Driver { return &Driver{} }

// Format prints the configuration without its secrets, for every verb; without it,
// fmt would print the fields.
func (c *Connector) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "immudb.Connector(%s)", c.cfg) }

// Connect returns a connection, which uses one of the connector's sessions: an
// unused one, or else one that other connections use too. It makes a round trip
// only if the connector has no session yet, or if the network connection to the
// server has broken. While no session is available, Connect waits for one within
// ctx and connect_timeout.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, op := c.trace(ctx, TraceConnect, "", "", "", 0, nil)
	conn, err := c.connect(ctx)
	op.end(ctx, err)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (c *Connector) connect(ctx context.Context) (*Conn, error) {
	lease, err := c.pool.Lease(ctx)
	if err != nil {
		return nil, c.leaseError(err)
	}
	return &Conn{connector: c, lease: lease}, nil
}

// Close closes the sessions that no connection uses and ends the background
// goroutines. Connections that are still open stay usable; closing the last one
// closes the channels. sql.DB.Close calls Close.
func (c *Connector) Close() error {
	c.pool.Close()
	return nil
}
