package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"

	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/wire"
)

// QueryContext runs a query and streams its rows. A query of several statements
// has a result set for each. If one of them writes (INSERT … RETURNING), all run
// before the first row is returned: in the open transaction, or in one of their
// own, which is committed.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	t, err := c.connector.queries.parse(query)
	if err != nil {
		return nil, err
	}
	return c.queryOrProve(ctx, t, args)
}

// query runs a query as it is, without a proof.
func (c *Conn) query(ctx context.Context, t *query, args []driver.NamedValue) (*rows, error) {
	if t.savepoints {
		return c.queryInSteps(ctx, t, args)
	}
	r, err := c.queryOnce(ctx, t, args)
	if err != nil && t.unfilled(err) && (c.tx == nil || c.tx.err == nil) {
		r, err = c.queryOnce(ctx, t, args)
	}
	if err != nil {
		return nil, c.ifTooOld(ctx, err)
	}
	return r, nil
}

func (c *Conn) queryOnce(ctx context.Context, t *query, args []driver.NamedValue) (r *rows, err error) {
	if tx := c.tx; tx != nil {
		defer func() { err = tx.confirm(err) }()
	}
	t, args, err = c.ready(ctx, t, args)
	if err != nil {
		return nil, err
	}
	if len(t.statements) == 0 {
		return (&resultSet{columns: noColumns}).rows(), nil // blanks and comments
	}
	if c.tx != nil {
		return c.queryInTx(ctx, t, args)
	}
	if t.rolledBack || !t.reads {
		return c.queryWriting(ctx, t, args)
	}
	set, err := c.readAnywhere(ctx, t.bind(0, args))
	if err != nil {
		return nil, err
	}
	r = set.rows()
	if len(t.statements) > 1 {
		r.queue(len(t.statements), func(i int) (*resultSet, error) { return c.readAnywhere(ctx, t.bind(i, args)) })
	}
	return r, nil
}

// read runs a query outside a transaction, again while the server is overloaded,
// up to max_retries times.
func (c *Conn) read(ctx context.Context, b bound) (*resultSet, error) {
	for try := 0; ; try++ {
		set, err := c.stream(ctx, b)
		if err == nil || try >= c.connector.cfg.MaxRetries || !worthRetrying(err) {
			return set, err
		}
		if sleep(ctx, backoffDelay(try+1)) != nil {
			return nil, err // more useful than the error of ctx
		}
		c.retried(ctx, try+1, whyRetried(err))
	}
}

func (c *Conn) queryInTx(ctx context.Context, t *query, args []driver.NamedValue) (*rows, error) {
	tx := c.tx
	if err := tx.admit(t); err != nil {
		return nil, err
	}
	if !t.reads {
		// Statements that write must run even if the caller never asks for the next
		// result set.
		return tx.runAll(ctx, t, args)
	}
	run := func(i int) (*resultSet, error) { return tx.queryStatement(ctx, t.bind(i, args)) }
	set, err := run(0)
	if err != nil {
		return nil, err
	}
	r := set.rows()
	r.queue(len(t.statements), run)
	return r, nil
}

// queryWriting runs a query that writes, outside a transaction.
func (c *Conn) queryWriting(ctx context.Context, t *query, args []driver.NamedValue) (*rows, error) {
	if !t.rolledBack && !slices.ContainsFunc(t.statements, func(st sqltext.Statement) bool { return st.Kind.IsQuery() || st.Returning.Has }) {
		if _, err := c.autocommit(ctx, t, args); err != nil {
			return nil, err
		}
		r := (&resultSet{columns: noColumns}).rows()
		for range t.statements[1:] {
			r.rest = append(r.rest, &resultSet{columns: noColumns})
		}
		return r, nil
	}
	var r *rows
	err := c.inOwnTx(ctx, t, func(tx *tx) (err error) {
		if r != nil {
			_ = r.Close() // the rows of an earlier try, which was not committed
		}
		r, err = tx.runAll(ctx, t, args)
		return err
	})
	if err != nil {
		if r != nil {
			_ = r.Close()
		}
		return nil, err
	}
	return r, nil
}

// inOwnTx runs the statements of a text in a transaction of their own and commits
// it (or undoes it, if the text says so), again after errors that prove that nothing was committed.
func (c *Conn) inOwnTx(ctx context.Context, t *query, run func(*tx) error) error {
	return c.retry(ctx, t.table, func() error {
		for moves := 0; ; moves++ {
			err := c.tryInTx(ctx, t.rolledBack, run)
			// A transaction whose session was lost has committed nothing.
			if !errors.Is(err, ErrSessionLost) || !isRetryable(err) || moves == maxMoves || ctx.Err() != nil {
				return err
			}
		}
	})
}

