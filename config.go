package immudb

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"

	"github.com/immudb-go/immudb/internal/libpq"
	"github.com/immudb-go/immudb/internal/tlscreds"
)

const (
	defaultDatabase    = "defaultdb"
	defaultMaxSessions = 8
)

// Config holds the servers, the user and all options of a [Connector]. Get one from
// [ParseDSN] or [NewConfig], which set the defaults, change the fields that differ
// and pass it to [NewConnector].
//
// In a Config written as a literal, zero fields are zero, not the defaults: with
// MaxRetries 0 nothing is retried, with KeepAlive 0 no session is kept alive. Only
// fields that cannot be zero get their defaults: Hosts, Database and MaxSessions.
//
// Printing a Config (with any fmt verb, through slog or as JSON) gives its DSN
// without the passwords; [Config.FormatDSN] gives it with them.
type Config struct {
	// UserDatabaseSession holds the user, the password and the database. User is
	// required; Database defaults to "defaultdb".
	UserDatabaseSession

	// PassFile is a file of passwords in the format of libpq's .pgpass. Password is read
	// from it, if that is empty, and read again when a server refuses the password, so that
	// the password can be changed while the program runs: write the new one into the file,
	// then change it on the server. The driver ends no session because of that; the server
	// ends those of the user, and their statements move to new ones. [ParseDSN] sets
	// PassFile unless the DSN has a password.
	PassFile string

	// Hosts are the servers in the order tried, each a name or an IP address
	// with an optional port (3322): "db1", "db1:3322", "10.0.0.1:3322",
	// "[::1]:3322". Default: "127.0.0.1:3322".
	Hosts []string

	// TargetSessionAttrs says which hosts may be used: "any"; "read-write" or
	// "primary", which take writes; "read-only" or "standby", the replicas;
	// "prefer-standby", the replicas, and every host while none of them is there.
	// Default: "read-write" with several hosts, "any" with one.
	TargetSessionAttrs string

	// LoadBalanceHosts is "random" to try the hosts in random order for each session,
	// or "disable", the default, to prefer the first: sessions return to an earlier
	// host within seconds after it can be used again.
	LoadBalanceHosts string

	// ReadRouting is "replica" to send queries outside transactions, and transactions that
	// are begun as ReadOnly, to a replica among Hosts while it has all that the Connector
	// has committed or read, or "primary", the default. Read docs/hosts.md first: a
	// replica does not see changes of the schema that other programs make. It needs
	// several Hosts, and does not go with Verify.Reads.
	ReadRouting string

	// SSL says how a connection is encrypted and how the server's identity is
	// checked. If TLS is set, it is used instead.
	SSL SSLConfig

	// Verify says what is trusted and what is verified, see [VerifiedRow].
	Verify VerifyConfig

	// ConnectTimeout bounds the wait for a connection to one host.
	// 0: as long as the context allows. Default: 10 s.
	ConnectTimeout time.Duration

	// MaxRetries is how often a statement outside a transaction is run again
	// after an error that proves that nothing was committed (a conflict, a
	// call refused before it ran). 0: never. Default: 16. At most 1000.
	MaxRetries int

	// GroupCommit is the most statements of different connections that the driver
	// sends in one transaction, so that they share the cost of one commit. 0: off,
	// the default. At most 512.
	GroupCommit int

	// Strict refuses statements that the server answers wrongly for some rows and
	// rightly for others: comparisons that are true for NULL on this server but not
	// in SQL, times that keys and indexes sort wrongly, AVG of integers, JSON numbers
	// that the server rounds. They fail with [ErrUnsupported].
	Strict bool

	// OwnWritesScan is the most rows that a statement in a transaction reads one by
	// one where an index cannot be used because the transaction has written to the
	// table: the server's indexes do not show that. A statement that would read more
	// fails with [ErrUnsupported]. 0: no such statement is run. Default: 10000, which
	// takes about 35 ms; a transaction can read 100000 rows in all. At most 100000.
	OwnWritesScan int

	// SavepointMemory is how much memory, in MiB, a transaction takes at most to
	// remember its statements and arguments, so that it can return to a savepoint. A
	// longer transaction has no savepoints. 0: no transaction has any. Default: 16. At
	// most 1024.
	SavepointMemory int

	// RetryCommits runs a transaction of a sql.Tx again if its Commit conflicts with
	// another transaction, up to MaxRetries times, and commits that if every answer is
	// the same as before. If one differs, Commit fails with [ErrConflict] as without
	// it. It needs SavepointMemory, in which the statements are remembered; a
	// transaction that takes more, or changes the schema, is not run again.
	RetryCommits bool

	// MaxSessions is the most sessions that a Connector has on one server. If there
	// are more connections than sessions, connections share sessions. Opening a
	// session costs the server about 60 ms of CPU, so after the first one they are
	// opened one a second, and only while connections share. A connection that USE
	// DATABASE has moved does not share its session. If all sessions are in use in
	// that way, a connection waits for one, and fails with [ErrMaxSessions] after
	// ConnectTimeout. 1 to 1000. Default: 8, so that a dozen programs fit into a
	// server's limit of 100.
	MaxSessions int

	// SessionIdleTimeout is how long a session is kept without being used. When there
	// has been no connection for 5 s, all sessions are closed.
	// 0: until the Connector closes. Default: 2 min.
	SessionIdleTimeout time.Duration

	// KeepAlive is the longest time that a session may be without a call before
	// the driver sends a keep-alive, so that the server does not drop the session
	// (by default servers do so after 2 to 3 min). 0: no keep-alives are sent;
	// otherwise at least 1 s. Default: 30 s.
	KeepAlive time.Duration

	// The fields below can be set in code only, not in a DSN.

	// TLS is used instead of SSL, for every host. An empty ServerName becomes
	// the name of the host dialled. It is cloned before use.
	TLS *tls.Config

	// DialOptions are added after the driver's own, so they override those.
	DialOptions []grpc.DialOption

	// DialContext opens the connection to one of Hosts, given as "host:port",
	// instead of the net package: through a tunnel, or to an in-memory server in a
	// test. nil: TCP.
	DialContext func(ctx context.Context, addr string) (net.Conn, error)

	// BeforeOpen is called each time before a session is opened, and may change the user
	// and the password: to a token that expires, or to what a vault holds now. It gets
	// them as they are configured. When the server refuses them, it is called once more, and
	// the session is tried again if it gives others. ctx ends after ConnectTimeout. After an
	// error no session is opened, and the callers that wait for it get that error. It
	// must not change the database. It may be called from several goroutines at once.
	BeforeOpen func(ctx context.Context, s *UserDatabaseSession) error

	// StateStore stores the trusted states, instead of Verify.StateDir.
	StateStore StateStore

	// Tracer is told what the driver does; the module immudbotel has one for
	// OpenTelemetry. nil: nothing is traced, at no cost.
	Tracer Tracer

	// Logger receives the driver's log records. nil: nothing is logged.
	Logger *slog.Logger
}

