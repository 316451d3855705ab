package immudb

import (
	"context"
	"errors"
	"log/slog"
	"math/bits"
	"sync/atomic"

	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/wire"
)

// Stats is what a [Connector] has done since it was made, and what it has open now. All
// fields whose comment does not say "now" only grow, and count from 0. The parts are
// read one after the other, so while calls are under way they may differ by a few.
type Stats struct {
	Hosts []HostStats // in the order of Config.Hosts
	Total HostStats   // the sums of Hosts; Addr, Role, State and ServerUUID are empty

	// Retries count how often the driver has made a call again, or waited to, by the
	// reason. Those of [RunTx] are not among them: it uses the sql.DB as a program does.
	Retries RetryStats
	// Conflicts are the calls that the server refused with a conflict, those that were
	// then run again included.
	Conflicts uint64
	// UnknownOutcomes are the writes and commits that failed with [ErrOutcomeUnknown]. A
	// group counts once.
	UnknownOutcomes uint64

	Groups GroupStats

	// Proofs are the commits, rows and histories that were proven; one call may need
	// several.
	Proofs uint64
	// Contradictions are the errors by which the server contradicted the trusted state or
	// the key: those that match [ErrTampered] or [ErrSignature].
	Contradictions uint64
	// ReadsProven and ReadsUnproven are the queries that verify=reads answered with and
	// without a proof. Other queries are not counted.
	ReadsProven, ReadsUnproven uint64

	// Replicas are the reads with read_routing=replica.
	Replicas ReplicaStats
}

// ReplicaStats count the reads that may go to replicas: queries outside transactions, and
// read-only transactions.
type ReplicaStats struct {
	Routed   uint64 // reads that a replica has answered
	FellBack uint64 // reads that the primary has answered, because no replica could
	Host     string // the replica that reads go to now, or ""
	// Lag is how many transactions the replica that was asked last lacked of what the
	// connector had committed or read. Those of other programs that it has not read do
	// not count.
	Lag uint64
}

// HostStats is what a [Connector] has on one host.
type HostStats struct {
	Addr string // host:port
	// Role is "primary" or "replica", as the server said last, or "" if it was not asked:
	// with one host, and with target_session_attrs=any, it is not.
	Role string
	// State is that of the network connection now: "idle" (not needed yet, or closed by
	// the server), "connecting", "connected", "unreachable" (the last attempt failed) or
	// "closed".
	State string
	// ServerUUID is what the server called itself when a session was opened last, or "".
	ServerUUID string

	Sessions     int // sessions now, those being opened and closed included
	InUse        int // sessions now that a connection of database/sql uses
	Shared       int // sessions now that several connections use
	Conns        int // connections of database/sql now
	Transactions int // transactions now, those being begun and rolled back included

	Opens      uint64 // sessions opened
	Refused    uint64 // sessions that the server refused to open: a wrong password, its limit
	Failed     uint64 // sessions that could not be opened because no answer came
	Reconnects uint64 // network connections made, but for the first
	Lost       uint64 // sessions that the server did not know any more
	Retired    uint64 // sessions that the driver closed
}

// RetryStats count retries by their reason.
type RetryStats struct {
	Conflict    uint64 // another transaction was committed first
	Overloaded  uint64 // the server had too many transactions under way
	SessionLost uint64 // the server did not know the session; another one was used
	Replica     uint64 // the server was a replica; another one was used
}

// GroupStats count the groups of group_commit.
type GroupStats struct {
	Groups     uint64 // groups that were sent; a group that was halved and sent again counts once
	Statements uint64 // statements in them
	// Sizes count the groups by their number of statements: Sizes[i] those of more than
	// 2^(i-1) and at most 2^i. So Sizes[0] are those of one, Sizes[1] of two, Sizes[2] of
	// three and four, and Sizes[9] of 257 to 512, which is the most.
	Sizes [10]uint64
}

// Stats returns what the connector has done and what it has open. It makes no call, and
// costs about a microsecond, so it may be called for each scrape of a monitor.
func (c *Connector) Stats() Stats {
	t := &c.tally
	s := Stats{
		Retries: RetryStats{
			Conflict: t.retries[retryConflict].Load(), Overloaded: t.retries[retryOverloaded].Load(),
			SessionLost: t.retries[retrySessionLost].Load(), Replica: t.retries[retryReplica].Load(),
		},
		Conflicts:       t.conflicts.Load(),
		UnknownOutcomes: t.unknown.Load(),
		Groups:          GroupStats{Groups: t.groups.Load(), Statements: t.grouped.Load()},
		Proofs:          c.trust.Proofs.Load(),
		Contradictions:  c.trust.Contradictions.Load(),
		ReadsProven:     t.readsProven.Load(),
		ReadsUnproven:   t.readsUnproven.Load(),
	}
	for i := range t.sizes {
		s.Groups.Sizes[i] = t.sizes[i].Load()
	}
	var onReplicas []session.HostStats
	if c.replicas != nil {
		var r session.ReplicaStats
		r, onReplicas = c.replicas.Stats()
		s.Replicas = ReplicaStats{Routed: r.Routed, FellBack: r.FellBack, Host: r.Addr, Lag: r.Lag}
	}
	for i, h := range c.pool.Stats() {
		host := newHostStats(h)
		if onReplicas != nil {
			host.addReplica(newHostStats(onReplicas[i]))
		}
		s.Hosts = append(s.Hosts, host)
		s.Total.add(host)
	}
	return s
}

