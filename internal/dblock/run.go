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

// With maxTries and maxDelay, work is retried for about 10 s: through conflicts, or
// a restart of the server.
const (
	maxTries = 16
	maxDelay = time.Second
)

// Work describes transactions that run under a lock.
type Work struct {
	DB   *sql.DB
	Lock *Lock // nil: nothing is fenced

	// ChangesCatalog: the transaction creates, alters or drops a table, column or index.
	ChangesCatalog bool
	// Idempotent: the transaction checks first whether its work is done, so it may run
	// again after a commit. It is then also retried when the outcome is unknown.
	Idempotent bool
}

// Run runs step in a transaction, fenced by the lock, and commits it. It tries up to
// 16 times when nothing was committed for a temporary reason: a conflict with
// another client, or a restart of the server. If the lock was lost, every error
// matches [ErrLost].
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

// lossOr wraps err in ErrLost if the lock was lost: the new owner's work makes that
// of the old one fail in many ways, for instance because a table or a key already
// exists.
func (w Work) lossOr(ctx context.Context, err error) error {
	if w.Lock == nil || errors.Is(err, ErrLost) || !errors.Is(w.Lock.Renew(ctx), ErrLost) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// IsInterruption reports whether err, from [Work.Run] or from the driver, has another
// cause than the work itself: the work was interrupted, or its outcome is unknown.
func IsInterruption(err error) bool {
	return errors.Is(err, ErrLost) || errors.Is(err, ErrStale) || isPassing(err) || isUnknown(err)
}

// isPassing reports whether err proves that nothing was committed, and has a cause
// that is temporary.
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
