// Package gooseimmudb lets goose migrate immudb: a store for the versions and a
// lock for the processes.
//
//	db, err := sql.Open("immudb", "immudb://user:password@localhost:3322/app")
//	locker := gooseimmudb.NewLocker(db)
//	provider, err := goose.NewProvider(goose.DialectCustom, db, migrations,
//		goose.WithStore(gooseimmudb.NewStore(goose.DefaultTablename, locker)),
//		goose.WithSessionLocker(locker))
//	results, err := provider.Up(ctx)
//
// # Transactions
//
// goose runs a migration in a transaction and enters its version in the same one,
// so that both happen or neither. The store ties that transaction to the lock: if
// another process has taken the lock over, nothing is committed. Such a migration
// is run exactly once, whatever processes are killed or delayed.
//
// Statements that no transaction can hold (CREATE DATABASE, CREATE USER, INSERT …
// SELECT from the same table) and migrations of more than 1,024 entries need
//
//	-- +goose NO TRANSACTION
//
// and Go migrations may run on the *sql.DB. Such a migration, if it is cut off, is
// run from its start by the next process, so write it to be fit for that. It is
// entered only while the lock is held, and the loss of the lock closes the
// connection that goose runs it on.
//
// # Replicas
//
// A replica can tell its versions and nothing else; migrations there fail with
// immudb.ErrReplica. A running one does not notice new tables and columns
// (v1.11.1): restart it after a migration.
//
// # What the server does differently
//
// A transaction that creates a table must not drop it, must not read by an index
// that it has created nor drop a column whose index it has dropped, and gets no
// error for a key inserted twice into the new table: the last row wins. A table
// with CHECK constraints can only be dropped once these have been dropped.
package gooseimmudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3/lock"

	"github.com/immudb-go/immudb/internal/dblock"
)

// ErrLockLost: another process took the lock over while this one did not renew
// it in time. No transaction of this one has been committed since.
var ErrLockLost = dblock.ErrLost

// ErrStaleCatalog: a migration in a transaction was not committed because the
// server's view of the tables was out of date, which has been mended: run it again.
// It comes from a bug of the server (v1.11.1) that others who read during
// a migration can set off, and that would otherwise cost a table.
var ErrStaleCatalog = dblock.ErrStale

const (
	// DefaultLockTable keeps the lock.
	DefaultLockTable = "goose_lock"
	// DefaultLockTimeout is how long a process waits for another's migrations,
	// as long as with goose's own lockers.
	DefaultLockTimeout = 5 * time.Minute
	// DefaultLockLease is how long the lock outlives a process that was killed.
	DefaultLockLease = 10 * time.Second
)

var _ lock.SessionLocker = (*Locker)(nil)

// Locker is a lock that one process at a time has, kept in a table. Its owner
// renews it; when the owner is killed it becomes free after the lease.
//
// One Locker serves one [goose.Provider] and its [Store].
type Locker struct {
	db  *sql.DB
	cfg dblock.Config

	turn   chan struct{} // holds a token while nobody in this process has the lock
	tenure atomic.Pointer[tenure]
}

// tenure is a time for which the lock is held.
type tenure struct {
	lock  *dblock.Lock
	ended chan struct{} // closed by SessionUnlock
}

// LockerOption changes a Locker's settings.
type LockerOption func(*Locker)

// WithLockTable names the table that keeps the lock: letters, digits and _, folded
// to lower case. Providers that share it take turns.
func WithLockTable(name string) LockerOption {
	return func(l *Locker) { l.cfg.Table = strings.ToLower(name) }
}

// WithLockTimeout sets how long to wait for another process's migrations.
// 0: not at all.
func WithLockTimeout(d time.Duration) LockerOption { return func(l *Locker) { l.cfg.Wait = d } }

// WithLockLease sets how long the lock outlives a process that was killed, at
// least 100 ms.
func WithLockLease(d time.Duration) LockerOption { return func(l *Locker) { l.cfg.Lease = d } }

// NewLocker returns a locker for the database of db. Beside goose's connection it
// uses one of its own, so db must not be limited to a single one.
func NewLocker(db *sql.DB, options ...LockerOption) *Locker {
	l := &Locker{
		db:   db,
		cfg:  dblock.Config{Table: DefaultLockTable, Lease: DefaultLockLease, Wait: DefaultLockTimeout},
		turn: make(chan struct{}, 1),
	}
	l.turn <- struct{}{}
	for _, o := range options {
		o(l)
	}
	return l
}

// check refuses what cannot work.
func (l *Locker) check() error {
	switch {
	case !dblock.ValidName(l.cfg.Table):
		return fmt.Errorf("lock table %q: valid names are %s", l.cfg.Table, dblock.ValidNames)
	case l.cfg.Lease < dblock.MinLease:
		return fmt.Errorf("lock lease %v: must be at least %v", l.cfg.Lease, dblock.MinLease)
	case l.cfg.Wait < 0:
		return fmt.Errorf("lock timeout %v: must not be negative", l.cfg.Wait)
	case l.db.Stats().MaxOpenConnections == 1:
		return errors.New("the lock is renewed on a second connection: set SetMaxOpenConns to 2 or more")
	}
	return nil
}

// SessionLock takes the lock. Should it ever be lost, conn is closed, so that
// nothing more is done with it. goose calls it.
func (l *Locker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if err := l.check(); err != nil {
		return fmt.Errorf("gooseimmudb: %w", err)
	}
	select {
	case <-l.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	held, err := dblock.Acquire(ctx, l.db, l.cfg)
	if err != nil {
		l.turn <- struct{}{}
		return fmt.Errorf("gooseimmudb: taking the lock: %w", err)
	}
	ended := make(chan struct{})
	l.tenure.Store(&tenure{held, ended})
	go func() {
		select {
		case <-held.Lost():
			// Waits for the end of a transaction, which will not be committed.
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		case <-ended:
		}
	}()
	return nil
}

// SessionUnlock gives the lock back. It fails with [ErrLockLost] if there was no
// lock any more, which may be why a migration failed. A lock that the server
// cannot be told about is no error: it becomes free when its lease runs out.
// goose calls it.
func (l *Locker) SessionUnlock(ctx context.Context, _ *sql.Conn) error {
	t := l.tenure.Swap(nil)
	if t == nil {
		return errors.New("gooseimmudb: the lock to give back is not held")
	}
	defer func() { l.turn <- struct{}{} }()
	defer close(t.ended)
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	settled := t.lock.Settle(ctx)
	if err := t.lock.Release(ctx); errors.Is(err, ErrLockLost) {
		return fmt.Errorf("gooseimmudb: %w", err)
	}
	if dblock.IsInterruption(settled) {
		return nil
	}
	return settled
}

// releaseTimeout bounds the wait for a server that does not answer.
const releaseTimeout = 5 * time.Second

// held returns the lock, or nil if it is not held.
func (l *Locker) held() *dblock.Lock {
	if t := l.tenure.Load(); t != nil {
		return t.lock
	}
	return nil
}