func (c *Conn) tryInTx(ctx context.Context, rollBack bool, run func(*tx) error) error {
	tx, err := c.begin(ctx, false)
	if err != nil {
		return err
	}
	switch err = run(tx); {
	case err == nil && rollBack:
		return tx.rollback(ctx)
	case err == nil:
		if _, err = tx.commit(ctx); err == nil {
			return nil
		}
	}
	if c.tx != nil {
		tx.abandon()
	}
	return err
}

// runAll runs the statements one after the other and receives all they answer.
func (t *tx) runAll(ctx context.Context, q *query, args []driver.NamedValue) (_ *rows, err error) {
	var sets []*resultSet
	defer func() {
		if err != nil {
			for _, set := range sets {
				set.close()
			}
		}
	}()
	for i := range q.statements {
		st := &q.statements[i]
		set := &resultSet{columns: noColumns}
		if st.Kind.IsQuery() || st.Returning.Has {
			set, err = t.queryStatement(ctx, q.bind(i, args))
		} else {
			err = t.execStatement(ctx, q.bind(i, args), &result{})
		}
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
		if err = t.settle(ctx); err != nil {
			return nil, err
		}
	}
	r := sets[0].rows()
	r.rest = sets[1:]
	return r, nil
}

// stream sends a statement outside a transaction and receives the first message of
// its answer. If the last answer was a single message, it makes a unary call instead,
// which receives all of it. After an error nothing is left open.
func (c *Conn) stream(ctx context.Context, b bound) (*resultSet, error) {
	return c.streamOn(ctx, nil, b)
}

// streamOn is stream on a replica, or on the primary if that is nil.
func (c *Conn) streamOn(ctx context.Context, replica *session.Link, b bound) (*resultSet, error) {
	set, err := c.newSet(b)
	if err != nil {
		return nil, err
	}
	sent := false
	call := func(s *session.Session) *wire.Failure {
		if sent {
			set, _ = c.newSet(b) // gRPC may still use the memory of the last one
		}
		sent = true
		if b.query.answers.Load() == shortAnswers {
			// This saves a query of one row 5 % of the client's CPU, 2 to 4 % of its wall.
			whole, f := s.Fetch(ctx, &set.stream, wire.MethodSQLQuery, &set.request, b.query.knownColumns(), &set.batch)
			if whole {
				return f
			}
			b.query.answers.Store(longAnswers) // the caller has seen no row, so the query may run again
			set, _ = c.newSet(b)
		}
		if len(b.query.statements) == 1 {
			set.short = b.query
		}
		return set.open(ctx, &s.Scope, wire.MethodSQLQuery, b.query)
	}
	if replica == nil {
		err = c.inSession(ctx, reads, "", call)
		c.sawPrimary()
	} else {
		err = c.onReplica(replica, call)
	}
	if err != nil {
		return nil, err
	}
	set.columns = b.query.columnsOf(b.st, set.batch.Columns)
	return set, nil
}

// streamInTx is stream for a statement in a transaction.
func (c *Conn) streamInTx(ctx context.Context, t *tx, kind callKind, b bound) (*resultSet, error) {
	set, err := c.newSet(b)
	if err != nil {
		return nil, err
	}
	if t.replica != nil && b.query.readsCatalog() {
		t.leaveReplica(ctx, nil)
	}
	f := set.open(ctx, &t.server.Scope, wire.MethodTxSQLQuery, b.query)
	if f != nil && t.replica != nil && t.leaveReplica(ctx, f) {
		return c.streamInTx(ctx, t, kind, b)
	}
	t.saw(f)
	t.rememberStream(kind, &b, set, f)
	if f != nil {
		return nil, t.ifOutdated(ctx, b, t.failed(kind, "", f))
	}
	set.replica = t.replica
	set.columns = b.query.columnsOf(b.st, set.batch.Columns)
	return set, nil
}

// newSet makes the resultSet for the answer to a statement, with the request in it.
func (c *Conn) newSet(b bound) (*resultSet, error) {
	set := &resultSet{conn: c}
	req, err := b.request(set.memory[:0])
	if err != nil {
		return nil, err
	}
	set.request.Bytes = wire.AppendAcceptStream(req)
	return set, nil
}

// open sends the set's request and receives the first message of the answer.
func (s *resultSet) open(ctx context.Context, scope *session.Scope, method string, t *query) *wire.Failure {
	f := scope.Open(ctx, &s.ctx, &s.stream, method, &s.request, t.knownColumns())
	if f == nil {
		var ok bool
		if ok, f = s.stream.Recv(&s.batch); !ok && f == nil {
			f = wire.Malformed("the server answered a query with nothing")
		}
	}
	if f != nil {
		s.ctx.Cancel()
		return f
	}
	s.live = true
	return nil
}
