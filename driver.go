// Package immudb is a database/sql driver for immudb, the tamper-evident SQL
// database.
//
//	import _ "github.com/immudb-go/immudb"
//
//	db, err := sql.Open("immudb", "immudb://user:password@localhost:3322/defaultdb")
//
// See [ParseDSN] for the options of a DSN. A program that prefers to fill in a
// struct, or that needs its own dialer or logger, makes a [Connector]:
//
//	cfg := immudb.NewConfig()
//	cfg.User, cfg.Password = "user", "password"
//	connector, err := immudb.NewConnector(cfg)
//	db := sql.OpenDB(connector)
//
// # Verification
//
// [VerifiedRow], [VerifyRows], [Audit] and the verify options of a DSN check on the
// client what the server answers. What contradicts the trusted state is [ErrTampered].
// These lies are caught:
//
//	lie about                                 caught with
//	a value, a row, its transaction           verify=trust-first-use or trusted_state
//	rows beyond the condition or the limit    the same
//	the history since it was first trusted    the same
//	another server, database or backup        the same
//	two histories, for one state_dir          the same
//	the names of a table and its columns      trusted_state; else by the next honest answer
//	the history before that                   trusted_state
//	a signature                               server_public_key
//	a commit that was not made                verify=commits
//	the rows that a commit wrote              verify=writes, of INSERT and UPSERT … VALUES
//	two histories, for clients apart          Verifier.Confirm
//	whether a revision is the latest          Verifier.Latest
//
// These are not: rows left out of an answer, counts and other results of functions, the
// time of a transaction. The table in docs/proof.md says more exactly for each lie and
// each option whether it is caught, with the test that shows it.
package immudb

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/metadata"

	"github.com/immudb-go/immudb/internal/libpq"
	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/tlscreds"
	"github.com/immudb-go/immudb/internal/wire"
)

// DriverName is the name the driver is always registered under. It is also
// registered as "immudb" unless a package initialised earlier took that name,
// as the vendor's driver does.
const DriverName = "immudb-go"

func init() {
	sql.Register(DriverName, &Driver{})
	// A second Register under one name panics.
	if !slices.Contains(sql.Drivers(), "immudb") {
		sql.Register("immudb", &Driver{})
	}
}

var (
	_ driver.Driver        = (*Driver)(nil)
	_ driver.DriverContext = (*Driver)(nil)
)

// Driver is the database/sql driver. Its zero value is ready to use.
type Driver struct {
	mu     sync.Mutex
	shared map[string]*sharedConnector // by DSN
}

// sharedConnector is the connector of the connections that Driver.Open made for one
// DSN.
type sharedConnector struct {
	connector *Connector
	conns     int // open, or being opened; guarded by Driver.mu
}

// Format prints no field, because the DSNs hold passwords.
func (d *Driver) Format(f fmt.State, _ rune) { fmt.Fprint(f, "immudb.Driver") }

// OpenConnector parses the DSN, so that sql.Open reports its errors. Only the empty
// DSN gives a connector, whose Connect fails: packages that wrap drivers call
// sql.Open with it to get the Driver.
func (d *Driver) OpenConnector(dsn string) (driver.Connector, error) {
	cfg, err := ParseDSN(dsn)
	if dsn == "" {
		return noDSN{err, d}, nil
	}
	if err != nil {
		return nil, err
	}
	return NewConnector(cfg)
}

// noDSN is the connector of an empty DSN.
type noDSN struct {
	err    error
	driver *Driver
}

func (n noDSN) Connect(context.Context) (driver.Conn, error) { return nil, n.err }
func (n noDSN) Driver() driver.Driver                        { return n.driver }

// Open opens a connection. The connections that one Driver opens for one DSN share a
// connector, and so its sessions; closing the last of them closes the connector.
// database/sql uses OpenConnector instead, unless a package that wraps drivers hides
// it.
func (d *Driver) Open(dsn string) (driver.Conn, error) {
	s, err := d.share(dsn)
	if err != nil {
		return nil, err
	}
	conn, err := s.connector.Connect(context.Background())
	if err != nil {
		_ = d.unshare(dsn, s) // the error of Connect says more
		return nil, err
	}
	conn.(*Conn).afterClose = func() error { return d.unshare(dsn, s) }
	return conn, nil
}

// share returns the connector for the DSN and counts a connection of it.
func (d *Driver) share(dsn string) (*sharedConnector, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.shared[dsn]
	if s == nil {
		cfg, err := ParseDSN(dsn)
		if err != nil {
			return nil, err
		}
		connector, err := NewConnector(cfg)
		if err != nil {
			return nil, err
		}
		s = &sharedConnector{connector: connector}
		if d.shared == nil {
			d.shared = make(map[string]*sharedConnector)
		}
		d.shared[dsn] = s
	}
	s.conns++
	return s, nil
}

// unshare takes the count of share back, and closes the connector after its last
// connection.
func (d *Driver) unshare(dsn string, s *sharedConnector) error {
	d.mu.Lock()
	s.conns--
	last := s.conns == 0
	if last {
		delete(d.shared, dsn)
	}
	d.mu.Unlock()
	if !last {
		return nil
	}
	return s.connector.Close()
}

