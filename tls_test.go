package immudb

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{key: newKey(t), cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = writePEM(t, name+".pem", &pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, name string, b *pem.Block) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// issue returns a certificate with these names and addresses, for servers and clients.
func (a *authority) issue(t *testing.T, public any, names []string, addresses []net.IP) (der []byte) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: names, IPAddresses: addresses,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// seen is the information that a server got in one handshake.
type seen struct {
	serverName string // SNI
	client     string // common name of the client's certificate
}

// handshake makes gRPC connect to a server over loopback with these settings, as if the
// server were host.
func handshake(t *testing.T, server *tls.Config, c *Config, host string) (seen, error) {
	t.Helper()
	clientTLS, err := c.tlsOf(host).Config()
	if err != nil {
		t.Fatal(err)
	}
	if clientTLS == nil {
		t.Fatal("plaintext")
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	finished := make(chan seen, 1)
	server = server.Clone()
	server.VerifyConnection = func(state tls.ConnectionState) error {
		got := seen{serverName: state.ServerName}
		if len(state.PeerCertificates) > 0 {
			got.client = state.PeerCertificates[0].Subject.CommonName
		}
		finished <- got
		return nil
	}
	srv := grpc.NewServer(grpc.Creds(credentials.NewTLS(server)))
	go srv.Serve(lis)
	defer srv.Stop()
	cc, err := grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(credentials.NewTLS(clientTLS)),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return net.Dial("tcp", lis.Addr().String()) }))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	err = cc.Invoke(t.Context(), "/none/None", &emptypb.Empty{}, &emptypb.Empty{})
	if status.Code(err) != codes.Unimplemented { // the answer of a server without services
		return seen{}, err
	}
	return <-finished, nil
}

func TestEverySSLModeMeansWhatLibpqSays(t *testing.T) {
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	key := newKey(t)
	server := &tls.Config{NextProtos: []string{"h2"}, Certificates: []tls.Certificate{{
		Certificate: [][]byte{ours.issue(t, key.Public(), []string{"db1.test"}, []net.IP{net.IPv4(192, 0, 2, 1)})}, PrivateKey: key,
	}}}

	for _, row := range []struct {
		reason  string
		options string
		host    string
		refused string // part of the error; "" when the handshake succeeds
		sni     string
	}{
		{"require looks at nothing", "sslmode=require", "db2.test:3322", "", "db2.test"},
		{"require with an authority is verify-ca", "sslmode=require sslrootcert=" + ours.file, "db2.test:3322", "", "db2.test"},
		{"which refuses another authority", "sslmode=require sslrootcert=" + other.file, "db1.test:3322", "unknown authority", ""},
		{"verify-ca does not look at the name", "sslmode=verify-ca sslrootcert=" + ours.file, "db2.test:3322", "", "db2.test"},
		{"verify-ca refuses another authority", "sslmode=verify-ca sslrootcert=" + other.file, "db1.test:3322", "unknown authority", ""},
		{"verify-ca without a file trusts the system's", "sslmode=verify-ca", "db1.test:3322", "unknown authority", ""},
		{"verify-full accepts the name", "sslmode=verify-full sslrootcert=" + ours.file, "db1.test:3322", "", "db1.test"},
		{"verify-full accepts the address", "sslmode=verify-full sslrootcert=" + ours.file, "192.0.2.1:3322", "", ""},
		{"verify-full refuses another name", "sslmode=verify-full sslrootcert=" + ours.file, "db2.test:3322", "not db2.test", ""},
		{"verify-full refuses another address", "sslmode=verify-full sslrootcert=" + ours.file, "192.0.2.2:3322", "not 192.0.2.2", ""},
		{"verify-full refuses another authority", "sslmode=verify-full sslrootcert=" + other.file, "db1.test:3322", "unknown authority", ""},
		{"without sslmode, a remote host is verified", "sslrootcert=" + ours.file, "db2.test:3322", "not db2.test", ""},
		{"without anything, by the system's authorities", "", "db1.test:3322", "unknown authority", ""},
		{"system is the system's", "sslrootcert=system", "db1.test:3322", "unknown authority", ""},
		{"sslsni=0 hides the name, require", "sslmode=require sslsni=0", "db1.test:3322", "", ""},
		{"sslsni=0 hides the name, verify-ca", "sslmode=verify-ca sslsni=0 sslrootcert=" + ours.file, "db2.test:3322", "", ""},
		{"sslsni=0 still checks the authority, verify-ca", "sslmode=verify-ca sslsni=0 sslrootcert=" + other.file, "db1.test:3322", "unknown authority", ""},
		{"sslsni=0 hides the name, verify-full", "sslmode=verify-full sslsni=0 sslrootcert=" + ours.file, "db1.test:3322", "", ""},
		{"sslsni=0 still checks the name", "sslmode=verify-full sslsni=0 sslrootcert=" + ours.file, "db2.test:3322", "not db2.test", ""},
		{"sslsni=0 still checks the authority", "sslmode=verify-full sslsni=0 sslrootcert=" + other.file, "db1.test:3322", "unknown authority", ""},
	} {
		c, err := ParseDSN("user=ann host=db1.test " + row.options)
		if err != nil {
			t.Fatalf("%s: %v", row.reason, err)
		}
		got, err := handshake(t, server, c, row.host)
		switch {
		case row.refused != "" && (err == nil || !strings.Contains(err.Error(), row.refused)):
			t.Errorf("%s: got %v, want an error with %q", row.reason, err, row.refused)
		case row.refused == "" && err != nil:
			t.Errorf("%s: %v", row.reason, err)
		case row.refused == "" && got.serverName != row.sni:
			t.Errorf("%s: the server was told the name %q, want %q", row.reason, got.serverName, row.sni)
		}
	}
}

