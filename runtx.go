package immudb

import (
	"context"
	"database/sql"
)

// maxReruns bounds how often [RunTx] runs a function again. With the waits in
// between, which grow to a quarter of a second, that is about ten seconds.
const maxReruns = 100

// maxFailedBegins is how many transactions in a row may fail to begin, but for a
// server that says that it is busy: each may have waited for connect_timeout.
const maxFailedBegins = 3

// RunTx runs fn in a transaction of db and commits it. When fn or the commit
// fails with an error that proves that nothing was committed and that another
// try may succeed (see [Error.Retryable]: a conflict with another transaction,
// a server that had no room for one more, a session lost), RunTx waits a little
// and runs fn again, in a new transaction, up to 100 times and within ctx. So
// fn must be fit to be run more than once: what it does outside the transaction
// happens each time. A server that cannot be reached, or has no session to give,
// is tried three times.
//
// An error that fn returns, or a panic, rolls the transaction back; RunTx
// returns the error or lets the panic go on. An error of the commit that leaves
// the outcome open ([ErrOutcomeUnknown]) is returned and nothing is run again.
// fn must not commit or roll back itself: RunTx then returns [sql.ErrTxDone].
//
// RunTx works with the sql.DB of any driver; errors of other drivers are never
// taken for retryable ones. Those of this package are, wherever they come from:
// a mock may answer with [ErrConflict].
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
			return err // the last failure says more than the end of ctx
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
