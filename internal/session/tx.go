package session

import (
	"context"
	"time"

	"github.com/immudb-go/immudb/internal/wire"
)

// Tx is a transaction on the server. Its session stays open until End is called.
// Its calls go through the embedded Scope.
type Tx struct {
	Scope
	ID string
}

// Begin begins a transaction in the lease's session, with the given request. If
// ctx ends first, Begin returns a failure of unknown fate, and a background job
// waits for the server's answer and rolls the transaction back.
func (l *Lease) Begin(ctx context.Context, req []byte) (*Tx, *wire.Failure) {
	return l.session.Load().beginWithin(ctx, req)
}

// Begin begins a transaction on the replica, as [Lease.Begin] does.
func (l *Link) Begin(ctx context.Context, req []byte) (*Tx, *wire.Failure) {
	return l.session.beginWithin(ctx, req)
}

func (s *Session) beginWithin(ctx context.Context, req []byte) (*Tx, *wire.Failure) {
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

// begin begins a transaction in a session that hold has kept open, and calls letGo
// if that fails.
func (s *Session) begin(ctx context.Context, req []byte) (*Tx, *wire.Failure) {
	var ans wire.NewTx
	f := s.Call(ctx, wire.MethodNewTx, req, &ans)
	if f == nil {
		return &Tx{s.scope(ans.ID), ans.ID}, nil
	}
	if f.Fate == wire.Unknown {
		s.pool.retireGently(s) // it may hold a transaction whose id the driver does not know
	}
	s.letGo()
	return nil, f
}

// End releases the transaction's session. The caller calls it once, when the server
// has ended the transaction or it no longer matters whether it has.
func (t *Tx) End() { t.session.letGo() }

// Undo rolls the transaction back in the background and then calls End. It repeats
// the call until the server has answered, whatever the answer: a second rollback,
// or one after a commit, does nothing.
func (t *Tx) Undo() {
	p := t.session.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start(func(ctx context.Context) {
		defer t.End()
		// A pool that ends closes the session, which rolls back as well.
		ending := func(*wire.Failure) bool { return p.ending() }
		tell(ctx, p.quit, ending, func(ctx context.Context) *wire.Failure {
			return t.Call(ctx, wire.MethodRollback, nil, wire.Empty)
		})
	})
}

// hold keeps the session open for a transaction until letGo. It reports false if
// the session is being closed already.
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
