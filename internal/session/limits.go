package session

import "time"

// The bounds of time of this package, with their reasons.
const (
	// closeTimeout bounds what Close, and whoever gives up a connection, waits for a
	// server that does not answer.
	closeTimeout = 5 * time.Second

	// detachedTimeout bounds a call that its caller has left. The server answers
	// OpenSession and NewTx within milliseconds, or within the wait for its index.
	detachedTimeout = time.Minute

	// expiry is how long a session can outlive its last call on the server, which
	// drops sessions that were silent for two to three minutes.
	expiry = 3 * time.Minute

	// growthPause is how long after one session the next is opened while connections
	// share: what that costs the server stays below a tenth of one core, also for
	// the queries that are under way.
	growthPause = time.Second

	// reconnectPatience is how long a connection is waited for on a channel that
	// has failed before: long enough for a server on its way up, short enough for an
	// error to come at once.
	reconnectPatience = time.Second

	// maxBackoff bounds the pause between two attempts to connect: a server that
	// comes back is found within it.
	maxBackoff = 500 * time.Millisecond

	// dialTimeout bounds one attempt to connect. Networks that drop packets answer
	// neither yes nor no, and the system asks again after 1, 2, 4 … seconds; a new
	// attempt every 2 s finds a way within 2 s of its return.
	dialTimeout = 2 * time.Second

	// A connection on which an answer is due is looked at every watchTick. After
	// probeTicks of them without a byte a probe is sent, and after deadTicks the
	// connection is dead: 3.5 s. They are counted, not timed, so that a process that
	// was itself stopped for a while does not blame its connections.
	watchTick  = 500 * time.Millisecond
	probeTicks = 3
	deadTicks  = 7

	// undoPause is the longest pause between two attempts to tell a server what
	// must be undone there.
	undoPause = time.Second
)