// SSLConfig holds the TLS settings of a DSN, which have the meaning that they have
// for PostgreSQL's libpq. The table at [ParseDSN] describes each. The files are read
// by [NewConnector], and again when they have changed, before the next connection is made.
type SSLConfig struct {
	// Mode is "disable", "require", "verify-ca", "verify-full" or "". Empty
	// stands for "disable" on a loopback host when neither RootCert nor Cert
	// is set, and for "verify-full" otherwise.
	Mode string

	RootCert string // file of the authorities to trust, or "system"; "": the system's
	Cert     string // file of the client's certificate
	Key      string // file of its private key
	Password string // of Key, when that is encrypted (PEM, PKCS #1)
	NoSNI    bool   // do not name the host in the TLS handshake
}

// VerifyConfig says what is trusted and what is verified. With its zero value
// nothing is trusted: then [VerifiedRow] and the other verified reads fail with
// [ErrStateMissing].
type VerifyConfig struct {
	// TrustFirstUse: while nothing is trusted yet, the driver trusts what the server
	// shows, and verifies everything later against that. This applies to the history
	// of the database and to the definitions of its tables.
	TrustFirstUse bool
	// Commits: every commit is proven to extend the trusted history before Exec
	// or Commit returns.
	Commits bool
	// Writes, which implies Commits: the rows that INSERT and UPSERT with VALUES, their
	// groups and [CopyFrom] send are compared with the proven entries of the transaction
	// before the call that commits returns. So LastInsertId is proven too. Values that the
	// server computes, and what other statements write, are not compared; see
	// [Verifier.Written].
	Writes bool
	// Reads: the rows of a SELECT are proven as by [VerifyRows], if the query selects rows
	// of one table, or columns of them, by a condition, an order and a limit. In a
	// transaction its own rows are not, see [ReadProof]. This also works for the queries of an ORM. It does not prove
	// that a row is absent, nor that the result is complete. Other queries are answered
	// without a proof; [WithReadProof] tells what was proven, [WithoutProof] switches
	// the proof off.
	Reads bool
	// Strict: a SELECT whose rows Reads cannot prove fails with an [ErrUnsupported]
	// that gives the reason, instead of an answer without a proof.
	Strict bool
	// PublicKey is a PEM file with the ECDSA key that the server must sign with.
	// "": signatures are not checked.
	PublicKey string
	// StateDir is the directory where trusted states are stored; it is created if it
	// does not exist. "": they are kept in memory, as long as the Connector.
	StateDir string
	// State pins the trusted state, as tx:hash (see [State.Pin]).
	State string
	// History is a name for the history, stored in StateDir beside the name of the
	// database. A trusted state belongs to both names, and to all Hosts. Different
	// databases with the same name need different names here.
	History string
}

