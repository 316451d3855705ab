// Package fakeserver is a scripted immudb in memory, for faults that a real server does
// not produce on demand: an error at a given call, a lost answer, a stream that breaks
// after its second message, bytes that are not an answer.
//
// A [Script] holds the faults of an otherwise correct small server, and is fixed when the
// server is made. [Server.Calls] returns the calls that the server received,
// [Server.Committed] the statements that it committed.
//
// The server starts no timers except those of the script, so that it can run in a
// testing/synctest bubble: there a call that hangs for an hour takes no real time.
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

// UUID is the server's UUID, unless its Script has another one.
const UUID = "fake-server"

// Script holds the deviations from the default behaviour. The zero value is a server
// without faults. The server does not change it.
type Script struct {
	UUID  string // "": the constant UUID
	Rules []Rule

	// MaxSessions is the server's limit of open sessions. 0: no limit.
	MaxSessions int
	// MaxRequest is the largest accepted request in bytes. 0: gRPC's default of 4 MiB.
	MaxRequest int
	// SyncAcks is for how many replicas each commit waits, as the server says.
	SyncAcks int
	// Refusals is how many attempts to connect are refused before one is accepted.
	Refusals int
	// Replica: the server says that it is a replica until SetReplica.
	Replica bool
	// TellsState: the server answers CurrentState with its newest transaction. Servers that
	// are to be taken for copies of one database leave that out: their transactions differ.
	TellsState bool
}

// Server is the fake. Its methods may be called from several goroutines.
type Server struct {
	script Script
	grpc   *grpc.Server
	lis    *listener
	served sync.WaitGroup

	mu        sync.Mutex
	calls     []*Call
	counts    []int // by rule: how many calls matched it
	sessions  map[string]*session
	told      map[string]bool // sessions whose id was sent to a client
	opened    int             // sessions so far, which numbers them
	begun     int             // transactions so far
	committed []string
	txID      uint64 // of the last transaction committed
	down      bool
	dials     int
	clients   []*silentConn
	mute      bool
	uuid      string // what it calls itself
	replica   bool
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
	s := &Server{replica: script.Replica, script: script, counts: make([]int, len(script.Rules)), sessions: make(map[string]*session), told: make(map[string]bool), uuid: script.UUID}
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

// Close cuts every connection and waits until all goroutines of the server have ended.
func (s *Server) Close() {
	s.grpc.Stop()
	s.served.Wait()
}

// ErrRefused is the error of Dial while the server is down.
var ErrRefused = errors.New("connection refused by the fake")

// Dial connects to the server and ignores the address. It is for Config.DialContext.
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

// Dials returns the number of attempts to connect.
func (s *Server) Dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// Down makes the server unreachable: its connections are cut, and dialing fails. Its
// sessions and data stay.
func (s *Server) Down() {
	s.mu.Lock()
	s.down = true
	clear(s.told) // clients cannot close sessions of an unreachable server
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

// Drop drops one session, as if it had expired.
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

// Cut closes every connection. The server accepts new ones.
func (s *Server) Cut() { s.lis.cut() }

// SetReplica makes the server say that it is a replica, or a primary.
func (s *Server) SetReplica(replica bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replica = replica
}

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

// Told reports whether the answer with the session's id was sent.
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

// Committed are the texts of the committed writes, in order. A text that was run twice is
// in it twice.
func (s *Server) Committed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.committed)
}

// Calls returns copies of the calls received so far, in the order of their arrival. The
// copy of a call that is still running does not show its end.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make([]Call, len(s.calls))
	for i, c := range s.calls {
		calls[i] = *c
	}
	return calls
}

// Log returns one line per call, see [Call.String]: of all calls, or those of the given
// methods.
func (s *Server) Log(methods ...string) []string {
	log := []string{}
	for _, c := range s.Calls() {
		if len(methods) == 0 || slices.Contains(methods, c.Method) {
			log = append(log, c.String())
		}
	}
	return log
}

// now is the commit time of every transaction.
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
