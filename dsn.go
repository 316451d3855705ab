package immudb

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/immudb-go/immudb/internal/dsnscan"
	"github.com/immudb-go/immudb/internal/libpq"
)

// ParseDSN reads a data source name, in URL or in keyword/value form:
//
//	immudb://user:password@host1:3322,host2/database?sslmode=verify-full&connect_timeout=5
//	user=name password='it\'s secret' host=host1,host2 port=3322 dbname=database sslmode=verify-full
//
// Both forms are read as PostgreSQL's libpq reads them. In a URL, write a
// character that has a meaning there (: / ? @ & = % and blanks) as %XX; in the
// keyword form, quote a value with blanks, and write ' and \ as \' and \\.
// The settings come from the DSN alone: environment variables, files in the home
// directory and the name of the operating system's user are ignored.
//
// The options, all of them optional but user:
//
//	host                  name or IP address; several: host1,host2, in the order tried (127.0.0.1)
//	port                  one for all hosts, or one for each: 3322,3323 (3322)
//	user                  user to log in as
//	password              the user's password (none)
//	passfile              file in the format of ~/.pgpass to find the password in, for the first host, when none is given;
//	                      read again when the server refuses the password (none)
//	database, dbname      database to use (defaultdb)
//	target_session_attrs  any; read-write, primary: a host that takes writes; read-only, standby: a replica; prefer-standby
//	                      (read-write with several hosts, any with one)
//	load_balance_hosts    disable: the first host that can be used; random: any of them (disable)
//	read_routing          primary: all reads go to the primary; replica: queries outside transactions, and transactions begun
//	                      as ReadOnly, go to a replica that has all that the connector has committed or read; needs several
//	                      hosts, and does not go with verify=reads (primary)
//	sslmode               disable: plaintext; require: encrypted, the server not checked unless sslrootcert is given;
//	                      verify-ca: its certificate is checked; verify-full: and its name
//	                      (disable for localhost, 127.0.0.0/8 and ::1 unless sslrootcert or sslcert is given;
//	                      verify-full for any other host; each host by its own rule)
//	sslrootcert           file of the authorities to trust, or system (system)
//	sslcert               file of the client's certificate, needs sslkey (none)
//	sslkey                file of its private key, needs sslcert (none)
//	sslpassword           password of an encrypted sslkey (none)
//	sslsni                1: name the host in the TLS handshake; 0: do not (1)
//	connect_timeout       longest wait for a connection to one host; 0: as long as the context allows (10s)
//	max_retries           how often a statement outside a transaction is run again after an error that proves
//	                      that nothing was committed; 0 to 1000 (16)
//	group_commit          most statements of different connections that share one commit; 0: off; 0 to 512 (0)
//	strict                1: refuse statements that the server answers wrongly for NULL, far times or large numbers; 0: do not (0)
//	own_writes_scan       most rows that a statement reads one by one because its transaction has written to their table;
//	                      0 to 100000 (10000)
//	retry_commits         1: run a transaction again when its commit conflicts, and commit it if all answers are the same;
//	                      0: do not (0)
//	savepoint_memory      most memory, in MiB, that a transaction takes to remember its statements for savepoints;
//	                      0: no savepoints; 0 to 1024 (16)
//	max_sessions          most sessions on one server, which connections share; 1 to 1000 (8)
//	session_idle_timeout  how long a session is kept without being used; 0: until closed (2m)
//	keepalive             time without a call after which a keep-alive is sent, so that the server keeps the session; 0: never (30s)
//	verify                trust-first-use: while nothing is trusted yet, trust what the server shows;
//	                      commits: prove that every commit extends the trusted history;
//	                      writes: prove that they also wrote the rows that were sent;
//	                      reads: prove the rows of queries; strict: a query that cannot be proven fails, see [VerifyConfig];
//	                      several with commas: trust-first-use,commits,reads (none)
//	trusted_state         tx:hash, a state of the database that is trusted (none)
//	state_dir             directory where trusted states are stored (none: kept in memory)
//	history               name of the history in state_dir, beside the database's: tells different databases of the same name apart (none)
//	server_public_key     PEM file with the ECDSA key the server must sign its states with (none: signatures are not checked)
//
// Times are seconds ("5") or Go durations ("500ms", "2m"), at most 24h.
//
// An unknown or repeated option and a value that is not valid are errors that
// name the option and the valid values. No error holds a password or any other value
// from the DSN. ParseDSN opens no file but passfile; [NewConnector] reads
// those of TLS.
func ParseDSN(dsn string) (*Config, error) {
	c, err := parseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("immudb: dsn: %w", err)
	}
	return c, nil
}

