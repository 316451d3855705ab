package immudb

import (
	"context"
	"regexp"
	"slices"

	"github.com/immudb-go/immudb/internal/replay"
	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/wire"
)

// commitOnServer commits. With retry_commits it runs the transaction again after a
// conflict, as long as all answers are the same as before: then what the program did
// with them is still right. Only a refused commit, which has committed nothing, is
// followed by another. err is why the transaction could not run again.
func (t *tx) commitOnServer(ctx context.Context, committed *wire.CommittedTx) (f *wire.Failure, err error) {
	c := t.conn
	for try := 1; ; try++ {
		c.aboutToCommit()
		f = t.server.Call(ctx, wire.MethodCommit, nil, committed)
		if f == nil || f.Class != wire.Conflict || f.Fate != wire.Refused || !t.canRunAgain() || try > c.connector.cfg.MaxRetries {
			return f, nil
		}
		conflict := c.callFailed(t.server.Session(), commits, "COMMIT", f)
		c.retried(ctx, try, retryConflict)
		waiting, op := c.trace(ctx, TraceRetry, "", "", try, conflict)
		err = sleep(ctx, backoffDelay(try))
		op.end(waiting, err)
		if err != nil {
			return nil, conflict // nothing is committed, whatever ended the wait
		}
		if err := t.runAgain(ctx); err != nil {
			return nil, err
		}
	}
}

// canRunAgain reports whether a commit that conflicted may be tried again: the driver
// knows all calls of the transaction, and none changed the schema, of which the answers
// do not tell.
func (t *tx) canRunAgain() bool {
	return t.conn.connector.cfg.RetryCommits && t.log != nil && !t.log.Full() && t.schema == nil
}

// runAgain runs all calls of the transaction in another one of the server, after the
// server has refused to commit it.
func (t *tx) runAgain(ctx context.Context) error {
	t.ended = true
	t.server.End()
	changes := t.conn.connector.catalog.changed()
	server, err := t.anew(ctx, afterConflict, t.log.Calls())
	if err == nil {
		t.server, t.replica, t.ended, t.changes = server, nil, false, changes
	}
	return err
}

// replay makes the transaction what it was at a savepoint, in another transaction of the
// server.
//
// What is kept is run in that transaction, which makes the server check at the commit
// that nothing of it has changed since. What the caller was told by statements that are
// undone must be true at the same time; where these have written before, they are
// checked in a third transaction, which is rolled back.
func (t *tx) replay(ctx context.Context, back replay.Return[txState]) error {
	changes := t.conn.connector.catalog.changed()
	server, err := t.anew(ctx, afterRollbackTo, back.Keep)
	if err != nil {
		return err
	}
	if back.Tells() {
		checked, err := t.anew(ctx, afterRollbackTo, slices.Concat(back.Keep, back.Undone))
		if err != nil {
			server.Undo()
			return err
		}
		checked.Undo()
	}
	t.server, t.replica, t.ended, t.changes = server, nil, false, changes
	if t.snapshots == nil {
		return nil
	}
	t.snapshots.Renew()
	if !t.readOnly {
		return nil // the commit checks
	}
	if err := t.atOneMoment(ctx); err != nil {
		t.ended = true
		server.Undo()
		return err
	}
	return nil
}

// Why a transaction runs again, for errors.
const (
	afterRollbackTo = "ROLLBACK TO ran the transaction again up to the savepoint"
	afterConflict   = "the commit conflicted, and the driver ran the transaction again (retry_commits)"
)

// anew begins a transaction on the server and runs the calls in it. It fails if an
// answer differs from the one before.
func (t *tx) anew(ctx context.Context, why string, calls []*replay.Call) (server *session.Tx, err error) {
	err = t.conn.waitForRoom(ctx, func() (err error) {
		server, err = t.conn.beginOnServer(ctx, t.begin)
		return err
	})
	if err != nil {
		return nil, withoutBadConn(err)
	}
	if err := t.compare(ctx, server, why, calls); err != nil {
		server.Undo()
		return nil, err
	}
	return server, nil
}

// compare runs the calls in another transaction. It fails if an answer differs from the one
// before.
func (t *tx) compare(ctx context.Context, server *session.Tx, why string, calls []*replay.Call) (err error) {
	for i, call := range calls {
		got, f := repeat(ctx, server, call)
		switch {
		case f != nil && f.Fate == wire.Refused && !f.Class.Safe() && f.Class != wire.Replica:
			err = answeredOtherwise(why, calls[:i+1], newCallError(f))
		case f != nil:
			err = t.conn.interrupted(server, f)
		case !call.Answer.Same(&got):
			err = answeredOtherwise(why, calls[:i+1], nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// interrupted is the error of a replay that could not go on. It has committed nothing.
func (c *Conn) interrupted(server *session.Tx, f *wire.Failure) error {
	if f.Fate == wire.NoSession {
		server.Session().Lost()
	}
	err := c.callFailed(server.Session(), writesInTx, "", f)
	if e, ok := err.(*Error); ok {
		e.safe = true
	}
	return err
}

// changing finds functions whose value is another one each time.
var changing = regexp.MustCompile(`(?i)\b(now|clock_timestamp|(gen_)?random_uuid|random|nextval|currval)\s*\(`)

// answeredOtherwise is the conflict of a replay whose last call was answered in another
// way than before, or refused.
func answeredOtherwise(why string, calls []*replay.Call, refused error) error {
	hint := ""
	if slices.ContainsFunc(calls, func(c *replay.Call) bool { return changing.Match(c.Request) }) {
		hint = "; if that happens each time, a function such as NOW() is the reason: pass its value as an argument instead"
	}
	return &Error{
		Message: why + " and got another answer than before: another client has changed what it read. " +
			"Nothing is committed; run the whole transaction again" + hint,
		SQLState: "40001",
		kind:     ErrConflict,
		cause:    refused,
		safe:     true,
	}
}

// repeat makes a call again in another transaction. It receives the answer as far as
// that was received before; a failure that the call had before is an answer.
func repeat(ctx context.Context, server *session.Tx, call *replay.Call) (got replay.Answer, f *wire.Failure) {
	switch {
	case call.Method == wire.MethodTxSQLExec:
		f = server.Call(ctx, call.Method, call.Request, wire.Empty)
	case call.Unary:
		var ans wire.Returned
		f = server.Call(ctx, call.Method, call.Request, &ans)
		addReturned(&got, &ans)
	default:
		return repeatStream(ctx, server, call)
	}
	got.End()
	return got, f
}

func repeatStream(ctx context.Context, server *session.Tx, call *replay.Call) (got replay.Answer, f *wire.Failure) {
	var set resultSet
	set.request.Bytes = call.Request
	f = server.Open(ctx, &set.ctx, &set.stream, call.Method, &set.request, nil)
	defer set.ctx.Cancel()
	for ok := true; ok && f == nil; {
		if ok, f = set.stream.Recv(&set.batch); ok && !call.Answer.Reaches(&got) {
			got.Message(set.batch.Bytes())
		}
	}
	set.batch.Release()
	set.stream.Free()
	switch {
	case f == nil:
		got.End()
	case f.Fate == wire.Refused && call.Answer.Failed():
		got.Fail(f.Message)
		f = nil
	case f.Fate == wire.Refused && call.Answer.Reaches(&got):
		f = nil // it broke off at the same place before
	}
	return got, f
}
