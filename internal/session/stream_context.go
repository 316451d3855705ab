package session

import (
	"context"
	"sync"
)

// StreamContext is the context of one query: the caller's, which it ends with,
// the call's tokens, and an end of its own, by which rows that nobody wants are
// given up. It is used for one stream, for gRPC looks at it until that has ended.
//
// It is context.WithCancel for what a stream needs of it, in the memory of the
// resultSet: 1 to 2 % of the wall of a query of one row, most of it because gRPC
// derives one context from it, for which WithCancel makes a map.
type StreamContext struct {
	callContext
	forget func() bool // keeps the caller's end from ending this; nil if it has none
	done   chan struct{}

	mu    sync.Mutex
	err   error
	first atEnd    // gRPC's, the only one as a rule
	taken bool     // first is
	more  []*atEnd // after the first
}

// atEnd is something to do when a StreamContext ends. A nil one was stopped.
type atEnd struct{ do func() }

// begin makes s the caller's ctx with the tokens in md. It holds on to ctx until
// it ends, by ctx or by cancel.
func (s *StreamContext) begin(ctx, md context.Context) {
	s.callContext = callContext{ctx, md}
	s.done = make(chan struct{})
	if ctx.Done() == nil {
		return
	}
	if err := ctx.Err(); err != nil {
		s.end(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget = context.AfterFunc(ctx, func() { s.end(ctx.Err()) })
}

// Cancel ends it, if it has not ended.
func (s *StreamContext) Cancel() { s.end(context.Canceled) }

func (s *StreamContext) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	close(s.done)
	if s.forget != nil {
		s.forget()
	}
	if s.first.do != nil {
		go s.first.do()
	}
	for _, a := range s.more {
		if a.do != nil {
			go a.do()
		}
	}
}

// Done implements [context.Context].
func (s *StreamContext) Done() <-chan struct{} { return s.done }

// Err implements [context.Context].
func (s *StreamContext) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// AfterFunc has do called in a goroutine of its own once s has ended, unless stop
// is called first, which then returns true. Package context asks for this method
// before it starts a goroutine that waits for Done.
func (s *StreamContext) AfterFunc(do func()) (stop func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		go do()
		return func() bool { return false }
	}
	a := &s.first
	if s.taken {
		a = new(atEnd)
		s.more = append(s.more, a)
	}
	s.taken, a.do = true, do
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		stopped := s.err == nil && a.do != nil
		a.do = nil
		return stopped
	}
}
