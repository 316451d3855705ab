// Package tlscreds makes the gRPC credentials of a connection from libpq's TLS
// settings. Their errors name the setting that does not fit the server, and they
// follow certificate files that are replaced.
package tlscreds

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/immudb-go/immudb/internal/libpq"
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

// SSL says how a connection is encrypted and how the server is checked.
type SSL struct {
	Mode     string // an sslmode, or "": see [SSL.modeFor]
	RootCert string // file of the authorities to trust, or "system"; "": the system's
	Cert     string // file of the client's certificate
	Key      string // file of its private key
	Password string // of Key, if that is encrypted
	NoSNI    bool   // do not name the host in the handshake
}

// Check refuses settings that contradict each other.
func (s SSL) Check() error {
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
func (s SSL) modeFor(host string) string {
	switch {
	case s.Mode != "":
		return s.Mode
	case s.RootCert != "" || s.Cert != "": // TLS is wanted, but no mode is given: use the safest
		return sslVerifyFull
	case libpq.IsLoopback(host):
		return sslDisable
	default:
		return sslVerifyFull
	}
}

// Settings are those of the connections to one server.
type Settings struct {
	Addr string // of the server, with or without its port
	SSL  SSL
	TLS  *tls.Config // takes the place of SSL, if it is not nil
}

// Config returns the TLS configuration; nil means plaintext. It reads the files that SSL
// names.
func (s Settings) Config() (*tls.Config, error) {
	host, _, err := libpq.SplitHostPort(s.Addr)
	if err != nil {
		return nil, fmt.Errorf("immudb: tls: %w", err)
	}
	if s.TLS != nil {
		t := s.TLS.Clone()
		if t.ServerName == "" {
			t.ServerName = host
		}
		return t, nil
	}
	mode := s.SSL.modeFor(host)
	if mode == sslDisable {
		return nil, nil
	}
	// pgconn's errors do not name the setting, so the files are checked first.
	for _, f := range []struct{ option, path string }{
		{"sslrootcert", s.SSL.RootCert}, {"sslcert", s.SSL.Cert}, {"sslkey", s.SSL.Key},
	} {
		if f.path == "" || f.option == "sslrootcert" && f.path == "system" {
			continue
		}
		if err := libpq.Readable(f.path); err != nil {
			return nil, fmt.Errorf("immudb: tls: %s: %w", f.option, err)
		}
	}
	pc, err := libpq.Parse(map[string]string{
		"host": host, "user": "none", "sslmode": mode, "sslrootcert": s.SSL.RootCert,
		"sslcert": s.SSL.Cert, "sslkey": s.SSL.Key, "sslpassword": s.SSL.Password,
	})
	if err != nil {
		return nil, fmt.Errorf("immudb: tls: sslmode=%s: %w", mode, err)
	}
	if s.SSL.NoSNI {
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

// credentials returns credentials made of the files as they are now.
func (s Settings) credentials() (credentials.TransportCredentials, error) {
	t, err := s.Config()
	if err != nil {
		return nil, err
	}
	if s.TLS != nil {
		return explained{credentials.NewTLS(t), "Config.TLS", false}, nil
	}
	host, _, err := libpq.SplitHostPort(s.Addr)
	if err != nil {
		return nil, fmt.Errorf("immudb: tls: %w", err)
	}
	setting := "sslmode=" + s.SSL.modeFor(host)
	switch {
	case t == nil:
		return explained{insecure.NewCredentials(), setting, true}, nil
	case s.SSL.NoSNI:
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
