package immudbtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/codenotary/immudb/pkg/api/schema"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
)

// callPatience bounds a call that the package makes to its own server.
const callPatience = 30 * time.Second

// replicaPatience is how long a new replica may take to receive its users.
const replicaPatience = 30 * time.Second

// NewDatabase makes an empty database and returns its DSN. It costs about 60 ms, nearly all of it a login; hundreds
// of databases do no harm. A failure fails the test.
func (s *Server) NewDatabase(tb testing.TB) string {
	tb.Helper()
	dsn, err := s.CreateDatabase(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return dsn
}

// CreateDatabase is NewDatabase for programs that are not tests. It needs one session for the moment it takes.
func (s *Server) CreateDatabase(ctx context.Context) (dsn string, err error) {
	// Names hold lower-case letters, digits and underscores.
	name := "db" + strings.ToLower(rand.Text())
	err = s.session(ctx, func(ctx context.Context, c schema.ImmuServiceClient) error {
		_, err := c.CreateDatabaseV2(ctx, &schema.CreateDatabaseRequest{Name: name})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("immudbtest: making a database: %w", err)
	}
	return s.dsn(name), nil
}

// awaitLogin returns once the administrator can log in.
func (s *Server) awaitLogin(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := s.session(ctx, func(context.Context, schema.ImmuServiceClient) error { return nil })
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("immudbtest: no login after %v; is the primary reachable? %w", patience, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// session calls f with a client that is logged in as the administrator, and ends the session.
func (s *Server) session(ctx context.Context, f func(context.Context, schema.ImmuServiceClient) error) (err error) {
	if _, err := s.running(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	creds := insecure.NewCredentials()
	if s.cert != nil {
		cfg, err := s.cert.clientConfig()
		if err != nil {
			return err
		}
		creds = credentials.NewTLS(cfg)
	}
	conn, err := grpc.NewClient("passthrough:///"+s.Addr(), grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	c := schema.NewImmuServiceClient(conn)
	opened, err := c.OpenSession(ctx, &schema.OpenSessionRequest{
		Username:     []byte(adminUser),
		Password:     []byte(s.cfg.password),
		DatabaseName: defaultDatabase,
	})
	if err != nil {
		return err
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "sessionid", opened.GetSessionID())
	err = f(ctx, c)
	_, closeErr := c.CloseSession(ctx, &emptypb.Empty{})
	return errors.Join(err, closeErr)
}
