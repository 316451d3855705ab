package immudbtest

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"
)

// Option changes a server's settings from those that [New] and [Start] document.
type Option func(*config)

type config struct {
	dir           string
	port          int
	password      string
	forcePassword bool
	tls           bool
	clientCert    bool
	maxSessions   int
	idle          time.Duration
	maxAge        time.Duration
	signingKey    string
	replicaOf     string
	primary       primary
	syncReplicas  int
	pg            bool
	pgPort        int
	maxResultSize int
	synced        *bool // nil: as documented at WithSynced
	log           io.Writer

	err error // the error of the first invalid option
}

// primary is the server that a replica reads from.
type primary struct {
	host     string
	port     int
	password string
}

func newConfig(opts []Option) config {
	cfg := config{password: "immudb"}
	for _, opt := range opts {
		opt(&cfg)
	}
	if cfg.synced == nil {
		cfg.synced = new(cfg.dir != "")
	}
	if cfg.replicaOf != "" {
		cfg.password = cfg.primary.password
	}
	return cfg
}

func (c *config) refuse(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *config) validate() error {
	if c.err != nil {
		return c.err
	}
	if c.password == "" {
		return errors.New("the admin password is empty; the server needs one")
	}
	if c.clientCert && !c.tls {
		return errors.New("client certificates need TLS; add WithTLS")
	}
	return nil
}

// WithDir keeps the data in dir, which is created if it is missing, and never removed. A directory may be used again, by
// one server at a time. Commits are synced, see [WithSynced]. With TLS the certificates are in dir + ".tls", and are used
// again too.
func WithDir(dir string) Option {
	return func(c *config) { c.dir = dir }
}

// WithPort listens on the given port of 127.0.0.1. The default, 0, is a free port, which Restart keeps.
func WithPort(port int) Option {
	return func(c *config) { c.port = port }
}

// WithAdminPassword sets the password of the user immudb, which is "immudb" by default. In a directory that
// already holds data the password is changed to this one; without the option it is left as it is.
func WithAdminPassword(password string) Option {
	return func(c *config) { c.password, c.forcePassword = password, true }
}

// WithTLS turns on TLS, with a new certificate for 127.0.0.1, ::1 and localhost that is valid for a day. [Server.DSN] then
// requires TLS, and [Server.CAFile] names the certificate to trust.
func WithTLS() Option {
	return func(c *config) { c.tls = true }
}

// WithClientCertificates makes the server refuse clients without a certificate of its authority, such as
// [Server.ClientCertFiles]. It needs [WithTLS].
func WithClientCertificates() Option {
	return func(c *config) { c.clientCert = true }
}

// WithMaxSessions limits how many sessions may be open at once; the server's default is 100. One more fails with
// "max sessions number reached".
func WithMaxSessions(n int) Option {
	return func(c *config) {
		if n < 1 {
			c.refuse("max sessions is %d; it must be at least 1", n)
		}
		c.maxSessions = n
	}
}

// WithSessionIdleTimeout drops sessions without a call for d; the server's default is 2 minutes. The server checks every
// quarter of d (at least every 25 ms, at most every minute), so an idle session is dropped within 1.25 d.
func WithSessionIdleTimeout(d time.Duration) Option {
	return func(c *config) {
		if d <= 0 {
			c.refuse("session idle timeout is %v; it must be positive", d)
		}
		c.idle = d
	}
}

// WithSessionMaxAge drops sessions that were opened d ago, also busy ones; by default they have no maximum age. The server
// checks as often as for [WithSessionIdleTimeout].
func WithSessionMaxAge(d time.Duration) Option {
	return func(c *config) {
		if d <= 0 {
			c.refuse("session max age is %v; it must be positive", d)
		}
		c.maxAge = d
	}
}

// WithSigningKey signs the states that the server reports with the ECDSA P-256 private key in the PEM file
// (SEC 1, "EC PRIVATE KEY").
func WithSigningKey(file string) Option {
	return func(c *config) { c.signingKey = file }
}

// WithReplicaOf makes the server a read-only replica of the one that the DSN reaches:
//
//	primary := immudbtest.Start(t)
//	replica := immudbtest.Start(t, immudbtest.WithReplicaOf(primary.DSN()))
//
// The replica follows the system database and defaultdb (the server loads no others). It has the primary's users and
// passwords, which are also in its DSN. Start and New wait until the users have arrived; rows arrive shortly after their
// commit on the primary. A replica can connect to its primary only without TLS.
func WithReplicaOf(dsn string) Option {
	return func(c *config) {
		p, err := parsePrimary(dsn)
		if err != nil {
			c.refuse("replica: %w", err)
		}
		c.replicaOf, c.primary = dsn, p
	}
}

// WithSyncReplication makes each commit of the server wait until n replicas have it. The replicas need the option too,
// as their primary asks them what they have. While fewer than n follow, commits wait, and so do reads that want the
// newest data.
func WithSyncReplication(n int) Option {
	return func(c *config) {
		if n < 1 {
			c.refuse("sync replicas is %d; it must be at least 1", n)
		}
		c.syncReplicas = n
	}
}

// WithPostgreSQL also serves the PostgreSQL wire protocol on the given port of 127.0.0.1; 0 is a free port, which
// Restart keeps. With [WithTLS] that port has the same certificate. Stop closes the port but not its open connections; the
// server has no way to close them.
func WithPostgreSQL(port int) Option {
	return func(c *config) { c.pg, c.pgPort = true, port }
}

// WithMaxResultSize limits the rows of one message of a streamed result to n; the server's default is 2,048.
func WithMaxResultSize(n int) Option {
	return func(c *config) {
		if n < 1 {
			c.refuse("max result size is %d; it must be at least 1", n)
		}
		c.maxResultSize = n
	}
}

// WithSynced sets whether a commit waits until the data is on disk, which makes a single insert about ten times slower
// (7 ms against 0.7 ms). The default is true for a directory of [WithDir] and false for a temporary one. Data that is not
// synced survives Stop and Restart; if the process is killed, no server may be able to open the directory.
func WithSynced(synced bool) Option {
	return func(c *config) { c.synced = &synced }
}

// WithLogger writes the server's log to w, one line at a time, until Close. Without it there is no log.
func WithLogger(w io.Writer) Option {
	return func(c *config) { c.log = w }
}

func parsePrimary(dsn string) (primary, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		// The parser's error would hold the DSN with its password.
		return primary{}, errors.New("the primary's DSN is not a URL")
	}
	if u.Scheme != "immudb" {
		return primary{}, fmt.Errorf("the primary's DSN starts with %q; it must start with immudb://", u.Scheme)
	}
	if mode := u.Query().Get("sslmode"); mode != "" && mode != "disable" {
		return primary{}, fmt.Errorf("the primary's sslmode is %s; the server replicates without TLS only", mode)
	}
	port := 3322
	if text := u.Port(); text != "" {
		if port, err = parsePort(text); err != nil {
			return primary{}, err
		}
	}
	password, ok := u.User.Password()
	if u.User.Username() != adminUser || !ok {
		return primary{}, errors.New("the primary's DSN must log in as immudb, with the password; " +
			"no other user may read the system database")
	}
	return primary{host: u.Hostname(), port: port, password: password}, nil
}