func parseDSN(dsn string) (*Config, error) {
	settings, err := dsnscan.Scan(dsn, isKey)
	if err != nil {
		return nil, err
	}
	given, err := knownSettings(settings)
	if err != nil {
		return nil, err
	}
	c := NewConfig()
	for _, o := range options {
		if v, ok := given[o.name]; ok && o.parse != nil && !o.parse(c, v) {
			return nil, o.invalid()
		}
	}
	if err := c.setServer(given); err != nil {
		return nil, err
	}
	if err := c.normalize(); err != nil {
		return nil, err
	}
	return c, nil
}

// setServer reads the options that depend on each other: hosts with their
// ports, and the password, which may be in a file.
func (c *Config) setServer(given map[string]string) error {
	c.User = given["user"]
	if v := given["database"]; v != "" {
		c.Database = v
	}
	if c.User == "" {
		return nil // normalize refuses it; pgconn would use the operating system's user
	}
	hosts := given["host"]
	if hosts == "" {
		hosts = libpq.DefaultHost
	}
	for host := range strings.SplitSeq(hosts, ",") {
		// pgconn takes an empty name for a Unix socket, and does not check other names.
		if _, _, err := libpq.SplitHostPort(host); err != nil {
			return err
		}
		if !libpq.ValidHost(host) {
			return errors.New("host: write the name or address alone; the port is an option of its own, port")
		}
	}
	ports := strings.Split(given["port"], ",")
	for i, port := range ports {
		if port == "" {
			ports[i] = libpq.DefaultPort // pgconn's default is PostgreSQL's port
		}
	}
	pc, err := libpq.Parse(map[string]string{
		"host": hosts, "port": strings.Join(ports, ","), "user": c.User, "database": c.Database,
		"password": given["password"],
	})
	if err != nil {
		return err
	}
	c.Password = pc.Password
	c.Hosts = []string{net.JoinHostPort(pc.Host, strconv.Itoa(int(pc.Port)))}
	for _, f := range pc.Fallbacks { // with sslmode=disable, these are exactly the other hosts
		c.Hosts = append(c.Hosts, net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))))
	}
	if c.Password == "" && given["passfile"] != "" {
		c.PassFile = given["passfile"]
		c.Password, err = c.readPassFile()
	}
	return err
}

// FormatDSN returns the DSN of c in URL form, PASSWORD INCLUDED unless it is in PassFile:
// to log c, print c itself. ParseDSN of the result gives the same Config, without the fields that can
// be set in code only. Options at their default are left out; the others are sorted
// by name.
func (c *Config) FormatDSN() string { return c.formatDSN(false) }

func (c *Config) formatDSN(redact bool) string {
	hide := func(secret string) string {
		if redact && secret != "" {
			return "xxxxx"
		}
		return secret
	}
	var b strings.Builder
	b.WriteString("immudb://")
	if c.User != "" || c.Password != "" {
		b.WriteString(escape(c.User))
		if c.Password != "" && c.PassFile == "" {
			b.WriteByte(':')
			b.WriteString(escape(hide(c.Password)))
		}
		b.WriteByte('@')
	}
	for i, h := range c.Hosts {
		if i > 0 {
			b.WriteByte(',')
		}
		if host, port, err := libpq.SplitHostPort(h); err == nil {
			h = net.JoinHostPort(host, port)
		}
		b.WriteString(strings.ReplaceAll(h, "%", "%25")) // the zone of an IPv6 address
	}
	b.WriteByte('/')
	b.WriteString(escape(c.Database))
	sep := byte('?')
	for _, o := range options {
		if o.format == nil {
			continue
		}
		v := o.format(c)
		if v == "" {
			continue
		}
		if o.secret {
			v = hide(v)
		}
		b.WriteByte(sep)
		b.WriteString(o.name)
		b.WriteByte('=')
		b.WriteString(escape(v))
		sep = '&'
	}
	return b.String()
}

// escape writes everything that could have a meaning in a URL as %XX.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
