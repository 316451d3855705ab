package faulttest

import "sync/atomic"

// exposure is the time in which acknowledged writes may be lost: replicas follow asynchronously, so a replica that is
// promoted does not have what its primary acknowledged last. The zero value is not exposed.
type exposure struct{ changes atomic.Int64 }

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
