package immudb_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/immudb-go/immudb"
)

// Each way not to reach a server is ErrUnreachable; only those that may pass are
// retryable.
func TestAServerThatCannotBeReachedIsErrUnreachable(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })

	web := httptest.NewUnstartedServer(nil)
	web.EnableHTTP2 = true
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	t.Cleanup(web.Close)

	plain := httptest.NewServer(nil)
	t.Cleanup(plain.Close)

	for _, test := range []struct {
		name, dsn string
		dial      func(context.Context, string) (net.Conn, error)
		retryable bool
	}{
		{"nobody listens", "immudb://u:p@127.0.0.1:1/d?sslmode=disable", nil, true},
		{"nobody answers", "immudb://u:p@" + silent.Addr().String() + "/d?sslmode=disable&connect_timeout=50ms", nil, true},
		{"the name server does not answer", "immudb://u:p@db.example/d?sslmode=disable", func(context.Context, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "server misbehaving", Name: "db.example", IsTemporary: true}
		}, true},
		{"the host's name is unknown", "immudb://u:p@db.example/d?sslmode=disable", func(context.Context, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "db.example", IsNotFound: true}
		}, false},
		{"the certificate is of no trusted authority", "immudb://u:p@" + web.Listener.Addr().String() + "/d?sslmode=verify-full", nil, false},
		{"the server does not speak TLS", "immudb://u:p@" + plain.Listener.Addr().String() + "/d?sslmode=require", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg, err := immudb.ParseDSN(test.dsn)
			if err != nil {
				t.Fatal(err)
			}
			cfg.DialContext = test.dial
			connector, err := immudb.NewConnector(cfg)
			if err != nil {
				t.Fatal(err)
			}
			db := sql.OpenDB(connector)
			t.Cleanup(func() { _ = db.Close() })
			err = db.PingContext(t.Context())
			var e *immudb.Error
			if !errors.Is(err, immudb.ErrUnreachable) || !errors.As(err, &e) {
				t.Fatalf("Ping returned %v", err)
			}
			if e.SQLState != "08001" || e.Retryable() != test.retryable {
				t.Errorf("SQLSTATE %s, retryable %t: %v", e.SQLState, e.Retryable(), err)
			}
		})
	}
}
