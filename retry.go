package immudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// The bounds of time of this package, with their reasons. Those of sessions and
// connections are in internal/session.
const (
	// closeTimeout bounds the wait for the remaining rows when rows are closed early
	// in a transaction.
	closeTimeout = 5 * time.Second

	// endTimeout bounds Commit and Rollback. They do not use the caller's context: its
	// end must not turn a commit that succeeds into an unknown outcome.
	endTimeout = 30 * time.Second

	// roomTimeout bounds how long BeginTx tries again while the server is overloaded:
	// all of its 100 snapshots are in use.
	roomTimeout = 30 * time.Second
)

// retry runs work that is a transaction of its own. If it fails with an error that
// proves that nothing was committed, and another try may succeed, retry runs it
// again, up to max_retries times and within ctx. table is the table that it writes.
//
// A conflict means that another client wrote the table meanwhile, and each writer
// that tries again makes further conflicts likelier. So after a conflict the
// writers of a table take turns in a lane. That costs no speed, because the server
// commits one transaction at a time anyway.
func (c *Conn) retry(ctx context.Context, table string, work func() error) error {
	limit := c.connector.cfg.MaxRetries
	leave, err := c.connector.lanes.enter(ctx, table, false)
	if err != nil {
		return err
	}
	defer func() { leave() }()
	for try := 0; ; try++ {
		err := work()
		if err == nil || try >= limit || !worthRetrying(err) {
			return err
		}
		c.retried(ctx, try+1, whyRetried(err))
		waiting, op := c.trace(ctx, TraceRetry, "", table, try+1, err)
		if try == 0 {
			leave()
			leave, err = c.connector.lanes.enter(ctx, table, true)
		} else {
			err = sleep(ctx, backoffDelay(try))
		}
		op.end(waiting, err)
		if err != nil {
			return err
		}
	}
}

// waitForRoom begins a transaction, and tries again while the server is overloaded,
// until roomTimeout has passed. Time bounds it and not the number of tries, because
// the other transactions may stay open for long.
func (c *Conn) waitForRoom(ctx context.Context, begin func() error) error {
	if c.connector.cfg.MaxRetries == 0 {
		return begin()
	}
	deadline := time.Now().Add(roomTimeout)
	for try := 1; ; try++ {
		err := begin()
		if !errors.Is(err, ErrOverloaded) || !isRetryable(err) || time.Now().After(deadline) {
			return err
		}
		if sleep(ctx, backoffDelay(min(try, 5))) != nil {
			return err // more useful than the error of ctx
		}
		c.retried(ctx, try, retryOverloaded)
	}
}

// worthRetrying reports whether the same work may succeed on the same session after
// err. ErrOverloaded alone is not enough: the server may have been overloaded while
// a commit was being proven, after it was committed.
func worthRetrying(err error) bool {
	return isRetryable(err) && (errors.Is(err, ErrConflict) || errors.Is(err, ErrOverloaded))
}

// backoffDelay is how long to wait before the try after the given one, counted
// from 1: random, up to a limit that doubles from 2 ms to 256 ms. A commit takes
// about 10 ms.
func backoffDelay(try int) time.Duration {
	return rand.N(time.Millisecond << min(try, 8))
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lanes make the writers of a table take turns after a conflict. A table has a lane
// as long as a writer is in it or waits for it. The zero value is ready to use.
type lanes struct {
	mu sync.Mutex
	m  map[string]*lane
}

type lane struct {
	turn  chan struct{} // holds one token: the turn to write
	users int           // in the lane or waiting; guarded by lanes.mu
}

// enter waits for the caller's turn in the lane of a table. If the table has no
// lane, enter makes one if open is set, and otherwise returns at once. It also
// returns at once if table is "", not known. The caller must call leave; calling it
// again does nothing.
func (l *lanes) enter(ctx context.Context, table string, open bool) (leave func(), err error) {
	if table == "" {
		return func() {}, nil
	}
	l.mu.Lock()
	ln := l.m[table]
	if ln == nil {
		if !open {
			l.mu.Unlock()
			return func() {}, nil
		}
		if l.m == nil {
			l.m = make(map[string]*lane)
		}
		ln = &lane{turn: make(chan struct{}, 1)}
		ln.turn <- struct{}{}
		l.m[table] = ln
	}
	ln.users++
	l.mu.Unlock()

	quit := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if ln.users--; ln.users == 0 {
			delete(l.m, table)
		}
	}
	select {
	case <-ln.turn:
		return sync.OnceFunc(func() {
			ln.turn <- struct{}{}
			quit()
		}), nil
	case <-ctx.Done():
		quit()
		return func() {}, ctx.Err()
	}
}

// maxConnTries is how many connections are tried before an ErrBadConn is returned,
// as many as database/sql itself tries.
const maxConnTries = 3

