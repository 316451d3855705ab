package immudbtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificates is a certificate authority with one certificate for the server and one for its clients, as PEM files in one
// directory.
type certificates struct {
	caFile         string
	clientCertFile string
	clientKeyFile  string

	pool   *x509.CertPool
	server tls.Certificate
}

const certificateLife = 24 * time.Hour

// loadOrCreateCertificates uses the directory's certificates while they are valid, so that clients of a server
// that was restarted by another process still trust it, and makes new ones otherwise.
func loadOrCreateCertificates(dir string) (*certificates, error) {
	c, err := loadCertificates(dir)
	if err == nil {
		return c, nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errExpired) {
		return nil, err
	}
	if err := createCertificates(dir); err != nil {
		return nil, err
	}
	return loadCertificates(dir)
}

var errExpired = errors.New("the certificate has expired")

func loadCertificates(dir string) (*certificates, error) {
	file := func(name string) string { return filepath.Join(dir, name) }
	c := &certificates{
		caFile:         file("ca.pem"),
		clientCertFile: file("client.pem"),
		clientKeyFile:  file("client.key"),
		pool:           x509.NewCertPool(),
	}
	ca, err := os.ReadFile(c.caFile)
	if err != nil {
		return nil, err
	}
	if !c.pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", c.caFile)
	}
	if c.server, err = tls.LoadX509KeyPair(file("server.pem"), file("server.key")); err != nil {
		return nil, err
	}
	// Certificates are replaced an hour before they expire.
	if time.Now().Add(time.Hour).After(c.server.Leaf.NotAfter) {
		return nil, errExpired
	}
	return c, nil
}

func (c *certificates) serverConfig(demandClient bool) *tls.Config {
	cfg := &tls.Config{Certificates: []tls.Certificate{c.server}, ClientCAs: c.pool, MinVersion: tls.VersionTLS12}
	if demandClient {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return cfg
}

// clientConfig is the TLS configuration for the calls of this package.
func (c *certificates) clientConfig() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(c.clientCertFile, c.clientKeyFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: c.pool, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

func createCertificates(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	now := time.Now()
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber:          big.NewInt(now.UnixNano()),
			Subject:               pkix.Name{CommonName: name},
			NotBefore:             now.Add(-time.Hour),
			NotAfter:              now.Add(certificateLife),
			BasicConstraintsValid: true,
		}
	}
	ca := template("immudbtest authority")
	ca.IsCA = true
	ca.KeyUsage = x509.KeyUsageCertSign
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}

	srv := template("immudbtest server")
	srv.SerialNumber.Add(ca.SerialNumber, big.NewInt(1))
	srv.KeyUsage = x509.KeyUsageDigitalSignature
	srv.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	srv.DNSNames = []string{"localhost"}
	srv.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}

	client := template("immudbtest client")
	client.SerialNumber.Add(ca.SerialNumber, big.NewInt(2))
	client.KeyUsage = x509.KeyUsageDigitalSignature
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}

	// The authority is written last: if its file exists, the others are complete.
	for _, leaf := range []struct {
		name string
		cert *x509.Certificate
	}{{"server", srv}, {"client", client}} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf.cert, ca, &key.PublicKey, caKey)
		if err != nil {
			return err
		}
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		if err := writePEM(filepath.Join(dir, leaf.name+".key"), "PRIVATE KEY", keyDER); err != nil {
			return err
		}
		if err := writePEM(filepath.Join(dir, leaf.name+".pem"), "CERTIFICATE", der); err != nil {
			return err
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, "ca.pem"), "CERTIFICATE", der)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
