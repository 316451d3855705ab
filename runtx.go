package immudb

import (
	"context"
	"database/sql"
)

// maxReruns bounds how often [RunTx] runs a function again. With the waits in
// between, which grow to a quarter of a second, that is about ten seconds.
const maxReruns = 100

// RunTx runs fn in a transaction of db and commits it. When fn or the commit
// fails with an error that proves that nothing was committed and that another
// try may succeed (see [Error.Retryable]: a conflict with another transaction,
// a server that had no room for one more, a session lost), RunTx waits a little
// and runs fn again, in a new transaction, up to 100 times and within ctx. So
// fn must be fit to be run more than once: what it does outside the transaction
// happens each time.
//
// An error that fn returns, or a panic, rolls the transaction back; RunTx
// returns the error or lets the panic go on. An error of the commit that leaves
// the outcome open ([ErrOutcomeUnknown]) is returned and nothing is run again.
//
// RunTx works with the sql.DB of any driver; errors of other drivers are never
// taken for retryable ones.
func RunTx(ctx context.Context, db *sql.DB, opts *sql.TxOptions, fn func(*sql.Tx) error) error {
	for try := 1; ; try++ {
		err := runTxOnce(ctx, db, opts, fn)
		if err == nil || try > maxReruns || !isRetryable(err) {
			return err
		}
		if sleep(ctx, backoffDelay(try)) != nil {
			return err // the last failure says more than the end of ctx
		}
	}
}

func runTxOnce(ctx context.Context, db *sql.DB, opts *sql.TxOptions, fn func(*sql.Tx) error) (err error) {
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			_ = tx.Rollback() // fn's error or panic is the one to report
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	done = true
	return tx.Commit()
}
