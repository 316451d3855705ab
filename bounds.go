package immudb

import "time"

// The bounds of time of this package, with their reasons. Those of sessions and
// connections are in internal/session.
const (
	// closeTimeout bounds the wait for the remaining rows when rows are closed early
	// in a transaction.
	closeTimeout = 5 * time.Second

	// endTimeout bounds Commit and Rollback. They do not use the caller's context: its
	// end must not turn a commit that succeeds into an unknown outcome.
	endTimeout = 30 * time.Second

	// roomTimeout bounds how long BeginTx tries again while the server is overloaded:
	// all of its 100 snapshots are in use.
	roomTimeout = 30 * time.Second
)
