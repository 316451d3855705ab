package dblock

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb"
)

// maxTries and maxDelay make a step outlast about 10 s of conflicts, or of a
// server that restarts.
const (
	maxTries = 16
	maxDelay = time.Second
)

// Run runs step in a transaction, fenced by lock, and commits it. It does so
// again, up to 16 times, when the transaction did not commit for a reason that
// passes: a conflict with another client, a server that restarts.
//
// Whether a commit whose answer was lost has happened only the database knows, so
// a step that runs under a lock must begin by looking whether its work is done.
// lock may be nil: then nothing is fenced and such a commit is an error.
func Run(ctx context.Context, db *sql.DB, lock *Lock, step func(tx *sql.Tx) error) error {
	for try := 1; ; try++ {
		err := attempt(ctx, db, lock, step)
		again := isPassing(err) || isUnknown(err) && lock != nil
		if !again || try == maxTries {
			return err
		}
		if err := sleep(ctx, min(10*time.Millisecond<<try, maxDelay)); err != nil {
			return err
		}
	}
}

func attempt(ctx context.Context, db *sql.DB, lock *Lock, step func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if lock != nil {
		if err := lock.Fence(ctx, tx); err != nil {
			return err
		}
	}
	if err := step(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// IsInterruption reports whether err, from [Run] or from the driver, says
// nothing about the work that was asked for: something else kept it from being
// done, or from being known to be done.
func IsInterruption(err error) bool {
	return errors.Is(err, ErrLost) || isPassing(err) || isUnknown(err)
}

// isPassing reports errors that prove that nothing was committed and come from
// something that passes.
func isPassing(err error) bool {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, immudb.ErrSessionLost) {
		return true
	}
	var e *immudb.Error
	if !errors.As(err, &e) || isUnknown(err) {
		return false
	}
	return e.Retryable() || e.GRPC == codes.Unavailable || e.GRPC == codes.Canceled
}

func isUnknown(err error) bool { return errors.Is(err, immudb.ErrOutcomeUnknown) }

// sleep waits for about d, or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
