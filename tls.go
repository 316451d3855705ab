package immudb

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// The valid values of sslmode. libpq's allow and prefer are missing on purpose: both
// fall back to plaintext silently if TLS fails.
const (
	sslDisable    = "disable"
	sslRequire    = "require"
	sslVerifyCA   = "verify-ca"
	sslVerifyFull = "verify-full"
)

var sslModes = []string{sslDisable, sslRequire, sslVerifyCA, sslVerifyFull}

// check refuses settings that contradict each other.
func (s *SSLConfig) check() error {
	switch {
	case s.Mode == "allow" || s.Mode == "prefer":
		return fmt.Errorf("sslmode: allow and prefer fall back to plaintext silently and are refused; "+
			"valid values are %s", strings.Join(sslModes, ", "))
	case s.Mode != "" && !slices.Contains(sslModes, s.Mode):
		return fmt.Errorf("sslmode: valid values are %s", strings.Join(sslModes, ", "))
	case (s.Cert == "") != (s.Key == ""):
		return errors.New("sslcert, sslkey: give both or neither")
	case s.RootCert == "system" && s.Mode != "" && s.Mode != sslVerifyFull:
		// libpq's rule: anyone can get a certificate of a public authority, so the name
		// must be checked.
		return errors.New("sslrootcert: system needs sslmode=verify-full")
	}
	return nil
}

// modeFor is the sslmode in force for one host.
func (s *SSLConfig) modeFor(host string) string {
	switch {
	case s.Mode != "":
		return s.Mode
	case s.RootCert != "" || s.Cert != "": // TLS is wanted, but no mode is given: use the safest
		return sslVerifyFull
	case isLoopback(host):
		return sslDisable
	default:
		return sslVerifyFull
	}
}

// tlsConfig returns the TLS configuration for hostport, an entry of Hosts with or
// without its port; nil means plaintext. It reads the files that SSL names.
func (c *Config) tlsConfig(hostport string) (*tls.Config, error) {
	host, _, err := splitHostPort(hostport)
	if err != nil {
		return nil, fmt.Errorf("immudb: tls: %w", err)
	}
	if c.TLS != nil {
		t := c.TLS.Clone()
		if t.ServerName == "" {
			t.ServerName = host
		}
		return t, nil
	}
	mode := c.SSL.modeFor(host)
	if mode == sslDisable {
		return nil, nil
	}
	// pgconn's errors do not name the setting, so the files are checked first.
	for _, f := range []struct{ option, path string }{
		{"sslrootcert", c.SSL.RootCert}, {"sslcert", c.SSL.Cert}, {"sslkey", c.SSL.Key},
	} {
		if f.path == "" || f.option == "sslrootcert" && f.path == "system" {
			continue
		}
		if err := readable(f.path); err != nil {
			return nil, fmt.Errorf("immudb: tls: %s: %w", f.option, err)
		}
	}
	pc, err := parseByPgconn(map[string]string{
		"host": host, "user": c.User, "sslmode": mode, "sslrootcert": c.SSL.RootCert,
		"sslcert": c.SSL.Cert, "sslkey": c.SSL.Key, "sslpassword": c.SSL.Password,
	})
	if err != nil {
		return nil, fmt.Errorf("immudb: tls: sslmode=%s: %w", mode, err)
	}
	if c.SSL.NoSNI {
		hideServerName(pc.TLSConfig, host)
	}
	return pc.TLSConfig, nil
}

// hideServerName keeps host out of the handshake, but still checks it. gRPC and
// crypto/tls send a server name if they have one, so they get an IP address instead,
// which is never sent, and the name is checked here.
func hideServerName(t *tls.Config, host string) {
	t.ServerName = "0.0.0.0"
	if t.InsecureSkipVerify {
		return // require and verify-ca do not check the name
	}
	t.InsecureSkipVerify = true
	t.VerifyConnection = func(cs tls.ConnectionState) error {
		opts := x509.VerifyOptions{DNSName: host, Roots: t.RootCAs, Intermediates: x509.NewCertPool()}
		for _, cert := range cs.PeerCertificates[1:] {
			opts.Intermediates.AddCert(cert)
		}
		_, err := cs.PeerCertificates[0].Verify(opts)
		return err
	}
}

