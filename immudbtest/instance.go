package immudbtest

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"reflect"
	"sync"
	"unsafe"

	"github.com/codenotary/immudb/embedded/logger"
	"github.com/codenotary/immudb/pkg/api/protomodel"
	"github.com/codenotary/immudb/pkg/api/schema"
	"github.com/codenotary/immudb/pkg/auth"
	"github.com/codenotary/immudb/pkg/server"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/reflection"
)

// globals guards the variables of the server's auth package, which Initialize writes and every call reads.
var globals sync.RWMutex

var errUnknownVersion = errors.New("this version of github.com/codenotary/immudb is unknown here; use v1.11.1")

// instance is one run of the server, from start to stop.
//
// It does not use the server's Start, which catches SIGINT and SIGTERM until the process ends, ends the process if a port
// fails, and prints to standard output.
type instance struct {
	imm  *server.ImmuServer
	grpc *grpc.Server
	lis  *listener
	quit <-chan struct{}
	wg   sync.WaitGroup
}

// startInstance serves on l. It owns l unless it fails.
func startInstance(s *Server, l net.Listener) (_ *instance, err error) {
	imm := server.DefaultServer()
	quit, err := quitChannel(imm)
	if err != nil {
		return nil, err
	}
	imm.WithOptions(serverOptions(s, l))
	if err := s.log.attach(imm.Logger); err != nil {
		return nil, err
	}

	globals.Lock()
	err = imm.Initialize()
	globals.Unlock()
	if err != nil {
		// A failed Initialize does not close the databases that it has opened.
		return nil, errors.Join(err, imm.CloseDatabases())
	}

	imm.GrpcServer.Stop() // made by Initialize, replaced below
	imm.SessManager = newQuietSessions(imm.SessManager, imm.Options.SessionsOptions.MaxSessions)
	i := &instance{imm: imm, grpc: newGRPCServer(imm), lis: newListener(l), quit: quit}
	if err := imm.SessManager.StartSessionsGuard(); err != nil {
		return nil, errors.Join(err, imm.CloseDatabases())
	}
	i.wg.Go(func() { _ = i.grpc.Serve(i.lis) }) // it fails only when stop closes the listener
	if imm.PgsqlSrv != nil {
		i.wg.Go(func() { _ = imm.PgsqlSrv.Serve() })
	}
	return i, nil
}

// stop ends the running calls, closes the listener and the databases, and returns when all is done.
func (i *instance) stop() error {
	i.lis.shut()
	i.grpc.Stop()
	var pgErr error
	if i.imm.PgsqlSrv != nil {
		pgErr = i.imm.PgsqlSrv.Stop()
	}
	i.wg.Wait()
	done := make(chan error, 1)
	go func() { done <- i.imm.Stop() }()
	<-i.quit
	return errors.Join(pgErr, <-done)
}

// quitChannel returns the channel on which the server's Stop sends to its Start. This package does not run Start, and Stop
// never returns without a receiver.
func quitChannel(imm *server.ImmuServer) (<-chan struct{}, error) {
	f := reflect.ValueOf(imm).Elem().FieldByName("quit")
	if !f.IsValid() || f.Type() != reflect.TypeFor[chan struct{}]() {
		return nil, errUnknownVersion
	}
	return *(*chan struct{})(unsafe.Pointer(f.UnsafeAddr())), nil
}

