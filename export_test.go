package immudb

import "context"

// LockFile is the lock of a [FileStateStore].
var LockFile = lockFile

// StreamContext is a streamContext with its cancel.
type StreamContext struct{ *streamContext }

func NewStreamContext(ctx, md context.Context) StreamContext {
	s := new(streamContext)
	s.begin(ctx, md)
	return StreamContext{s}
}

func (s StreamContext) Cancel() { s.cancel() }