// heldConn is a connection of a sql.DB, kept from one use to the next. Its zero
// value with db set is ready to use.
type heldConn struct {
	db   *sql.DB
	conn *sql.Conn // nil until needed

	// patience bounds the wait for a connection of the sql.DB, unless it is 0. late
	// returns the error for when it has passed.
	patience time.Duration
	late     func() error
}

// take makes sure that there is a connection.
func (h *heldConn) take(ctx context.Context) (err error) {
	if h.conn != nil {
		return nil
	}
	patient, cancel := ctx, context.CancelFunc(func() {})
	if h.patience > 0 {
		patient, cancel = context.WithTimeout(ctx, h.patience)
	}
	defer cancel()
	h.conn, err = h.db.Conn(patient)
	if err != nil && patient.Err() != nil && ctx.Err() == nil {
		return h.late()
	}
	return withoutBadConn(err)
}

// use runs f on the connection. If f fails with driver.ErrBadConn, which means that
// the server has not run its call, use runs f on another connection.
func (h *heldConn) use(ctx context.Context, f func(c *Conn) error) error {
	for try := 1; ; try++ {
		err := h.useOnce(ctx, f)
		if !errors.Is(err, driver.ErrBadConn) || try == maxConnTries {
			return withoutBadConn(err)
		}
	}
}

// useOnce runs f on the connection. After an error that matches driver.ErrBadConn
// the connection is gone.
func (h *heldConn) useOnce(ctx context.Context, f func(c *Conn) error) error {
	if err := h.take(ctx); err != nil {
		return err
	}
	err := Raw(context.WithoutCancel(ctx), h.conn, f)
	if errors.Is(err, driver.ErrBadConn) {
		h.conn = nil // closed by database/sql, because of the error
	}
	return err
}

// release gives the connection back.
func (h *heldConn) release() {
	if h.conn != nil {
		_ = h.conn.Close() // fails only if it is closed already
		h.conn = nil
	}
}

// onConn runs f on a connection of db, see heldConn.use and Conn.onNextHost.
func onConn(ctx context.Context, db *sql.DB, f func(c *Conn) error) error {
	h := heldConn{db: db}
	defer h.release()
	return h.use(ctx, func(c *Conn) error {
		return c.onNextHost(func() error { return fromTrust(f(c)) })
	})
}

// maxReruns bounds how often [RunTx] runs a function again. With the waits in
// between, which grow to a quarter of a second, that is about ten seconds.
const maxReruns = 100

// maxFailedBegins is how many transactions in a row may fail to begin, not counting
// an overloaded server: each may have waited for connect_timeout.
const maxFailedBegins = 3

// RunTx runs fn in a transaction of db and commits it. When fn or the commit
// fails with an error that proves that nothing was committed and that another
// try may succeed (see [Error.Retryable]: a conflict with another transaction,
// an overloaded server, a lost session), RunTx waits a little and runs fn again,
// in a new transaction, up to 100 times and within ctx. So fn may run more than
// once: what it does outside the transaction happens each time. A server that
// cannot be reached, or that allows no further session, is tried three times.
//
// If fn returns an error or panics, RunTx rolls the transaction back, and returns
// the error or lets the panic go on. If the outcome of the commit is unknown
// ([ErrOutcomeUnknown]), RunTx returns that error and runs nothing again. fn must
// not commit or roll back itself: RunTx then returns [sql.ErrTxDone].
//
// After a conflict between the tables that a transaction has read, the next try begins with
// [WithSnapshot] of them.
//
// RunTx works with the sql.DB of any driver. It never retries after errors of other
// drivers, but always after the retryable errors of this package: a mock may return
// [ErrConflict].
func RunTx(ctx context.Context, db *sql.DB, opts *sql.TxOptions, fn func(*sql.Tx) error) error {
	failedBegins := 0
	for try := 1; ; try++ {
		begun, err := runTxOnce(ctx, db, opts, fn)
		if err == nil || try > maxReruns || !isRetryable(err) {
			return err
		}
		switch {
		case begun:
			failedBegins = 0
		case !worthRetrying(err):
			if failedBegins++; failedBegins == maxFailedBegins {
				return err
			}
		}
		if sleep(ctx, backoffDelay(try)) != nil {
			return err // more useful than the error of ctx
		}
		if e, ok := errors.AsType[*Error](err); ok && len(e.tables) > 0 {
			ctx = WithSnapshot(ctx, e.tables...)
		}
	}
}

func runTxOnce(ctx context.Context, db *sql.DB, opts *sql.TxOptions, fn func(*sql.Tx) error) (begun bool, err error) {
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return false, err
	}
	done := false
	defer func() {
		if !done {
			_ = tx.Rollback() // fn's error or panic is the one to report
		}
	}()
	if err := fn(tx); err != nil {
		return true, err
	}
	done = true
	return true, tx.Commit()
}
