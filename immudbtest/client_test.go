package immudbtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/url"
	"os"
	"testing"

	"github.com/codenotary/immudb/pkg/api/schema"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// client is a session that needs only a DSN.
type client struct {
	schema.ImmuServiceClient
	ctx context.Context // carries the session
}

func connect(tb testing.TB, dsn string) *client {
	tb.Helper()
	c, err := dial(tb, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// dial returns the error of a login, and fails the test for any other.
func dial(tb testing.TB, dsn string) (*client, error) {
	tb.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+u.Host, grpc.WithTransportCredentials(transport(tb, u.Query())))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := conn.Close(); err != nil {
			tb.Error(err)
		}
	})
	c := schema.NewImmuServiceClient(conn)
	password, _ := u.User.Password()
	s, err := c.OpenSession(tb.Context(), &schema.OpenSessionRequest{
		Username:     []byte(u.User.Username()),
		Password:     []byte(password),
		DatabaseName: u.Path[1:],
	})
	if err != nil {
		return nil, err
	}
	return &client{c, metadata.AppendToOutgoingContext(tb.Context(), "sessionid", s.GetSessionID())}, nil
}

func transport(tb testing.TB, q url.Values) credentials.TransportCredentials {
	tb.Helper()
	switch mode := q.Get("sslmode"); mode {
	case "disable":
		return insecure.NewCredentials()
	case "verify-full":
	default:
		tb.Fatalf("sslmode is %q", mode)
	}
	pem, err := os.ReadFile(q.Get("sslrootcert"))
	if err != nil {
		tb.Fatal(err)
	}
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		tb.Fatalf("no certificate in %s", q.Get("sslrootcert"))
	}
	if file := q.Get("sslcert"); file != "" {
		cert, err := tls.LoadX509KeyPair(file, q.Get("sslkey"))
		if err != nil {
			tb.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return credentials.NewTLS(cfg)
}

func (c *client) exec(sql string) error {
	_, err := c.SQLExec(c.ctx, &schema.SQLExecRequest{Sql: sql})
	return err
}

// query returns the rows as text, and how many of them each message brought.
func (c *client) query(sql string) (rows []string, batches []int, err error) {
	stream, err := c.SQLQuery(c.ctx, &schema.SQLQueryRequest{Sql: sql, AcceptStream: true})
	if err != nil {
		return nil, nil, err
	}
	for {
		batch, err := stream.Recv()
		if err == io.EOF {
			return rows, batches, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if len(batch.GetRows()) > 0 {
			batches = append(batches, len(batch.GetRows()))
		}
		for _, row := range batch.GetRows() {
			text := ""
			for i, v := range row.GetValues() {
				if i > 0 {
					text += " "
				}
				text += fmt.Sprint(schema.RawValue(v))
			}
			rows = append(rows, text)
		}
	}
}

// must runs statements that must succeed.
func (c *client) must(tb testing.TB, statements ...string) {
	tb.Helper()
	for _, sql := range statements {
		if err := c.exec(sql); err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
	}
}

// rows runs a query that must succeed.
func (c *client) rows(tb testing.TB, sql string) []string {
	tb.Helper()
	rows, _, err := c.query(sql)
	if err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	return rows
}
