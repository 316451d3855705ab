package fakeserver

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// rawCodec passes messages through as bytes.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// handle answers every call.
func (s *Server) handle(_ any, stream grpc.ServerStream) error {
	ctx := stream.Context()
	full, _ := grpc.MethodFromServerStream(stream)
	var req []byte
	if err := stream.RecvMsg(&req); err != nil {
		return err
	}
	if path.Base(full) == "Health" {
		// Scripts do not see the calls by which a client checks its connection.
		return stream.SendMsg(&[]byte{})
	}
	md, _ := metadata.FromIncomingContext(ctx)
	call := newCall(path.Base(full), md, req)

	s.mu.Lock()
	s.calls = append(s.calls, call)
	fault := s.fault(call)
	s.mu.Unlock()

	err := s.answer(ctx, stream, call, fault)
	s.mu.Lock()
	defer s.mu.Unlock()
	if call.Opened != "" && err == nil && ctx.Err() == nil && fault.Messages == nil {
		s.told[call.Opened] = true
	}
	call.Done, call.Canceled, call.Code = true, call.Canceled || ctx.Err() != nil, status.Code(err)
	return err
}

// fault finds the rule for a call. Each rule counts the calls that match it, even if an
// earlier rule applies. The caller holds mu.
func (s *Server) fault(call *Call) Fault {
	var found *Rule
	for i := range s.script.Rules {
		r := &s.script.Rules[i]
		if r.Method != "" && r.Method != call.Method || !strings.Contains(call.SQL, r.SQL) {
			continue
		}
		s.counts[i]++
		if found == nil && (r.Nth == 0 || r.Nth == s.counts[i]) {
			found = r
		}
	}
	if found == nil {
		return Fault{}
	}
	return found.Do
}

// answer treats the call according to the fault.
func (s *Server) answer(ctx context.Context, stream grpc.ServerStream, call *Call, fault Fault) error {
	if fault.CutBefore {
		return s.cut(ctx)
	}
	if err := wait(ctx, fault.Delay, fault.Deaf); err != nil {
		return err
	}
	if fault.Fail != nil {
		s.letGo(call, fault.Fail)
		return fault.Fail.err()
	}
	messages, err := s.run(call)
	if err != nil {
		return err
	}
	if err := wait(ctx, fault.AnswerDelay, fault.Deaf); err != nil {
		return err
	}
	if fault.CutAfter {
		return s.cut(ctx)
	}
	if fault.Messages != nil {
		messages = fault.Messages
	} else if fault.Status != nil {
		messages = nil
	}
	for i, m := range messages {
		if i > 0 {
			if err := wait(ctx, fault.Pause, fault.Deaf); err != nil {
				return err
			}
		}
		if err := stream.SendMsg(&m); err != nil {
			return err
		}
	}
	if fault.CutAfterMessages {
		// The messages must be sent before the connection is cut. In a bubble the sleep ends
		// when the server's writer is idle.
		time.Sleep(20 * time.Millisecond)
		return s.cut(ctx)
	}
	if fault.Status != nil {
		return fault.Status.err()
	}
	return nil
}

// letGo drops the transaction of a failed call. As in immudb, TxSQLExec and Commit end
// their transaction when they fail, and TxSQLQuery only if the error is that there is no
// transaction.
func (s *Server) letGo(call *Call, failure *Failure) {
	if call.Method != "TxSQLExec" && call.Method != "Commit" && failure.Message != errNoTx.Message {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.sessions[call.Session]; sess != nil {
		delete(sess.txs, call.Tx)
	}
}

// cut cuts the connections and waits until the call's context has ended, so that its
// status cannot be sent.
func (s *Server) cut(ctx context.Context) error {
	s.lis.cut()
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}

func wait(ctx context.Context, d time.Duration, deaf bool) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	gone := ctx.Done()
	if deaf {
		gone = nil
	}
	select {
	case <-timer.C:
		return nil
	case <-gone:
		return status.FromContextError(ctx.Err()).Err()
	}
}

// The server's errors for unknown sessions and transactions.
var (
	errNoSession = Failure{Code: codes.PermissionDenied, Message: "session not found"}
	errNoTx      = Failure{Message: "no transaction found"}
)

