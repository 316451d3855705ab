package dblock

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
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

// Run runs step in a transaction, fenced by lock unless that is nil, and commits
// it. It does so again, up to 16 times, when nothing was committed for a reason
// that passes: a conflict with another client, a server that restarts. Whatever
// went wrong under a lock that has been lost is an [ErrLost].
func Run(ctx context.Context, db *sql.DB, lock *Lock, step func(tx *sql.Tx) error) error {
	return run(ctx, db, lock, step, isPassing)
}

// RunIdempotent is Run for a step that can be run again once it is committed,
// because it first looks whether its work is done. So it also goes on after
// a commit whose answer was lost.
func RunIdempotent(ctx context.Context, db *sql.DB, lock *Lock, step func(tx *sql.Tx) error) error {
	return run(ctx, db, lock, step, func(err error) bool { return isPassing(err) || isUnknown(err) })
}

func run(ctx context.Context, db *sql.DB, lock *Lock, step func(tx *sql.Tx) error, again func(error) bool) error {
	for try := 1; ; try++ {
		err := attempt(ctx, db, lock, step)
		if err == nil {
			return nil
		}
		if try == maxTries || !again(err) {
			return lossOr(ctx, lock, err)
		}
		if err := sleep(ctx, min(10*time.Millisecond<<try, maxDelay)); err != nil {
			return err
		}
	}
}

// lossOr returns the loss of the lock as the reason for err, if it was lost: the
// new owner's work makes that of the old one fail in many ways, with a table or
// a key that already exists for instance.
func lossOr(ctx context.Context, lock *Lock, err error) error {
	if lock == nil || errors.Is(err, ErrLost) || !errors.Is(lock.Renew(ctx), ErrLost) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
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
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
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
