package session

import (
	"context"
	"time"

	"github.com/immudb-go/immudb/internal/wire"
)

// Tx is a transaction on the server. The session it is in stays open until End.
// Its calls go through the embedded Scope.
type Tx struct {
	Scope
	ID string
}

// Begin begins a transaction in the lease's session, with the given request. If
// ctx ends first the server's answer is waited for without the caller, and the
// transaction undone.
func (l *Lease) Begin(ctx context.Context, req []byte) (*Tx, *wire.Failure) {
	s := l.session.Load()
	if !s.hold() {
		return nil, &wire.Failure{Fate: wire.NoSession, Class: wire.SessionLost, Message: "the session is being closed", SQLState: "08003"}
	}
	if ctx.Done() == nil {
		return s.begin(ctx, req)
	}
	type begun struct {
		tx *Tx
		f  *wire.Failure
	}
	answer, left := make(chan begun), make(chan struct{})
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := s.pool
	p.mu.Lock()
	p.start(func(job context.Context) {
		defer cancel()
		defer context.AfterFunc(job, cancel)()
		tx, f := s.begin(own, req)
		select {
		case answer <- begun{tx, f}:
		case <-left:
			if tx != nil {
				tx.Undo()
			}
		}
	})
	p.mu.Unlock()
	select {
	case b := <-answer:
		return b.tx, b.f
	case <-ctx.Done():
		time.AfterFunc(detachedTimeout, cancel)
		close(left)
		return nil, &wire.Failure{Fate: wire.Unknown, Message: ctx.Err().Error(), Ended: ctx.Err()}
	}
}

// begin begins a transaction in a session that is held, and lets go of it if that
// fails.
func (s *Session) begin(ctx context.Context, req []byte) (*Tx, *wire.Failure) {
	var ans wire.NewTx
	f := s.Call(ctx, wire.MethodNewTx, req, &ans)
	if f == nil {
		return &Tx{s.scope(ans.ID), ans.ID}, nil
	}
	if f.Fate == wire.Unknown {
		s.pool.retireGently(s) // it may hold a transaction that nobody can name
	}
	s.letGo()
	return nil, f
}

// End says that the server has ended the transaction, or that it does not matter
// any more whether it has. It is called once.
func (t *Tx) End() { t.session.letGo() }

// Undo ends the transaction on the server and then says End. It goes on in the
// background until the server has answered, whatever the answer: a rollback that
// comes twice, or after a commit, does nothing.
func (t *Tx) Undo() {
	p := t.session.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start(func(ctx context.Context) {
		defer t.End()
		// A pool that is closed ends the session instead.
		closed := func(*wire.Failure) bool { return p.isClosed() }
		tell(ctx, p.quit, closed, func(ctx context.Context) *wire.Failure {
			return t.Call(ctx, wire.MethodRollback, nil, wire.Empty)
		})
	})
}

// hold keeps the session open for a transaction, and reports whether it could: the
// session may be closing already.
func (s *Session) hold() bool {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.ended {
		return false
	}
	s.txs++
	return true
}

func (s *Session) letGo() {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.txs--
	s.pool.endIfUnused(s)
}
