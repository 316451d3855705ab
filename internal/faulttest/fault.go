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
		About: "Nothing goes wrong: what the other rows are to be compared with."},
	{Name: "kill", Synced: true, inject: killed,
		About: "The server is killed (SIGKILL) and started again."},
	{Name: "stop", inject: stopped,
		About: "The server is stopped in order (SIGTERM) and started again."},
	{Name: "pause", Silent: true, inject: paused,
		About: "The server's process is frozen (SIGSTOP) and goes on (SIGCONT): connections stay, nothing is answered."},
	{Name: "cut", inject: cut,
		About: "All connections are reset, several times; new ones work at once."},
	{Name: "cut-sending", inject: cutSending,
		About: "Every connection is reset within 2,000 bytes that it sends, in the midst of a request."},
	{Name: "cut-receiving", inject: cutReceiving,
		About: "Every connection is reset within 2,000 bytes that it receives, in the midst of an answer."},
	{Name: "refuse", inject: refused,
		About: "All connections are reset and new ones are refused for a while."},
	{Name: "black-hole", Silent: true, inject: blackHole,
		About: "What was connected is silent for ever, both ways, as when a firewall forgets its flows; new connections work at once."},
	{Name: "black-hole-all", Silent: true, inject: blackHoleAll,
		About: "What was connected is silent for ever, and so is what connects for a while: it is accepted and never answered."},
	{Name: "half-open-sending", Silent: true, inject: halfOpenSending,
		About: "What was connected swallows all that is sent, for ever; new connections work at once."},
	{Name: "half-open-receiving", Silent: true, inject: halfOpenReceiving,
		About: "What was connected swallows all answers, for ever: the server goes on doing what it is asked; new connections work at once."},
	{Name: "partition", Silent: true, inject: partition,
		About: "Nothing gets through for a while, then all of it does: TCP has sent it again."},
	{Name: "delay", Quiet: true, inject: delayed,
		About: "Each byte takes 50 ms longer, both ways."},
	{Name: "jitter", Quiet: true, inject: jittered,
		About: "Each piece takes up to 100 ms longer, at random."},
	{Name: "throttle", Quiet: true, inject: throttled,
		About: "A connection carries 256 KiB a second at most."},
	{Name: "drop-sessions", Lost: true, inject: dropSessions,
		About: "The server forgets all sessions, again and again, as if they had expired; connections stay."},
	{Name: "flap", Silent: true, inject: flapping,
		About: "Resets, refusals and silences of 0.1 to 0.4 s each, one after the other, at random."},
	{Name: "move", Dialer: true, inject: moved,
		About: "The server moves to another port, three times; Config.DialContext knows where it is."},
	{Name: "cancel", Quiet: true, inject: cancelled,
		About: "Beside the workers others do the same work and cancel their calls at random: the workers must not notice."},
}
