package immudb

import (
	"context"
	"errors"
	"log/slog"
	"math/bits"
	"sync/atomic"

	"github.com/immudb-go/immudb/internal/session"
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

// Tracer is told what the driver does, see [Config].Tracer. Its methods may be called
// from several goroutines at once. They must not call the driver, and must return
// soon, because the operation waits for them.
type Tracer interface {
	// TraceStart is called before an operation. The operation, and the operations
	// within it, use the context that TraceStart returns, which must be ctx or come
	// from it.
	TraceStart(ctx context.Context, op *TraceOp) context.Context
	// TraceEnd is called once for each TraceStart, with the context that this has
	// returned and the same op, whose result is now filled in.
	TraceEnd(ctx context.Context, op *TraceOp)
}

// TraceOp is an operation that a [Tracer] is told of. A Tracer must not change it.
type TraceOp struct {
	Kind     TraceKind
	Host     string // of the server, as host:port; "": not known at the start
	Database string
	// Query is the text of a TraceQuery, TraceExec, or the first text of a TraceGroup,
	// as the driver reads it. It holds no arguments, but may hold literals.
	Query string
	Table string // of a TraceBatch
	// Count is how many callers' statements a TraceGroup sends together, and the
	// number of the retry, counted from 1, of a TraceRetry.
	Count int
	// Cause is the error because of which a TraceRetry tries again.
	Cause error

	// Err is the error with which the operation ended, or nil. It is set before
	// TraceEnd.
	Err error

	tracer Tracer
}

// TraceKind says what an operation is.
type TraceKind int

// The kinds of operations. Those of one call are within each other: a query may
// begin with a session that is opened, and a retry is within the exec that fails.
const (
	TraceConnect  TraceKind = iota + 1 // database/sql gets a new connection
	TraceSession                       // a session is opened on a server: a login
	TraceQuery                         // a query, until its first rows have come
	TraceExec                          // statements without rows
	TraceBatch                         // CopyFrom sends a batch
	TraceBegin                         // a transaction begins
	TraceCommit                        // a transaction is committed, and proven if verification is on
	TraceRollback                      // a transaction is rolled back
	TraceRetry                         // the wait before a retry
	TraceGroup                         // statements of several callers are sent as one transaction
)

var traceKinds = [...]string{"unknown", "connect", "session", "query", "exec", "batch", "begin", "commit", "rollback", "retry", "group"}

// String returns the kind in lower case, such as "query".
func (k TraceKind) String() string {
	if k < 0 || int(k) >= len(traceKinds) {
		k = 0
	}
	return traceKinds[k]
}

// trace tells the connector's Tracer that an operation starts. The caller sets what
// it knows of the operation, and calls end. Without a Tracer the op is nil.
func (c *Connector) trace(ctx context.Context, kind TraceKind, host, query, table string, count int, cause error) (context.Context, *TraceOp) {
	t := c.cfg.Tracer
	if t == nil {
		return ctx, nil
	}
	op := &TraceOp{Kind: kind, Host: host, Database: c.cfg.Database, Query: query, Table: table, Count: count, Cause: cause, tracer: t}
	return t.TraceStart(ctx, op), op
}

// trace is Connector.trace with the connection's host and database.
func (c *Conn) trace(ctx context.Context, kind TraceKind, query, table string, count int, cause error) (context.Context, *TraceOp) {
	if c.connector.cfg.Tracer == nil {
		return ctx, nil
	}
	return c.connector.trace(ctx, kind, c.Host(), query, table, count, cause)
}

// end tells the Tracer that the operation has ended with err. op may be nil.
func (op *TraceOp) end(ctx context.Context, err error) {
	if op != nil {
		op.Err = err
		op.tracer.TraceEnd(ctx, op)
	}
}
