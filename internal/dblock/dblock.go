// Package dblock is a lock that processes share through the database, because the
// server has no locks of its own. Migration tools hold it so that only one of them
// changes the schema at a time.
//
// The lock is a table of two rows. One row names the owner; the other holds the end
// of its lease, which the owner renews. A killed owner stops renewing, and when its
// lease has run out another process takes the lock over.
//
// A lease alone cannot stop an owner that is slow rather than dead. So work under
// the lock is fenced: [Lock.Fence] reads the owner's row inside the transaction that
// does the work. The server commits a transaction only if the rows it read have not
// changed. So work under a lock that was taken over is never committed, however
// late its owner resumes and whatever the clocks show. Renewals write the other
// row, so they do not conflict with the work.
//
// Changes of the catalog are also protected against a outdated cache of the server,
// see stamp.go.
package dblock

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/immudb-go/immudb"
)

// ErrLost: another process has taken the lock over. No fenced transaction of this
// owner has been committed since.
var ErrLost = errors.New("the lock was lost: it was not renewed in time and another process took it over; " +
	"transactions that were not committed by then never will be")

// HeldError says that the lock did not become free within the time to wait.
type HeldError struct {
	Holder string    // the process that holds it: "process 17 on host web-1"
	Since  time.Time // when it was taken, by the server's clock
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("held by %s since %s; it becomes free when that process ends", e.Holder, e.Since.UTC().Format(time.RFC3339))
}

// Config says which lock, and how to hold it.
type Config struct {
	// Table is the table that stores the lock. It is created if it does not exist. See
	// [ValidName].
	Table string
	// Lease is how long the lock outlives an owner that stopped renewing it, in
	// whole milliseconds, at least [MinLease]. It is renewed three times as often.
	Lease time.Duration
	// Wait is how long Acquire waits for a lock that is held. 0: it does not wait.
	Wait time.Duration
}

// MinLease leaves time for three renewals, each of them a commit.
const MinLease = 100 * time.Millisecond

// ValidNames describes the names that [ValidName] accepts.
const ValidNames = "letters, digits and _, not beginning with a digit, at most 100"

// ValidName reports whether s can be a table's name between double quotes, and is
// in lower case, to which the server folds names.
func ValidName(s string) bool {
	if s == "" || len(s) > 100 || '0' <= s[0] && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_':
		default:
			return false
		}
	}
	return true
}

// Lock is a lock that is held, from [Acquire] until Release or Forget, or until
// it is lost. Its methods may be called from several goroutines.
type Lock struct {
	db     *sql.DB
	cfg    Config
	owner  string // a random name that no other owner of the lock ever has
	holder string // a readable name of the process

	stop    context.CancelFunc // ends the renewing
	stopped sync.WaitGroup
	lost    chan struct{} // closed by lose
	lose    func()
}

// Acquire takes the lock, waiting for it if it must. From then on a goroutine
// renews the lease, over a connection of its own from db.
//
// It fails with a [*HeldError] if the lock does not become free in time, and with
// the server's error if the lock's table cannot be written: on a replica, or by a
// user who may only read.
func Acquire(ctx context.Context, db *sql.DB, cfg Config) (*Lock, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	l := &Lock{
		db:     db,
		cfg:    cfg,
		owner:  rand.Text(),
		holder: fmt.Sprintf("process %d on host %.200s", os.Getpid(), host),
		lost:   make(chan struct{}),
	}
	l.lose = sync.OnceFunc(func() { close(l.lost) })
	deadline := time.Now().Add(cfg.Wait)
	for tries := 1; ; tries++ {
		err := l.take(ctx, deadline)
		if err == nil {
			break
		}
		// The table was there: another process has dropped it, or the server has an outdated catalog.
		if !errors.Is(err, immudb.ErrNoSuchTable) || tries == maxMends {
			return nil, err
		}
		if err := sleep(ctx, pollInterval); err != nil {
			return nil, err
		}
		l.refresh(ctx)
	}
	ctx, l.stop = context.WithCancel(context.Background())
	l.stopped.Go(func() { l.keep(ctx) })
	return l, nil
}

