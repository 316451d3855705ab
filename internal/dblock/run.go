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

// maxTries and maxDelay make work outlast about 10 s of conflicts, or of a
// server that restarts.
const (
	maxTries = 16
	maxDelay = time.Second
)

// Work is what is done in a transaction under a lock.
type Work struct {
	DB   *sql.DB
	Lock *Lock // nil: nothing is fenced

	// ChangesCatalog: it creates, alters or drops something.
	ChangesCatalog bool
	// Idempotent: it can be run again once it is committed, because it first looks
	// whether it is done. So it also goes on after a commit whose answer was lost.
	Idempotent bool
}

// Run runs step in a transaction, fenced by the lock, and commits it. It does so
// again, up to 16 times, when nothing was committed for a reason that passes: a
// conflict with another client, a server that restarts. Whatever went wrong
// under a lock that has been lost is an [ErrLost].
func (w Work) Run(ctx context.Context, step func(tx *sql.Tx) error) error {
	for try := 1; ; try++ {
		err := w.attempt(ctx, step)
		if errors.Is(err, ErrStale) {
			if err := w.Lock.Settle(ctx); err != nil {
				return err
			}
		}
		switch again := isPassing(err) || isUnknown(err) && w.Idempotent || errors.Is(err, ErrStale); {
		case err == nil && w.Lock != nil && w.ChangesCatalog:
			return w.Lock.Settle(ctx)
		case err == nil:
			return nil
		case !again || try == maxTries:
			return w.lossOr(ctx, err)
		}
		if err := sleep(ctx, min(10*time.Millisecond<<try, maxDelay)); err != nil {
			return err
		}
	}
}

func (w Work) attempt(ctx context.Context, step func(tx *sql.Tx) error) error {
	tx, err := w.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if w.Lock != nil {
		if err := w.Lock.Fence(ctx, tx); err != nil {
			return err
		}
	}
	if err := step(tx); err != nil {
		return err
	}
	if w.Lock != nil && w.ChangesCatalog {
		if err := w.Lock.Stamp(ctx, tx); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// lossOr returns the loss of the lock as the reason for err, if it was lost: the
// new owner's work makes that of the old one fail in many ways, with a table or
// a key that already exists for instance.
func (w Work) lossOr(ctx context.Context, err error) error {
	if w.Lock == nil || errors.Is(err, ErrLost) || !errors.Is(w.Lock.Renew(ctx), ErrLost) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// IsInterruption reports whether err, from [Work.Run] or from the driver, says
// nothing about the work that was asked for: something else kept it from being
// done, or from being known to be done.
func IsInterruption(err error) bool {
	return errors.Is(err, ErrLost) || errors.Is(err, ErrStale) || isPassing(err) || isUnknown(err)
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
