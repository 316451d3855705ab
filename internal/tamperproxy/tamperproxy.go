// Package tamperproxy is a gRPC proxy for tests that alters messages between a real immudb
// server and its client.
package tamperproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"github.com/immudb-go/immudb"
)

// Proxy is a proxy between the driver and a real server. It can change the bytes of every
// message in both directions, so that it acts as a malicious server.
type Proxy struct {
	addr string

	mu      sync.Mutex
	backend *grpc.ClientConn
	request func(method string, msg []byte) []byte
	answer  func(method string, msg []byte) []byte
	refuse  map[string]error // by method: the error to return instead of making the call
	calls   map[string]int
	instead Instead
	md      metadata.MD // of the last call
}

// Instead may answer a call in place of the server, and then returns ok. call makes a call
// to the server, with any request. An error is returned to the client.
type Instead func(method string, req []byte, call func(req []byte) ([]byte, error)) (answer []byte, ok bool, err error)

// frames passes messages on as bytes.
type frames struct{}

func (frames) Name() string { return "proto" }

func (frames) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (frames) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// Start starts a proxy to the server of a DSN and returns it with the DSN of the proxy.
func Start(t testing.TB, dsn string) (*Proxy, string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{addr: lis.Addr().String(), refuse: make(map[string]error), calls: make(map[string]int)}
	p.Connect(t, dsn)
	server := grpc.NewServer(grpc.ForceServerCodecV2(frames{}), grpc.UnknownServiceHandler(p.handle), grpc.WaitForHandlers(true))
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(lis) })
	t.Cleanup(func() {
		server.Stop()
		served.Wait()
		_ = p.backend.Close()
	})
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Hosts = []string{p.addr}
	return p, cfg.FormatDSN()
}

// Connect sends later calls to the server of the DSN.
func (p *Proxy) Connect(t testing.TB, dsn string) {
	t.Helper()
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cc, err := grpc.NewClient(cfg.Hosts[0], grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(frames{})))
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.backend != nil {
		_ = p.backend.Close()
	}
	p.backend = cc
}

// Tamper sets the functions that change messages from now on; nil changes nothing.
func (p *Proxy) Tamper(request, answer func(method string, msg []byte) []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.request, p.answer = request, answer
}

// Answer sets a function that may answer calls instead of the server; nil: none.
func (p *Proxy) Answer(instead Instead) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.instead = instead
}

// Ask calls the server as the client whose call came last.
func (p *Proxy) Ask(method string, req []byte) ([]byte, error) {
	p.mu.Lock()
	md, backend := p.md, p.backend
	p.mu.Unlock()
	var answer []byte
	err := backend.Invoke(metadata.NewOutgoingContext(context.Background(), md), "/immudb.schema.ImmuService/"+method, &req, &answer)
	return answer, err
}

// AskIn calls the server in a session, by the id that OpenSession answered.
func (p *Proxy) AskIn(session, method string, req []byte) ([]byte, error) {
	p.mu.Lock()
	backend := p.backend
	p.mu.Unlock()
	var answer []byte
	ctx := metadata.AppendToOutgoingContext(context.Background(), "sessionid", session)
	err := backend.Invoke(ctx, "/immudb.schema.ImmuService/"+method, &req, &answer)
	return answer, err
}

// Refuse sets an error for the calls of a method, which are then not made; nil: they are
// made again.
func (p *Proxy) Refuse(method string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse[method] = err
}

// Count returns how many calls of a method were made.
func (p *Proxy) Count(method string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[method]
}

func (p *Proxy) handle(_ any, from grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(from)
	method := path[strings.LastIndexByte(path, '/')+1:]
	p.mu.Lock()
	backend, request, answer, refuse, instead := p.backend, p.request, p.answer, p.refuse[method], p.instead
	p.calls[method]++
	p.mu.Unlock()
	if refuse != nil {
		return refuse
	}

	md, _ := metadata.FromIncomingContext(from.Context())
	md = md.Copy()
	for name := range md {
		if strings.HasPrefix(name, ":") || name == "content-type" || name == "user-agent" {
			delete(md, name)
		}
	}
	p.mu.Lock()
	p.md = md
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(from.Context(), md))
	defer cancel()
	var msg []byte
	if err := from.RecvMsg(&msg); err != nil {
		return err
	}
	if instead != nil {
		answer, ok, err := instead(method, msg, func(req []byte) (answer []byte, err error) {
			err = backend.Invoke(ctx, path, &req, &answer)
			return answer, err
		})
		if err != nil {
			return err
		}
		if ok {
			return from.SendMsg(&answer)
		}
	}
	to, err := backend.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path)
	if err != nil {
		return err
	}
	if request != nil {
		msg = request(method, msg)
	}
	if err := to.SendMsg(&msg); err != nil && err != io.EOF {
		return err
	}
	if err := to.CloseSend(); err != nil {
		return err
	}
	for {
		var msg []byte
		if err := to.RecvMsg(&msg); err != nil {
			from.SetTrailer(to.Trailer())
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if answer != nil {
			msg = answer(method, msg)
		}
		if err := from.SendMsg(&msg); err != nil {
			return fmt.Errorf("to the client: %w", err)
		}
	}
}