var (
	_ driver.Connector = (*Connector)(nil)
	_ io.Closer        = (*Connector)(nil)
)

// Connector opens connections for one [Config]. It owns what they share: one
// gRPC channel for each host, the sessions and the background goroutines.
// sql.DB.Close closes it. When it has had no connection for 5 s, it ends all of that
// by itself, and starts it again for the next connection.
type Connector struct {
	cfg  *Config
	log  *slog.Logger
	pool *session.Pool
	// replicas serve reads with read_routing=replica; else nil.
	replicas *session.Replicas
	trust    *verification

	queries queryCache
	catalog catalog
	lanes   lanes
	// schemaLane holds an element while a change of the schema is under way.
	schemaLane chan struct{}
	renewed    renewals
	groups     groups
	tally      tally
	endings    endings
	// changed are all changes of the schema that the connector has made, for replicas.
	changed schemaHistory
	// onlyRead is when a transaction that could write was last committed with nothing but
	// reads of several tables, in nanoseconds since 1970.
	onlyRead atomic.Int64
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
	sessions := session.Config{
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
	}
	if c.pool, err = session.New(sessions); err != nil {
		return nil, fmt.Errorf("immudb: host %w", err)
	}
	if cfg.ReadRouting == "replica" {
		if c.replicas, err = session.NewReplicas(sessions, c.pool, c.fits); err != nil {
			c.pool.Close()
			return nil, fmt.Errorf("immudb: host %w", err)
		}
	}
	return c, nil
}

// hostConfigs says how to reach each of the hosts.
func (c *Config) hostConfigs(log *slog.Logger) ([]session.HostConfig, error) {
	var hosts []session.HostConfig
	for _, addr := range c.Hosts {
		creds, err := tlscreds.New(c.tlsOf(addr), log)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, session.HostConfig{Addr: addr, Credentials: creds, Dial: c.DialContext, Options: c.DialOptions})
	}
	return hosts, nil
}

// tlsOf says how a connection to an entry of Hosts is encrypted.
func (c *Config) tlsOf(addr string) tlscreds.Settings {
	return tlscreds.Settings{Addr: addr, SSL: tlscreds.SSL(c.SSL), TLS: c.TLS}
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
// ctx and connect_timeout. With Config.ReadRouting the first call also waits for a
// replica, for 1 s at most.
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
	if c.replicas != nil {
		c.replicas.Join(ctx)
	}
	return &Conn{connector: c, lease: lease}, nil
}

// Close closes the sessions that no connection uses and ends the background
// goroutines. Connections that are still open stay usable; closing the last one
// closes the channels. sql.DB.Close calls Close.
func (c *Connector) Close() error {
	if c.replicas != nil {
		c.replicas.Close()
	}
	c.pool.Close()
	return nil
}

// login makes the requests that open a connector's sessions.
type login struct {
	cfg *Config
	log *slog.Logger

	mu       sync.Mutex
	password string // the one in use: of the Config, or read last from PassFile
}

// request returns a request to open a session. refused is the request that a server has
// refused because of its user or password, or nil. Then the password is read again from
// PassFile, and nil is returned if the request would be the same.
func (l *login) request(ctx context.Context, refused []byte) ([]byte, error) {
	if refused != nil && l.cfg.PassFile == "" && l.cfg.BeforeOpen == nil {
		return nil, nil
	}
	s := l.cfg.UserDatabaseSession
	s.Password = l.current(refused != nil)
	if f := l.cfg.BeforeOpen; f != nil {
		if err := f(ctx, &s); err != nil {
			return nil, &session.RequestError{Err: &Error{Message: "no session was opened, because Config.BeforeOpen failed", SQLState: "28000", kind: ErrAuthentication, cause: err}}
		}
		if s.Database != l.cfg.Database {
			return nil, &session.RequestError{Err: errBeforeOpenDatabase}
		}
	}
	req := wire.OpenSessionRequest(s.User, s.Password, s.Database)
	if bytes.Equal(req, refused) {
		return nil, nil
	}
	return req, nil
}

var errBeforeOpenDatabase = &Error{
	Message:  "Config.BeforeOpen has changed the database, which a connector has only one of: make a connector for each database",
	SQLState: "22023",
}

// current is the password in use, after it was read from PassFile if again is set. A file
// that cannot be read, or has no line for the user, changes nothing: it may be about to
// be replaced.
func (l *login) current(again bool) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !again || l.cfg.PassFile == "" {
		return l.password
	}
	password, err := l.cfg.readPassFile()
	if err != nil {
		l.log.Warn("immudb passfile could not be read again", slog.String("reason", err.Error()))
		return l.password
	}
	l.password = password
	return password
}

// readPassFile reads the password of the user from PassFile: that of the line for the
// first host and the database.
func (c *Config) readPassFile() (string, error) {
	return libpq.ReadPassFile(c.PassFile, c.Hosts[0], c.Database, c.User)
}