func TestWithoutSSLModeOnlyLoopbackIsPlaintext(t *testing.T) {
	for _, row := range []struct {
		host, options string
		plaintext     bool
	}{
		{"localhost", "", true},
		{"LOCALHOST", "", true},
		{"127.0.0.1", "", true},
		{"127.255.0.9", "", true},
		{"::1", "", true},
		{"::ffff:127.0.0.1", "", true},
		{"localhost.example", "", false}, // a name may resolve to any address
		{"my-localhost", "", false},
		{"127.0.0.1.example", "", false},
		{"128.0.0.1", "", false},
		{"10.0.0.1", "", false}, // a private network is not loopback
		{"0.0.0.0", "", false},
		{"::", "", false},
		{"db1", "", false},
		{"db1", "sslmode=disable", true}, // allowed if set explicitly
		{"127.0.0.1", "sslmode=require", false},
		{"127.0.0.1", "sslrootcert=system", false}, // an option with certificates means TLS
	} {
		// The rule for the first host must not depend on the second.
		c, err := ParseDSN("user=ann host=" + row.host + ",db9,127.0.0.1 " + row.options)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.tlsOf(c.Hosts[0]).Config()
		if err != nil {
			t.Errorf("%s %s: %v", row.host, row.options, err)
		} else if plaintext := got == nil; plaintext != row.plaintext {
			t.Errorf("%s %s: plaintext is %t", row.host, row.options, plaintext)
		}
	}
}

func TestAClientCertificateIsShownAlsoWithAnEncryptedKey(t *testing.T) {
	ca := newAuthority(t, "ca")
	key, clientKey := newKey(t), newRSAKey(t)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	server := &tls.Config{NextProtos: []string{"h2"}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		Certificates: []tls.Certificate{{Certificate: [][]byte{ca.issue(t, key.Public(), []string{"db1"}, nil)}, PrivateKey: key}}}
	cert := writePEM(t, "client.pem", &pem.Block{Type: "CERTIFICATE", Bytes: ca.issue(t, clientKey.Public(), nil, nil)})
	plain := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(clientKey)}
	//lint:ignore SA1019 sslpassword is for exactly these keys, which are still in use
	encrypted, err := x509.EncryptPEMBlock(rand.Reader, plain.Type, plain.Bytes, []byte(secret), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range []*pem.Block{plain, encrypted} {
		c := configWith(nil)
		c.SSL = SSLConfig{Mode: "verify-full", RootCert: ca.file, Cert: cert, Key: writePEM(t, "client.key", block), Password: secret}
		got, err := handshake(t, server, c, "db1:3322")
		if err != nil || got.client != "leaf" {
			t.Errorf("the server saw %q, %v", got.client, err)
		}
	}

	c := configWith(nil)
	c.SSL = SSLConfig{Mode: "require", Cert: cert, Key: writePEM(t, "client.key", encrypted), Password: secret + "wrong"}
	_, err = c.tlsOf("db1:3322").Config()
	if err == nil || !strings.HasPrefix(err.Error(), "immudb: tls: sslmode=require: unable to decrypt key") {
		t.Errorf("a wrong password: %v", err)
	}
	mustHideSecret(t, err)
}

func newRSAKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestFilesThatCannotBeUsedAreNamedWithTheirOption(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		ssl     SSLConfig
		want    string
		missing bool
	}{
		{SSLConfig{RootCert: text + "x"}, "immudb: tls: sslrootcert: open " + text + "x", true},
		{SSLConfig{Cert: text + "x", Key: text}, "immudb: tls: sslcert: open " + text + "x", true},
		{SSLConfig{Cert: text, Key: text + "x"}, "immudb: tls: sslkey: open " + text + "x", true},
		{SSLConfig{RootCert: text}, "immudb: tls: sslmode=verify-full: unable to add CA", false},
		{SSLConfig{Cert: text, Key: text}, "immudb: tls: sslmode=verify-full: failed to decode sslkey", false},
	} {
		c := configWith(nil)
		c.Password, c.SSL = secret, row.ssl
		c.SSL.Password = secret
		_, err := c.tlsOf("db1:3322").Config()
		if err == nil || !strings.HasPrefix(err.Error(), row.want) || errors.Is(err, fs.ErrNotExist) != row.missing {
			t.Errorf("got %v, want %s", err, row.want)
		}
		mustHideSecret(t, err)
	}
}

func TestTLSOfTheConfigTakesThePlaceOfSSL(t *testing.T) {
	c := configWith(nil)
	c.SSL.Mode = "disable"
	c.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	got, err := c.tlsOf("127.0.0.1:3322").Config()
	if err != nil || got.MinVersion != tls.VersionTLS13 || got.ServerName != "127.0.0.1" {
		t.Errorf("got %+v, %v", got, err)
	}
	if c.TLS.ServerName != "" {
		t.Error("the user's tls.Config was changed")
	}
	c.TLS.ServerName = "other"
	if got, err = c.tlsOf("db1:3322").Config(); err != nil || got.ServerName != "other" {
		t.Errorf("the name set by the user is %q, %v", got.ServerName, err)
	}
}
