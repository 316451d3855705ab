package immudb

import "context"

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
