package faulttest

import (
	"context"
	"sync/atomic"
	"time"
)

// exposure is the time in which acknowledged writes may be lost: replicas follow asynchronously, so a replica that is
// promoted does not have what its primary acknowledged last. The zero value is not exposed.
type exposure struct {
	changes atomic.Int64
	quiet   atomic.Bool // nothing is written for a while, so that the replicas catch up
}

// hold waits while nothing may be written.
func (e *exposure) hold(ctx context.Context) {
	for e.quiet.Load() && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
}

// silence begins or ends a time in which nothing is written.
func (e *exposure) silence(on bool) { e.quiet.Store(on) }

// expose begins or ends the exposure.
func (e *exposure) expose() { e.changes.Add(1) }

// epoch is taken before an operation, for fate and safe.
func (e *exposure) epoch() int64 { return e.changes.Load() }

// safe reports whether an operation that began in epoch and ends now was at no moment exposed.
func (e *exposure) safe(epoch int64) bool { return epoch%2 == 0 && epoch == e.changes.Load() }

// fate is fateOf, but an exposed write that was acknowledged may be there or not.
func (e *exposure) fate(err error, epoch int64) fate {
	f := fateOf(err)
	if f == acked && !e.safe(epoch) {
		return unknown
	}
	return f
}
