// Package fakeserver is a scripted immudb in memory, for what a real server
// will not do on demand: an error at a given call, an answer that gets lost, a
// stream that breaks after its second message, bytes that are no answer at all.
//
// A [Script] says what differs from a small sane server, and is fixed when the
// server is made. Everything the server saw is in its [Server.Calls], everything
// it wrote in [Server.Committed].
//
// The server has no clock of its own and starts no timers but those a script
// asks for, so that it can live in a testing/synctest bubble: a call that hangs
// for an hour then costs no time.
package fakeserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// UUID is what the server calls itself, unless its Script says otherwise.
const UUID = "fake-server"

// Script is what a server does other than by default. The zero value is a
// server without faults. It is read only.
type Script struct {
	UUID  string // "": the constant UUID
	Rules []Rule

	// MaxSessions is how many sessions the server has to give. 0: any number.
	MaxSessions int
	// MaxRequest is the size in bytes from which on a request is refused. 0: gRPC's default of 4 MiB.
	MaxRequest int
	// Settings is the answer to GetDatabaseSettingsV2; empty, it is that of a primary. nil:
	// the server does not know the method.
	Settings []byte
	// Refusals is how many attempts to connect are refused before one is let in.
	Refusals int
}

// Server is the fake. Its methods may be called from several goroutines.
type Server struct {
	script Script
	grpc   *grpc.Server
	lis    *listener
	served sync.WaitGroup

	mu        sync.Mutex
	calls     []*Call
	counts    []int // by rule: how many calls it fitted
	sessions  map[string]*session
	told      map[string]bool // sessions that a client was told of
	opened    int             // sessions so far, which numbers them
	begun     int             // transactions so far
	committed []string
	txID      uint64 // of the last transaction committed
	down      bool
	dials     int
	clients   []*silentConn
	mute      bool
	uuid      string // what it calls itself
}

// session is a session as the server keeps it.
type session struct {
	user, database string
	txs            map[string]*transaction
}

type transaction struct {
	readOnly bool
	writes   []string // texts, committed together
}

// New starts a server. Close ends it.
func New(script Script) *Server {
	if script.UUID == "" {
		script.UUID = UUID
	}
	s := &Server{script: script, counts: make([]int, len(script.Rules)), sessions: make(map[string]*session), told: make(map[string]bool), uuid: script.UUID}
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.UnknownServiceHandler(s.handle),
		grpc.WaitForHandlers(true),
	}
	if script.MaxRequest > 0 {
		options = append(options, grpc.MaxRecvMsgSize(script.MaxRequest))
	}
	s.start(options)
	return s
}

func (s *Server) start(options []grpc.ServerOption) {
	s.lis = &listener{Listener: bufconn.Listen(256 << 10), conns: make(map[net.Conn]struct{})}
	s.grpc = grpc.NewServer(options...)
	s.served.Go(func() { _ = s.grpc.Serve(s.lis) })
}

// Close cuts every connection and waits until nothing of the server runs.
func (s *Server) Close() {
	s.grpc.Stop()
	s.served.Wait()
}

// ErrRefused is what dialing a server that is down fails with.
var ErrRefused = errors.New("connection refused by the fake")

// Dial connects to the server, whatever the address: it is Config.DialContext.
func (s *Server) Dial(ctx context.Context, _ string) (net.Conn, error) {
	s.mu.Lock()
	s.dials++
	refused := s.down || s.dials <= s.script.Refusals
	s.mu.Unlock()
	if refused {
		return nil, ErrRefused
	}
	conn, err := s.lis.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	return s.client(conn), nil
}

// Dials is how often somebody tried to connect.
func (s *Server) Dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// Down makes the server unreachable: its connections are cut, dialing fails.
// What it knows stays.
func (s *Server) Down() {
	s.mu.Lock()
	s.down = true
	clear(s.told) // what cannot be reached cannot be closed
	s.mu.Unlock()
	s.lis.cut()
}

// Up ends Down.
func (s *Server) Up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = false
}

// Forget drops every session with its transactions, as a restart does.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// Drop drops one session, as the guard of idle sessions does.
func (s *Server) Drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, id)
}

// Rename makes the server call itself something else from the next session on, as another
// server at the same address does.
func (s *Server) Rename(uuid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uuid = uuid
}

// Cut closes every connection. The server goes on.
func (s *Server) Cut() { s.lis.cut() }

// Sessions are the ids of the sessions open, sorted.
func (s *Server) Sessions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id := range s.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Told reports whether the answer that named the session was sent.
func (s *Server) Told(session string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told[session]
}

// Transactions are the ids of the transactions open, sorted.
func (s *Server) Transactions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, sess := range s.sessions {
		for id := range sess.txs {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Database is the database the session is in, or "" if there is no such session.
func (s *Server) Database(session string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.sessions[session]; sess != nil {
		return sess.database
	}
	return ""
}

// Committed are the texts of the writes committed, in order. A text that was
// carried out twice is in it twice.
func (s *Server) Committed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.committed)
}

// Calls are the calls seen so far, in the order they arrived. The fields of a
// Call that is still being answered may yet change; the copies do not.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make([]Call, len(s.calls))
	for i, c := range s.calls {
		calls[i] = *c
	}
	return calls
}

// Log is one line per call: see [Call.String]. With methods given, only calls of
// these count.
func (s *Server) Log(methods ...string) []string {
	log := []string{}
	for _, c := range s.Calls() {
		if len(methods) == 0 || slices.Contains(methods, c.Method) {
			log = append(log, c.String())
		}
	}
	return log
}

// now is when a transaction of the server commits.
var now = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

// openSession makes a session; the caller holds mu.
func (s *Server) openSession(user, database string) (string, error) {
	if s.script.MaxSessions > 0 && len(s.sessions) >= s.script.MaxSessions {
		return "", Failure{Message: "can not create new session: max sessions number reached", SQLState: "XX000"}.err()
	}
	s.opened++
	id := fmt.Sprintf("s%d", s.opened)
	s.sessions[id] = &session{user: user, database: database, txs: make(map[string]*transaction)}
	return id, nil
}
