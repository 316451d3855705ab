package faulttest

import (
	"time"

	"github.com/immudb-go/immudb/internal/faulttest/link"
	"github.com/immudb-go/immudb/internal/testserver"
)

// Fault is one kind of failure between the driver and the server.
type Fault struct {
	Name  string
	About string // for the report

	// Quiet: no call may fail because of it, except by conflicts and by the caller's deadlines.
	Quiet bool
	// Lost: sessions are lost and nothing else, so that calls outside transactions may not fail.
	Lost bool
	// Silent: calls may get no answer although their connections do not break.
	Silent bool
	// Synced: the server syncs commits to disk, because it is killed.
	Synced bool
	// Dialer: the driver finds the server through Config.DialContext, because it moves.
	Dialer bool

	// inject makes the fault happen for about as long as window. It returns the time from which new connections work;
	// connections that are broken for good stay broken.
	inject func(s *scene, window time.Duration) (healed time.Time, err error)
}

// scene holds the parts of a stage that a fault may use.
type scene struct {
	server *testserver.Server
	link   *link.Link
	// cancellers runs additional workers, which cancel their calls at random, until the window ends.
	cancellers func(window time.Duration)
}

// Faults are all faults, in the order of the report.
var Faults = []*Fault{
	{Name: "none", Quiet: true, inject: nothing,
		About: "No fault: the baseline for the other rows."},
	{Name: "kill", Synced: true, inject: killed,
		About: "The server is killed (SIGKILL) and restarted."},
	{Name: "stop", inject: stopped,
		About: "The server is shut down (SIGTERM) and restarted."},
	{Name: "pause", Silent: true, inject: paused,
		About: "The server's process is paused (SIGSTOP) and resumed (SIGCONT): connections stay open, and no call is answered meanwhile."},
	{Name: "cut", inject: cut,
		About: "All connections are reset, several times; new connections work at once."},
	{Name: "cut-sending", inject: cutSending,
		About: "Each connection is reset after it has sent up to 2,000 bytes, in the middle of a request."},
	{Name: "cut-receiving", inject: cutReceiving,
		About: "Each connection is reset after it has received up to 2,000 bytes, in the middle of an answer."},
	{Name: "refuse", inject: refused,
		About: "All connections are reset, and new connections are refused for a while."},
	{Name: "black-hole", Silent: true, inject: blackHole,
		About: "Existing connections stay open and carry no more bytes in either direction, as when a firewall forgets them; new connections work at once."},
	{Name: "black-hole-all", Silent: true, inject: blackHoleAll,
		About: "Existing connections carry no more bytes, and for a while new connections are accepted and never answered."},
	{Name: "half-open-sending", Silent: true, inject: halfOpenSending,
		About: "All requests on existing connections are lost; new connections work at once."},
	{Name: "half-open-receiving", Silent: true, inject: halfOpenReceiving,
		About: "All answers on existing connections are lost, although the server executes the requests; new connections work at once."},
	{Name: "partition", Silent: true, inject: partition,
		About: "No packet arrives for a while; then TCP retransmits all of them."},
	{Name: "delay", Quiet: true, inject: delayed,
		About: "Each byte arrives 50 ms later, in both directions."},
	{Name: "jitter", Quiet: true, inject: jittered,
		About: "Each chunk of bytes arrives up to 100 ms later, at random."},
	{Name: "throttle", Quiet: true, inject: throttled,
		About: "Each connection carries at most 256 KiB per second."},
	{Name: "drop-sessions", Lost: true, inject: dropSessions,
		About: "The server drops all sessions, repeatedly, as if they had expired; connections stay open."},
	{Name: "flap", Silent: true, inject: flapping,
		About: "Resets, refused connections and silences follow each other at random, each for 0.1 to 0.4 s."},
	{Name: "move", Dialer: true, inject: moved,
		About: "The server moves to another port three times; Config.DialContext knows the current port."},
	{Name: "cancel", Quiet: true, inject: cancelled,
		About: "Additional workers do the same work and cancel their calls at random; the calls of the other workers must not fail."},
}
