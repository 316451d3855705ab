package immudb

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

// explained are credentials whose failures name the setting that does not fit the
// server, and what to write instead.
type explained struct {
	credentials.TransportCredentials
	setting string // what decides, as errors name it: sslmode=require, or Config.TLS
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

// explain adds to a failure what it says about the setting.
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
		remedy = "the server does not speak TLS; turn it on there, or write sslmode=disable if plaintext will do"
	case errors.As(err, &unknown):
		remedy = "the server's certificate is of no authority that is trusted; name the file of its authority with sslrootcert"
	case errors.As(err, &name):
		remedy = "the server's certificate is for another name; write the host as the certificate names it, or sslmode=verify-ca, which does not look at the name"
	case errors.As(err, &invalid):
		remedy = "the server's certificate is not valid; renew it"
	case errors.As(err, &remote) && remote.Op == "remote error": // an alert
		remedy = "the server refuses the client's side; if it asks for a certificate, give sslcert and sslkey"
	case !isCutOff(err):
		return err
	case e.plain:
		remedy = "the server ended the connection before it said a word; if it speaks TLS, write sslmode=verify-full, with sslrootcert if its authority is not a public one"
	default:
		remedy = "the server ended the connection before it said a word; if it asks for a certificate, give sslcert and sslkey; if it does not speak TLS, turn it on there, or write sslmode=disable"
	}
	return fmt.Errorf("%s: %s (%w)", e.setting, remedy, err)
}

func isCutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, errTLSAlert)
}

// firstRead is a connection that has not heard of its server: what comes first tells
// whether both agree on TLS.
type firstRead struct {
	net.Conn
	of    explained
	heard atomic.Bool
}

// tlsAlert is the first byte of what a TLS server answers to plaintext, if it answers
// at all. No HTTP/2 connection begins with it: a first frame is not that long.
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

// Write explains a failure too: a server that ends the connection may be met here
// first.
func (c *firstRead) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && !c.heard.Load() {
		err = c.of.explain(err)
	}
	return n, err
}