// run runs a call and returns the messages of its answer.
func (s *Server) run(call *Call) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if call.Method == "OpenSession" {
		id, err := s.openSession(call.User, call.Database)
		if err != nil {
			return nil, err
		}
		call.Ran, call.Opened = true, id
		return [][]byte{sessionAnswer(id, s.uuid)}, nil
	}
	sess := s.sessions[call.Session]
	if sess == nil {
		return nil, errNoSession.err()
	}
	var tx *transaction
	switch call.Method {
	case "TxSQLExec", "TxSQLQuery", "Commit", "Rollback":
		if tx = sess.txs[call.Tx]; tx == nil {
			return nil, errNoTx.err()
		}
	}
	call.Ran = true
	if call.Method == "CurrentState" && s.script.TellsState {
		return [][]byte{appendVarint(nil, 2, s.txID)}, nil
	}
	switch call.Method {
	case "CloseSession":
		delete(s.sessions, call.Session)
	case "KeepAlive":
	case "UseDatabase":
		sess.database = call.Database
	case "NewTx":
		s.begun++
		id := fmt.Sprintf("t%d", s.begun)
		sess.txs[id] = &transaction{readOnly: call.TxMode == 0}
		return [][]byte{newTxAnswer(id)}, nil
	case "SQLExec":
		if m := useDatabase.FindStringSubmatch(call.SQL); m != nil {
			sess.database = m[1]
			return [][]byte{nil}, nil
		}
		s.commit(call.SQL)
		return [][]byte{execAnswer(committedTx(s.txID, rowsOf(call.SQL)))}, nil
	case "TxSQLExec":
		tx.writes = append(tx.writes, call.SQL)
	case "TxSQLQuery":
		if writes.MatchString(call.SQL) {
			tx.writes = append(tx.writes, call.SQL)
		}
		return [][]byte{rowsFor(call)}, nil
	case "SQLQuery":
		return [][]byte{rowsFor(call)}, nil
	case "Commit":
		delete(sess.txs, call.Tx)
		s.commit(tx.writes...)
		return [][]byte{committedTx(s.txID, len(tx.writes))}, nil
	case "Rollback":
		delete(sess.txs, call.Tx)
	case "GetDatabaseSettingsV2":
		return [][]byte{settingsAnswer(s.replica, s.script.SyncAcks)}, nil
	default:
		call.Ran = false
		return nil, Failure{Code: codes.Unimplemented, Message: "unknown method " + call.Method}.err()
	}
	return [][]byte{nil}, nil
}

// rowsOf counts the rows that a text writes: one for each list of VALUES, or for a
// statement without them.
func rowsOf(text string) (n int) {
	for st := range strings.SplitSeq(strings.TrimRight(text, "; \n"), ";") {
		_, values, _ := strings.Cut(strings.ToUpper(st), "VALUES")
		depth, rows := 0, 0
		for _, c := range values {
			switch c {
			case '(':
				if depth++; depth == 1 {
					rows++
				}
			case ')':
				depth--
			}
		}
		n += max(1, rows)
	}
	return n
}

func (s *Server) commit(texts ...string) {
	s.txID++
	s.committed = append(s.committed, texts...)
}

var (
	useDatabase = regexp.MustCompile(`(?i)^USE (?:DATABASE )?(\w+)$`)
	writes      = regexp.MustCompile(`(?i)^(INSERT|UPSERT|UPDATE|DELETE)\b`)
	returning   = regexp.MustCompile(`(?i)\bRETURNING (.+)$`)
)

// rowsFor is the default answer to a query: every table has the columns id, with
// AUTO_INCREMENT, and v; a write returns one row; any other query returns the number 1.
func rowsFor(call *Call) []byte {
	if strings.HasPrefix(call.SQL, "SELECT name FROM COLUMNS(") {
		return Result([]Column{{"name", "VARCHAR"}}, []any{"id"}, []any{"v"})
	}
	if strings.Contains(call.SQL, "COLUMNS(") {
		return Result([]Column{{"name", "VARCHAR"}, {"auto_increment", "BOOLEAN"}, {"primary", "BOOLEAN"}, {"type", "VARCHAR"}, {"max_length", "INTEGER"}, {"nullable", "BOOLEAN"}}, []any{"id", true, true, "INTEGER", int64(8), false}, []any{"v", false, false, "INTEGER", int64(8), false})
	}
	if m := returning.FindStringSubmatch(call.SQL); m != nil && strings.EqualFold(m[1], "NULL") {
		return Result([]Column{{"col0", "ANY"}}, []any{nil})
	}
	return Result(ID, []any{int64(1)})
}
