package immudb_test

import (
	"context"
	"database/sql"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// If the client and the server disagree about TLS, the connection fails at once, with an error that names the setting
// and the value to set instead.
func TestTLSMismatchErrorNamesTheSetting(t *testing.T) {
	plain, encrypted, another := testserver.Start(t, "-synced=false"), testserver.Start(t, "-synced=false", "-tls"), testserver.Start(t, "-synced=false", "-tls")
	demanding := testserver.Start(t, "-synced=false", "-tls", "-client-certs")
	ca := encrypted.Info().CAFile
	for _, row := range []struct {
		reason  string
		server  *testserver.Server
		host    string
		options string
		want    []string // parts of the error
	}{
		{"TLS to a plain server", plain, "127.0.0.1", "sslmode=require", []string{"sslmode=require: the server does not use TLS", "sslmode=disable"}},
		{"TLS with every check to a plain server", plain, "127.0.0.1", "sslmode=verify-full sslrootcert=" + ca, []string{"sslmode=verify-full: the server does not use TLS", "sslmode=disable"}},
		{"TLS because the host is none of ours", plain, "db.test", "", []string{"sslmode=verify-full: the server does not use TLS", "sslmode=disable"}},
		{"plaintext to a TLS server", encrypted, "127.0.0.1", "", []string{"sslmode=disable: the server closed the connection", "set sslmode=verify-full", "sslrootcert"}},
		{"plaintext to a TLS server that asks for certificates", demanding, "127.0.0.1", "sslmode=disable", []string{"sslmode=disable: the server closed the connection", "set sslmode=verify-full"}},
		{"a private authority without its file", encrypted, "127.0.0.1", "sslmode=verify-full", []string{"sslmode=verify-full: the server's certificate was not issued by a trusted authority", "sslrootcert"}},
		{"another authority", encrypted, "127.0.0.1", "sslmode=verify-full sslrootcert=" + another.Info().CAFile, []string{"sslmode=verify-full: the server's certificate was not issued by a trusted authority", "sslrootcert"}},
		{"another authority, verify-ca", encrypted, "127.0.0.1", "sslmode=verify-ca sslrootcert=" + another.Info().CAFile, []string{"sslmode=verify-ca: the server's certificate was not issued by a trusted authority", "sslrootcert"}},
		{"another name", encrypted, "db.test", "sslmode=verify-full sslrootcert=" + ca, []string{"sslmode=verify-full: the server's certificate is for another name", "db.test", "sslmode=verify-ca"}},
		{"another name, not sent", encrypted, "db.test", "sslmode=verify-full sslsni=0 sslrootcert=" + ca, []string{"sslmode=verify-full: the server's certificate is for another name", "sslmode=verify-ca"}},
		{"no client certificate", demanding, "127.0.0.1", "sslmode=verify-full sslrootcert=" + demanding.Info().CAFile, []string{"sslmode=verify-full: the server", "sslcert and sslkey"}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			_, port, err := net.SplitHostPort(row.server.Addr())
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := immudb.ParseDSN("user=immudb password=immudb host=" + row.host + " port=" + port + " " + row.options)
			if err != nil {
				t.Fatal(err)
			}
			cfg.DialContext = func(ctx context.Context, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", row.server.Addr())
			}
			connector, err := immudb.NewConnector(cfg)
			if err != nil {
				t.Fatal(err)
			}
			db := sql.OpenDB(connector)
			defer db.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			err = db.PingContext(ctx)
			for _, want := range row.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("err = %v, want one that names %s", err, want)
				}
			}
		})
	}
}
