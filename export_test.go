package immudb

import "context"

// StreamContext is a streamContext with its cancel.
type StreamContext struct{ *streamContext }

func NewStreamContext(ctx, md context.Context) StreamContext {
	s := new(streamContext)
	s.begin(ctx, md)
	return StreamContext{s}
}

func (s StreamContext) Cancel() { s.cancel() }
