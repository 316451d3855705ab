package session

import "time"

// The bounds of time of this package, with their reasons.
const (
	// closeTimeout bounds how long Pool.Close, Lease.Release after it, and one attempt
	// to close a session wait for a server that does not answer.
	closeTimeout = 5 * time.Second

	// restDelay is how long a pool that no lease uses keeps its sessions, so that a
	// program that opens and closes connections one by one does not log in each time.
	restDelay = 5 * time.Second

	// detachedTimeout bounds a call that its caller has left. The server answers
	// OpenSession and NewTx within milliseconds, or within the wait for its index.
	detachedTimeout = time.Minute

	// expiry is how long a session can outlive its last call on the server, which
	// drops sessions that were silent for two to three minutes.
	expiry = 3 * time.Minute

	// growthPause is the shortest time between opening one session to share and the
	// next: with it, logins take less than a tenth of one of the server's cores.
	growthPause = time.Second

	// reconnectPatience bounds the wait for a connection to a server that was down:
	// long enough for a server that is just starting, short enough for an error to
	// come soon.
	reconnectPatience = time.Second

	// maxBackoff bounds the pause between two attempts to connect: a server that
	// comes back is found within it.
	maxBackoff = 500 * time.Millisecond

	// dialTimeout bounds one attempt to connect. On a network that drops packets the
	// operating system repeats its attempt after 1, 2, 4 … seconds; with a new attempt
	// every 2 s a connection is made within 2 s after the network is back.
	dialTimeout = 2 * time.Second

	// A connection on which an answer is due is checked every watchTick. After
	// probeTicks checks without a new byte a probe is sent, and after deadTicks checks
	// (3.5 s) the connection is dead. Checks are counted, not time, so that a process
	// that was itself suspended does not close its connections when it resumes.
	watchTick  = 500 * time.Millisecond
	probeTicks = 3
	deadTicks  = 7

	// lookPause is how often the servers that come before the one in use are asked
	// whether they can be used again. A server that is up and is not of the role asked
	// for costs one round trip each time.
	lookPause = 2 * time.Second

	// primaryPatience bounds how long the primary in use is waited for before an old
	// primary that came back may take its place again.
	primaryPatience = time.Second

	// While reads miss a replica it is asked for its newest transaction every replicaPause,
	// and given up if it has not answered within replicaPatience. One with an outdated
	// catalog is not used for stalePause.
	replicaPause    = 20 * time.Millisecond
	replicaPatience = time.Second
	stalePause      = time.Minute

	// A replica keeps the catalog that it has read first. Until this long after a change of
	// the schema, it is not asked for its catalog, because another change may follow.
	schemaPause = 3 * time.Second

	// After a read that missed a replica, it is asked until it has what the reads have
	// seen, ever less often up to catchUpPause, for catchUpPatience at most: replicas were
	// seen to be 29 s behind after silence. The primary is asked no more often than every
	// floorPause what its answers can have seen.
	catchUpPause    = 500 * time.Millisecond
	catchUpPatience = time.Minute
	floorPause      = 100 * time.Millisecond

	// firstPatience bounds how long the first connection waits for a replica.
	firstPatience = time.Second

	// undoPause is the longest pause between two attempts to send a Rollback or
	// CloseSession that must reach the server.
	undoPause = time.Second

	// A session storm is stormFactor times max_sessions sessions opened on one server
	// within stormWindow: a busy start needs max_sessions, a restart of the server as many
	// again.
	stormFactor = 4
	stormWindow = time.Minute

	// refusalPause is the time between two records of the log about refused logins on one
	// server.
	refusalPause = 10 * time.Second
)
