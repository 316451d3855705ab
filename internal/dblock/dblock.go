// Package dblock is a lock that processes share through the database, for a
// server that has no locks of its own: migration tools hold it so that only one
// of them works on the schema.
//
// Who has the lock is one row (the owner), until when is another (the lease),
// which the owner renews. An owner that was killed stops renewing, and once its
// lease has run out the next one takes over.
//
// A lease alone cannot stop an owner that was slow rather than dead. So what is
// done under the lock is fenced: [Lock.Fence] reads the owner's row inside the
// transaction that does the work. The server commits a transaction only if what
// it read is still so, hence work under a lock that has been taken over is never
// committed, however late its owner wakes up and whatever the clocks say.
// Renewals write the other row, so that they do not conflict with the work.
//
// What changes the catalog is guarded as well, see stamp.go.
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
)

// ErrLost: another process has taken the lock over. Nothing that was fenced has
// been committed since.
var ErrLost = errors.New("the lock was lost: it was not renewed in time and another process took it over; " +
	"what was not committed by then never will be")

// HeldError says that the lock did not become free within the time to wait.
type HeldError struct {
	Holder string    // who has it: "process 17 on host web-1"
	Since  time.Time // when it was taken, by the server's clock
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("held by %s since %s; it becomes free when that process ends", e.Holder, e.Since.UTC().Format(time.RFC3339))
}

// Config says which lock, and how to hold it.
type Config struct {
	// Table keeps the lock and is made when missing. See [ValidName].
	Table string
	// Lease is how long the lock outlives an owner that stopped renewing it, in
	// whole milliseconds, at least [MinLease]. It is renewed three times as often.
	Lease time.Duration
	// Wait is how long Acquire waits for a lock that is held. 0: not at all.
	Wait time.Duration
}

// MinLease leaves time for three renewals, each of them a commit.
const MinLease = 100 * time.Millisecond

// ValidNames describes the names that [ValidName] accepts.
const ValidNames = "letters, digits and _, not beginning with a digit, at most 100"

// ValidName reports whether s can be a table's name between double quotes and
// is already folded, as the server folds it, to lower case.
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
	owner  string // names this tenure and no other one, ever
	holder string // names the process, for people

	stop    context.CancelFunc // ends the renewing
	stopped sync.WaitGroup
	lost    chan struct{} // closed by lose
	lose    func()
}

// Acquire takes the lock, waiting for it if it must. From then on a goroutine
// renews the lease, over a connection of its own from db.
//
// It fails with a [*HeldError] if the lock does not become free in time, and
// with the server's error where it cannot be written: to a replica, or by a user
// who may only read.
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
	if err := l.await(ctx); err != nil {
		return nil, err
	}
	if err := l.Settle(ctx); err != nil {
		return nil, errors.Join(err, l.clear(ctx))
	}
	ctx, l.stop = context.WithCancel(context.Background())
	l.stopped.Go(func() { l.keep(ctx) })
	return l, nil
}

// pollInterval is how often a lock that is held is looked at. A look costs the
// server a third of a millisecond.
const pollInterval = 100 * time.Millisecond

func (l *Lock) await(ctx context.Context) error {
	deadline := time.Now().Add(l.cfg.Wait)
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
		case err != nil && !isPassing(err) && !isUnknown(err): // whether an unknown try has taken it, the next look tells
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

// tryTake returns the tenancy there is, which is our own if the lock could be
// taken.
func (l *Lock) tryTake(ctx context.Context, w *watch) (tenancy, error) {
	// Not a SELECT by itself, which could do harm: see stamp.go.
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

// keep renews the lease until ctx ends or the lock is lost. A renewal that fails
// otherwise is not the end: the next may be in time, and if none is, the fence
// knows.
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

// Owner names this tenure of the lock. No other tenure has had or will have the
// same name.
func (l *Lock) Owner() string { return l.owner }

// Lost is closed when the loss of the lock has been noticed.
func (l *Lock) Lost() <-chan struct{} { return l.lost }

// Renew renews the lease now. It fails with [ErrLost] if the lock is gone: this
// is the check before a step that cannot be fenced because no transaction can
// hold it.
func (l *Lock) Renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Lease)
	defer cancel()
	return l.noteLoss(l.renew(ctx))
}

// Tx is a *sql.Tx, or what stands for one.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Fence ties the transaction to the lock: it fails with [ErrLost] if the lock is
// gone, and if it is taken over later, the commit fails with a conflict. It also
// fails, with [ErrStale], if the transaction has an old catalog.
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

// Release gives the lock back. After an error other than ErrLost it becomes free
// when its lease runs out. The Lock is of no use any more.
func (l *Lock) Release(ctx context.Context) error {
	l.Forget()
	return l.clear(ctx)
}

// Forget ends the renewing and leaves the lock to whoever takes it next: it is
// for an owner that has dropped the lock's table, or is about to.
func (l *Lock) Forget() {
	l.stop()
	l.stopped.Wait()
}
