package immudb

import "time"

// The bounds of time of this package, with their reasons. Those of sessions and
// connections are in internal/session.
const (
	// closeTimeout bounds the wait for the rest of rows that nobody reads any more.
	closeTimeout = 5 * time.Second

	// endTimeout bounds Commit and Rollback, which run on a context of their own: a
	// canceled request must not leave a commit half told.
	endTimeout = 30 * time.Second

	// roomTimeout bounds the wait of BeginTx for one of the server's 100 snapshots.
	roomTimeout = 30 * time.Second
)
