package session

import (
	"context"
	"sync"
)

// StreamContext is the context of one query. It has the values and the deadline of
// the caller's context and the call's tokens. It ends with the caller's context, or
// by Cancel, which ends a query whose remaining rows are not wanted. It serves one
// stream only, because gRPC uses it until that stream has ended.
//
// It does what context.WithCancel does, without allocations of its own, which saves
// 1 to 2 % of the time of a query of one row. Most of that is the map that
// WithCancel makes for the one context that gRPC derives.
type StreamContext struct {
	callContext
	forget func() bool // unregisters from the caller's context; nil if that never ends
	done   chan struct{}

	mu    sync.Mutex
	err   error
	first atEnd    // usually gRPC's and the only one
	taken bool     // first is in use
	more  []*atEnd // those after first
}

// atEnd holds a function to call when a StreamContext ends; nil if it was stopped.
type atEnd struct{ do func() }

// begin prepares s for a query, with the caller's ctx and the tokens in md. s stays
// registered with ctx until s ends, so it must be cancelled if ctx does not end.
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

// Cancel ends the context, if it has not ended.
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