// credentials returns the gRPC credentials for an entry of Hosts.
func (c *Config) credentials(hostport string) (credentials.TransportCredentials, error) {
	t, err := c.tlsConfig(hostport)
	if err != nil {
		return nil, err
	}
	if c.TLS != nil {
		return explained{credentials.NewTLS(t), "Config.TLS", false}, nil
	}
	host, _, err := splitHostPort(hostport)
	if err != nil {
		return nil, fmt.Errorf("immudb: tls: %w", err)
	}
	setting := "sslmode=" + c.SSL.modeFor(host)
	switch {
	case t == nil:
		return explained{insecure.NewCredentials(), setting, true}, nil
	case c.SSL.NoSNI:
		return explained{unnamed{credentials.NewTLS(t)}, setting, false}, nil
	}
	return explained{credentials.NewTLS(t), setting, false}, nil
}

// unnamed are credentials that do not tell gRPC the server's name. gRPC would send the
// name that [hideServerName] sets as the authority of every call.
type unnamed struct {
	credentials.TransportCredentials
}

func (u unnamed) Info() credentials.ProtocolInfo {
	info := u.TransportCredentials.Info()
	//lint:ignore SA1019 gRPC still takes the authority from here, and refuses another one beside it.
	info.ServerName = ""
	return info
}

func (u unnamed) Clone() credentials.TransportCredentials {
	return unnamed{u.TransportCredentials.Clone()}
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// pgconnSettings are the settings that pgconn would otherwise take from PG* variables,
// ~/.postgresql or ~/.pgpass, each with a value that means "not set". (The user, which
// pgconn takes from the operating system, is always given.)
var pgconnSettings = map[string]string{
	"host": defaultHost, "port": defaultPort, "database": defaultDatabase, "password": "", "passfile": "",
	"sslmode": sslDisable, "sslrootcert": "", "sslcert": "", "sslkey": "", "sslpassword": "", "sslsni": "1",
	"sslcertmode": "allow", "sslnegotiation": "", "connect_timeout": "0", "target_session_attrs": "any",
	"min_protocol_version": "", "max_protocol_version": "", "channel_binding": "", "require_auth": "",
}

// parseByPgconn makes pgconn interpret only these settings. pgconn's errors hold the
// whole connection string; the returned error does not.
func parseByPgconn(settings map[string]string) (*pgconn.Config, error) {
	var b strings.Builder
	write := func(key, value string) {
		fmt.Fprintf(&b, "%s='%s' ", key, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value))
	}
	for key, unset := range pgconnSettings {
		if _, ok := settings[key]; !ok {
			write(key, unset)
		}
	}
	for key, value := range settings {
		write(key, value)
	}
	if os.Getenv("PGSERVICE") != "" {
		// A connection string cannot unset this variable, but it can name another file
		// with an empty service.
		path, err := emptyServiceFile()
		if err != nil {
			return nil, fmt.Errorf("PGSERVICE is set, and overriding it needs a writable temporary directory; unset it: %w", err)
		}
		defer os.Remove(path)
		write("service", "none")
		write("servicefile", path)
	}
	pc, err := pgconn.ParseConfig(b.String())
	if err == nil {
		return pc, nil
	}
	// The text and the ConnString field of this error hold the passwords; the wrapped
	// error does not. pgconn wraps none only when it refuses a port.
	if reason := errors.Unwrap(err); reason != nil {
		return nil, reason
	}
	return nil, errInvalidPort
}

func emptyServiceFile() (path string, err error) {
	f, err := os.CreateTemp("", "immudb-service-*")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString("[none]\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}