func newHostStats(h session.HostStats) HostStats {
	return HostStats{
		Addr: h.Addr, Role: h.Role, State: h.State, ServerUUID: h.ServerUUID,
		Sessions: h.Sessions, InUse: h.InUse, Shared: h.Shared, Conns: h.Leases, Transactions: h.Transactions,
		Opens: h.Opens, Refused: h.Refused, Failed: h.Failed, Reconnects: h.Reconnects, Lost: h.Lost, Retired: h.Retired,
	}
}

// addReplica adds what there is on the same host for reads.
func (t *HostStats) addReplica(h HostStats) {
	if h.Sessions > 0 {
		t.Role, t.State, t.ServerUUID = h.Role, h.State, h.ServerUUID
	}
	h.InUse, h.Conns = 0, 0 // the session is the connector's own
	t.add(h)
}

func (t *HostStats) add(h HostStats) {
	t.Sessions += h.Sessions
	t.InUse += h.InUse
	t.Shared += h.Shared
	t.Conns += h.Conns
	t.Transactions += h.Transactions
	t.Opens += h.Opens
	t.Refused += h.Refused
	t.Failed += h.Failed
	t.Reconnects += h.Reconnects
	t.Lost += h.Lost
	t.Retired += h.Retired
}

// tally counts what happened to calls. It is the only place that does; sessions and
// hosts are counted by package session, proofs by package trust. Nothing is counted for
// a query that succeeds at once.
type tally struct {
	retries                    [numRetryReasons]atomic.Uint64
	conflicts, unknown         atomic.Uint64
	groups, grouped            atomic.Uint64
	sizes                      [10]atomic.Uint64
	readsProven, readsUnproven atomic.Uint64
}

type retryReason int

const (
	retryConflict retryReason = iota
	retryOverloaded
	retrySessionLost
	retryReplica
	numRetryReasons
)

var retryReasons = [...]string{"conflict", "overloaded", "session lost", "replica"}

// retried counts and logs that a call is made again. Nothing of the error is logged but
// its kind: its message may hold a value.
func (c *Conn) retried(ctx context.Context, try int, why retryReason) {
	c.connector.tally.retries[why].Add(1)
	c.logEvent(ctx, slog.LevelDebug, "immudb retry", slog.Int("try", try), slog.String("cause", retryReasons[why]))
}

// whyRetried is the reason of a retry after err, which is worthRetrying.
func whyRetried(err error) retryReason {
	if errors.Is(err, ErrConflict) {
		return retryConflict
	}
	return retryOverloaded
}

// callFailed counts and logs a failed call in a session, and returns the error that its
// caller gets, see [callError].
func (c *Conn) callFailed(s *session.Session, kind callKind, name string, f *wire.Failure) error {
	s.Explain(f)
	indexAhead(kind, f)
	if f.Class == wire.Conflict {
		c.connector.tally.conflicts.Add(1)
	}
	if outcomeOf(kind, f).told == toldUnknown {
		c.outcomeIsUnknown(name)
	}
	err := callError(kind, name, f)
	if f.Class == wire.Replica {
		c.connector.renewed.done.Clear() // it may be promoted again
	}
	if e, ok := err.(*Error); ok && f.Class == wire.Replica {
		e.remedy = s.Addr() + " " + c.connector.cfg.ifReplica()
	}
	return err
}

// outcomeIsUnknown counts and logs that nobody knows whether a write was committed.
func (c *Conn) outcomeIsUnknown(operation string) {
	c.connector.tally.unknown.Add(1)
	c.logEvent(context.Background(), slog.LevelWarn, "immudb outcome unknown: a write may or may not have been committed",
		slog.String("operation", operation))
}

// group counts a group of n statements.
func (t *tally) group(n int) {
	t.groups.Add(1)
	t.grouped.Add(uint64(n))
	t.sizes[min(bits.Len(uint(n-1)), len(t.sizes)-1)].Add(1)
}

// logEvent logs an event of this connection with its host and database.
func (c *Conn) logEvent(ctx context.Context, level slog.Level, message string, attrs ...slog.Attr) {
	if log := c.connector.log; log.Enabled(ctx, level) {
		log.LogAttrs(ctx, level, message, append([]slog.Attr{slog.String("host", c.Host()), slog.String("database", c.Database())}, attrs...)...)
	}
}

// sqlStateOf is what of an error may be logged: its message may hold a value.
func sqlStateOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.SQLState
	}
	return ""
}