// take creates the table, if it does not exist, and takes the lock.
func (l *Lock) take(ctx context.Context, deadline time.Time) error {
	if err := l.await(ctx, deadline); err != nil {
		return err
	}
	if err := l.Settle(ctx); err != nil {
		return errors.Join(err, l.clear(ctx))
	}
	return nil
}

// pollInterval is the pause between two attempts to take a lock that is held. An
// attempt costs the server a third of a millisecond.
const pollInterval = 100 * time.Millisecond

func (l *Lock) await(ctx context.Context, deadline time.Time) error {
	var w watch
	for created := false; ; {
		var met tenancy
		var err error
		if !created {
			err = l.createTable(ctx)
			created = err == nil
		}
		if err == nil {
			met, err = l.tryTake(ctx, &w)
		}
		switch {
		case err == nil && met.owner == l.owner:
			return nil
		case err != nil && !isPassing(err) && !isUnknown(err): // after an unknown outcome the next attempt sees whether we hold it
			return err
		case !time.Now().Before(deadline) && err != nil:
			return err
		case !time.Now().Before(deadline):
			return &HeldError{Holder: met.holder, Since: met.taken}
		}
		if err := sleep(ctx, pollInterval); err != nil {
			return err
		}
	}
}

// tryTake takes the lock if it is free, and returns the current tenancy, which is
// our own if that succeeded.
func (l *Lock) tryTake(ctx context.Context, w *watch) (tenancy, error) {
	// A SELECT outside a transaction could leave an outdated catalog in the server's
	// cache, see stamp.go.
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return tenancy{}, err
	}
	defer tx.Rollback()
	met, err := l.read(ctx, tx)
	if err != nil || met.owner == l.owner || !w.over(met) {
		return met, err
	}
	if err := l.write(ctx, tx); err != nil {
		return met, err
	}
	if err := tx.Commit(); err != nil {
		return met, err
	}
	met.owner = l.owner
	return met, nil
}

// keep renews the lease until ctx ends or the lock is lost. It goes on after other
// errors: the next renewal may be in time, and if none is, the fence stops the work.
func (l *Lock) keep(ctx context.Context) {
	tick := time.NewTicker(l.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := l.Renew(ctx); errors.Is(err, ErrLost) {
			return
		}
	}
}

// Owner is the unique name of this ownership of the lock. It is never used again.
func (l *Lock) Owner() string { return l.owner }

// Lost returns a channel that is closed when the loss of the lock was noticed.
func (l *Lock) Lost() <-chan struct{} { return l.lost }

// Renew renews the lease now. It fails with [ErrLost] if another process has the
// lock. Callers use it before a step that cannot run in a transaction and so cannot
// be fenced.
func (l *Lock) Renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Lease)
	defer cancel()
	return l.noteLoss(l.renew(ctx))
}

// Tx is the part of *sql.Tx that the lock needs.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Fence makes the transaction depend on the lock: it fails with [ErrLost] if another
// process has the lock, and if the lock is taken over later, the commit fails with a
// conflict. It fails with [ErrStale] if the transaction has an outdated catalog.
func (l *Lock) Fence(ctx context.Context, tx Tx) error {
	stamp, err := l.checkOwner(ctx, tx)
	if err != nil {
		return l.noteLoss(err)
	}
	return l.checkStamp(ctx, tx, stamp)
}

func (l *Lock) noteLoss(err error) error {
	if errors.Is(err, ErrLost) {
		l.lose()
	}
	return err
}

// Release makes the lock free. After an error other than ErrLost it becomes free
// when its lease runs out. The Lock must not be used any more.
func (l *Lock) Release(ctx context.Context) error {
	l.Forget()
	return l.clear(ctx)
}

// Forget stops the renewals without making the lock free. It is for an owner that
// drops the lock's table.
func (l *Lock) Forget() {
	l.stop()
	l.stopped.Wait()
}