// NewConfig returns a Config with the defaults of [ParseDSN]. The caller must set User.
func NewConfig() *Config {
	c := &Config{Hosts: []string{libpq.DefaultAddr}}
	c.Database = defaultDatabase
	for _, o := range options {
		if o.reset != nil {
			o.reset(c)
		}
	}
	return c
}

// Clone returns a copy of c. The copy shares with c only the Logger, the StateStore
// and what DialOptions, DialContext and BeforeOpen refer to.
func (c *Config) Clone() *Config {
	d := *c
	d.Hosts = slices.Clone(c.Hosts)
	d.DialOptions = slices.Clone(c.DialOptions)
	d.TLS = c.TLS.Clone() // nil stays nil
	return &d
}

// validate refuses what cannot work, fills in what cannot be zero, and gives
// each host its port. Call it on a Config the driver owns.
func (c *Config) validate() error {
	if err := c.normalize(); err != nil {
		return fmt.Errorf("immudb: config: %w", err)
	}
	return nil
}

// normalize is validate with errors that begin with the option's name. No error
// quotes a value: a password may have ended up in the wrong option.
func (c *Config) normalize() error {
	if c.User == "" {
		return errors.New("user: missing; write immudb://user:password@host/database or user=name password=…")
	}
	for _, s := range []struct{ name, value string }{
		{"user", c.User}, {"password", c.Password}, {"passfile", c.PassFile}, {"database", c.Database}, {"sslrootcert", c.SSL.RootCert},
		{"sslcert", c.SSL.Cert}, {"sslkey", c.SSL.Key}, {"sslpassword", c.SSL.Password},
		{"server_public_key", c.Verify.PublicKey}, {"state_dir", c.Verify.StateDir}, {"history", c.Verify.History},
	} {
		if strings.ContainsRune(s.value, 0) {
			return fmt.Errorf("%s: must not hold a NUL byte", s.name)
		}
	}
	if !utf8.ValidString(c.Database) {
		return errors.New("database: must be valid UTF-8")
	}
	if c.Database == "" {
		c.Database = defaultDatabase
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = defaultMaxSessions
	}
	if len(c.Hosts) == 0 {
		c.Hosts = []string{libpq.DefaultAddr}
	}
	for i, h := range c.Hosts {
		host, port, err := libpq.SplitHostPort(h)
		if err != nil {
			return err
		}
		c.Hosts[i] = net.JoinHostPort(host, port)
	}
	for _, o := range options {
		if o.check != nil && !o.check(c) {
			return o.invalid()
		}
	}
	if c.RetryCommits && c.SavepointMemory == 0 {
		return errors.New("retry_commits: it needs savepoint_memory, which is 0")
	}
	if c.StateStore != nil && c.Verify.StateDir != "" {
		return errors.New("state_dir: Config.StateStore is set, which takes its place; give one of them")
	}
	return tlscreds.SSL(c.SSL).Check()
}

// String is the DSN with the passwords replaced by "xxxxx".
func (c Config) String() string { return c.formatDSN(true) }

// Format prints [Config.String] for every verb.
func (c Config) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		fmt.Fprintf(f, "immudb.Config(%q)", c.String())
		return
	}
	formatRedacted(f, verb, "", c.String())
}

// LogValue logs [Config.String].
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON gives [Config.String].
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// LogValue shows everything but the password.
func (s SSLConfig) LogValue() slog.Value {
	return slog.GroupValue(slog.String("Mode", s.Mode), slog.String("RootCert", s.RootCert), slog.String("Cert", s.Cert),
		slog.String("Key", s.Key), secretAttr("Password", s.Password), slog.Bool("NoSNI", s.NoSNI))
}

// String is the redacted form.
func (s SSLConfig) String() string { return redactedString(s) }

// Format prints the redacted form for every verb.
func (s SSLConfig) Format(f fmt.State, verb rune) {
	formatRedacted(f, verb, "immudb.SSLConfig", s.String())
}

// MarshalJSON is the redacted form.
func (s SSLConfig) MarshalJSON() ([]byte, error) { return redactedJSON(s) }
