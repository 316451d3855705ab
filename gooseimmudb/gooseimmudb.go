// Package gooseimmudb makes goose work with immudb: it has a store for the versions, and a
// lock so that one process at a time migrates.
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
// goose runs a migration and adds its version in one transaction, so that both happen or
// neither. The store makes that transaction depend on the lock: if another process has
// taken the lock over, the commit fails. Such a migration is run exactly once, even if
// processes are killed or delayed.
//
// Statements that cannot run in a transaction (CREATE DATABASE, CREATE USER, INSERT …
// SELECT from the same table) and migrations of more than 1,024 entries need
//
//	-- +goose NO TRANSACTION
//
// and Go migrations may run on the *sql.DB. If such a migration is interrupted, the next
// process runs it from its start, so it must be safe to run again. Its version is added
// only while the lock is held; if the lock is lost, the connection of the migration is
// closed.
//
// # Replicas
//
// On a replica the versions can be read; migrations fail with immudb.ErrReplica. A running
// replica does not see new tables and columns (v1.11.1): restart it after a migration.
//
// # What the server does differently
//
// A transaction that creates a table must not drop it, must not read through an index that
// it has created, and must not drop a column whose index it has dropped. It gets no error
// if it inserts a key twice into the new table: the last row is kept. Before a table with
// CHECK constraints can be dropped, the constraints must be dropped.
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

// ErrLockLost: this process did not renew the lock in time, and another process took it
// over. No transaction of this process has been committed since then.
var ErrLockLost = dblock.ErrLost

// ErrStaleCatalog: a migration in a transaction was not committed because the server's
// catalog of tables was outdated. The catalog has been refreshed: run the migration again.
// The cause is a bug of the server (v1.11.1) when other clients read during a migration;
// without this check a table could be lost.
var ErrStaleCatalog = dblock.ErrStale

const (
	// DefaultLockTable is the table of the lock.
	DefaultLockTable = "goose_lock"
	// DefaultLockTimeout is how long a process waits for another's migrations. It is the
	// same as for goose's lockers.
	DefaultLockTimeout = 5 * time.Minute
	// DefaultLockLease is how long a killed process keeps the lock.
	DefaultLockLease = 10 * time.Second
)

var _ lock.SessionLocker = (*Locker)(nil)

// Locker is a lock in a table that one process at a time can hold. Its owner renews it; if
// the owner is killed, the lock becomes free when its lease ends.
//
// One Locker serves one [goose.Provider] and its [Store].
type Locker struct {
	db  *sql.DB
	cfg dblock.Config

	turn   chan struct{} // holds a token while no goroutine of this process has the lock
	tenure atomic.Pointer[tenure]
}

// tenure is a time for which the lock is held.
type tenure struct {
	lock  *dblock.Lock
	ended chan struct{} // closed by SessionUnlock
}

// LockerOption changes a Locker's settings.
type LockerOption func(*Locker)

// WithLockTable sets the table of the lock: letters, digits and _, folded to lower case.
// Providers with the same table exclude each other.
func WithLockTable(name string) LockerOption {
	return func(l *Locker) { l.cfg.Table = strings.ToLower(name) }
}

// WithLockTimeout sets how long to wait for another process's migrations. 0: no wait.
func WithLockTimeout(d time.Duration) LockerOption { return func(l *Locker) { l.cfg.Wait = d } }

// WithLockLease sets how long a killed process keeps the lock, at least 100 ms.
func WithLockLease(d time.Duration) LockerOption { return func(l *Locker) { l.cfg.Lease = d } }

// NewLocker returns a locker for the database of db. It needs a connection in addition to
// goose's, so db must allow at least two.
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

// check refuses invalid settings.
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

// SessionLock takes the lock. If the lock is lost later, conn is closed, so that no more
// statements run on it. goose calls it.
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
			// This waits for the end of a transaction, which will not be committed.
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		case <-ended:
		}
	}()
	return nil
}

// SessionUnlock releases the lock. It fails with [ErrLockLost] if the lock was lost, which
// may be the reason why a migration failed. It does not fail if the server cannot be
// reached: the lock then becomes free when its lease ends. goose calls it.
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
