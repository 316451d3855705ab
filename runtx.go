package immudb

import (
	"context"
	"database/sql"
)

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