func serverOptions(s *Server, l net.Listener) *server.Options {
	o := server.DefaultOptions().
		WithDir(s.dir).
		WithAddress("127.0.0.1").
		WithPort(l.Addr().(*net.TCPAddr).Port).
		WithListener(l).
		WithConfig("").
		// The encoded form keeps the password out of the settings that the server logs.
		WithAdminPassword("enc:" + base64.StdEncoding.EncodeToString([]byte(s.cfg.password))).
		WithForceAdminPassword(s.cfg.forcePassword && s.cfg.replicaOf == "").
		WithSigningKey(s.cfg.signingKey).
		WithSynced(*s.cfg.synced).
		WithMetricsServer(false).
		WithWebServer(false).
		WithSwaggerUIEnabled(false).
		WithPgsqlServer(s.cfg.pg).
		WithPgsqlServerPort(s.pgPort).
		WithNoHistograms(true).
		WithLogFormat(logger.LogFormatJSON) // with any other the server prints a banner to standard output
	if s.cert != nil {
		o.WithTLS(s.cert.serverConfig(s.cfg.clientCert))
	}
	if s.cfg.maxResultSize > 0 {
		o.WithMaxResultSize(s.cfg.maxResultSize)
	}
	if s.cfg.syncReplicas > 0 {
		o.ReplicationOptions.WithSyncReplication(true)
		if s.cfg.replicaOf == "" {
			o.ReplicationOptions.WithSyncAcks(s.cfg.syncReplicas)
		}
	}
	if s.cfg.replicaOf != "" {
		o.ReplicationOptions.WithIsReplica(true).
			WithPrimaryHost("127.0.0.1").
			WithPrimaryPort(s.feed.port()).
			WithPrimaryUsername(adminUser).
			WithPrimaryPassword(s.cfg.primary.password)
	}
	sessionOptions(s.cfg, o.SessionsOptions)
	return o
}

// newGRPCServer makes a gRPC server with the same services and interceptors, in the same order, as the server's, except
// the interceptors for the metrics port.
func newGRPCServer(imm *server.ImmuServer) *grpc.Server {
	uuid := server.NewUUIDContext(imm.UUID)
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(imm.Options.MaxRecvMsgSize),
		// The databases must not be closed while a call still runs.
		grpc.WaitForHandlers(true),
		grpc.ChainUnaryInterceptor(
			server.ErrorMapper,
			imm.KeepAliveSessionInterceptor,
			uuid.UUIDContextSetter,
			authUnary,
			imm.SessionAuthInterceptor,
			imm.InjectRequestMetadataUnaryInterceptor,
		),
		grpc.ChainStreamInterceptor(
			server.ErrorMapperStream,
			imm.KeepALiveSessionStreamInterceptor,
			uuid.UUIDStreamContextSetter,
			authStream,
			imm.InjectRequestMetadataStreamInterceptor,
		),
	}
	if imm.Options.TLSConfig != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(imm.Options.TLSConfig)))
	}
	g := grpc.NewServer(opts...)
	schema.RegisterImmuServiceServer(g, imm)
	protomodel.RegisterDocumentServiceServer(g, imm)
	reflection.Register(g)
	imm.GrpcServer = g
	return g
}

// authUnary is the server's check of the user. It holds globals only during the check.
func authUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	globals.RLock()
	unlock := sync.OnceFunc(globals.RUnlock)
	defer unlock()
	return auth.ServerUnaryInterceptor(ctx, req, info, func(ctx context.Context, req any) (any, error) {
		unlock()
		return handler(ctx, req)
	})
}

// authStream is authUnary for streams.
func authStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	globals.RLock()
	unlock := sync.OnceFunc(globals.RUnlock)
	defer unlock()
	return auth.ServerStreamInterceptor(srv, stream, info, func(srv any, stream grpc.ServerStream) error {
		unlock()
		return handler(srv, stream)
	})
}

// logWriter passes the server's log on until close. Goroutines of the server may log after it, and writing to a test's
// output after the test panics.
type logWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func newLogWriter(w io.Writer) *logWriter { return &logWriter{w: w} }

// attach redirects the logger of a new server, which writes to standard error. Setting another logger is not enough: parts
// of the server keep the first one.
func (l *logWriter) attach(serverLogger logger.Logger) error {
	simple, ok := serverLogger.(*logger.SimpleLogger)
	if !ok {
		return errUnknownVersion
	}
	simple.Logger.SetOutput(l)
	if l.w == nil {
		simple.LogLevel = logger.LogError // the least; Write drops it
	}
	return nil
}

func (l *logWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil {
		return len(p), nil
	}
	return l.w.Write(p)
}

func (l *logWriter) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w = nil
}
