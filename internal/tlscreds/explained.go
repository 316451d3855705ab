package tlscreds

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc/credentials"
)

// explained are credentials whose errors name the setting that does not fit the server,
// and the value to set instead.
type explained struct {
	credentials.TransportCredentials
	setting string // the setting in force, for errors: sslmode=require, or Config.TLS
	plain   bool   // the connection is not encrypted
}

func (e explained) Clone() credentials.TransportCredentials {
	e.TransportCredentials = e.TransportCredentials.Clone()
	return e
}

func (e explained) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := e.TransportCredentials.ClientHandshake(ctx, authority, raw)
	switch {
	case err == nil:
		return &firstRead{Conn: conn, of: e}, info, nil
	case ctx.Err() != nil:
		return nil, nil, err
	}
	return nil, nil, e.explain(err)
}

// explain adds the setting and the remedy to an error.
func (e explained) explain(err error) error {
	var (
		record  tls.RecordHeaderError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		remote  *net.OpError
	)
	remedy := ""
	switch {
	case errors.As(err, &record):
		remedy = "the server does not use TLS; turn it on there, or set sslmode=disable if plaintext is acceptable"
	case errors.As(err, &unknown):
		remedy = "the server's certificate was not issued by a trusted authority; set sslrootcert to the file with the authority's certificate"
	case errors.As(err, &name):
		remedy = "the server's certificate is for another name; write the host as in the certificate, or set sslmode=verify-ca, which does not check the name"
	case errors.As(err, &invalid):
		remedy = "the server's certificate is not valid; renew it"
	case errors.As(err, &remote) && remote.Op == "remote error": // an alert
		remedy = "the server refused the client's TLS handshake; if it requires a certificate, set sslcert and sslkey"
	case !isCutOff(err):
		return err
	case e.plain:
		remedy = "the server closed the connection without an answer; if it uses TLS, set sslmode=verify-full, and sslrootcert if its authority is not a public one"
	default:
		remedy = "the server closed the connection without an answer; if it requires a certificate, set sslcert and sslkey; if it does not use TLS, turn it on there, or set sslmode=disable"
	}
	return fmt.Errorf("%s: %s (%w)", e.setting, remedy, err)
}

func isCutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, errTLSAlert)
}

// firstRead is a connection that checks the first bytes from the server: they show
// whether both sides use TLS or both do not.
type firstRead struct {
	net.Conn
	of    explained
	heard atomic.Bool
}

// tlsAlert is the first byte of a TLS server's answer to plaintext, if there is one. An
// HTTP/2 connection cannot begin with it: the first frame would be too long.
const tlsAlert = 21

var errTLSAlert = errors.New("the answer is a TLS alert")

func (c *firstRead) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.heard.Load() {
		return n, err
	}
	c.heard.Store(n > 0)
	switch {
	case n > 0 && c.of.plain && b[0] == tlsAlert:
		return 0, c.of.explain(errTLSAlert)
	case n == 0 && err != nil:
		return 0, c.of.explain(err)
	}
	return n, err
}

// Write explains errors too: a Write may be the first call that fails when the server has
// closed the connection.
func (c *firstRead) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && !c.heard.Load() {
		err = c.of.explain(err)
	}
	return n, err
}
