package immudbtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
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

// callPatience bounds a call of this package to its server.
const callPatience = 30 * time.Second

// replicaPatience is how long a new replica may take to receive its users.
const replicaPatience = 30 * time.Second

// writeBuffer is the size in bytes of a database's write buffers. The server's defaults, 16 MiB and 4 MiB, need 60 MiB for
// each open database and do not make tests faster.
const writeBuffer = 64 << 10

// NewDatabase creates an empty database and returns its DSN. It takes about 60 ms, nearly all of it for a login. When the
// test and its subtests have ended the database is discarded, so that a server for hundreds of tests needs no more memory
// than one for a few. If the database cannot be created, the test fails.
func (s *Server) NewDatabase(tb testing.TB) string {
	tb.Helper()
	dsn, err := s.CreateDatabase(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.DiscardDatabase(dsn) })
	return dsn
}

// CreateDatabase is NewDatabase for programs that are not tests. It uses one session while it runs. The database stays
// until DiscardDatabase or Close; while it is open it needs about 50 MB of memory.
func (s *Server) CreateDatabase(ctx context.Context) (dsn string, err error) {
	// Names hold lower-case letters, digits and underscores.
	name := "db" + strings.ToLower(rand.Text())
	buffer := &schema.NullableUint32{Value: writeBuffer}
	request := &schema.CreateDatabaseRequest{Name: name, Settings: &schema.DatabaseNullableSettings{
		WriteBufferSize: buffer,
		AhtSettings:     &schema.AHTNullableSettings{WriteBufferSize: buffer},
	}}
	err = s.session(ctx, func(ctx context.Context, c schema.ImmuServiceClient) error {
		if err := s.dropDiscarded(ctx, c); err != nil {
			return err
		}
		_, err := c.CreateDatabaseV2(ctx, request)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("immudbtest: making a database: %w", err)
	}
	return s.dsn(name), nil
}

// DiscardDatabase marks a database as not needed any more, by the DSN that CreateDatabase returned. The server drops it,
// with its data, when the next database is created, so that one login is enough for both.
func (s *Server) DiscardDatabase(dsn string) {
	u, err := url.Parse(dsn)
	if err != nil {
		return // CreateDatabase did not create it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.discarded = append(s.discarded, strings.TrimPrefix(u.Path, "/"))
}

// dropDiscarded drops the discarded databases.
func (s *Server) dropDiscarded(ctx context.Context, c schema.ImmuServiceClient) error {
	s.mu.Lock()
	names := s.discarded
	s.discarded = nil
	s.mu.Unlock()
	for _, name := range names {
		// A database must be unloaded before it can be deleted. The test may have done either already.
		_, unloadErr := c.UnloadDatabase(ctx, &schema.UnloadDatabaseRequest{Database: name})
		_, err := c.DeleteDatabase(ctx, &schema.DeleteDatabaseRequest{Database: name})
		if err != nil && !isGone(err) {
			return fmt.Errorf("dropping database %s: %w", name, errors.Join(unloadErr, err))
		}
	}
	return nil
}

// isGone reports whether the error means that the database does not exist. For a deleted database the server still has
// the name, but no settings.
func isGone(err error) bool {
	return strings.Contains(err.Error(), "database does not exist") || strings.Contains(err.Error(), "key not found")
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
