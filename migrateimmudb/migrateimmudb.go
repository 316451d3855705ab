// Package migrateimmudb is the immudb driver of golang-migrate.
//
// Importing it registers the scheme immudb://, so that a URL is enough:
//
//	import (
//		"github.com/golang-migrate/migrate/v4"
//		_ "github.com/golang-migrate/migrate/v4/source/file"
//		_ "github.com/immudb-go/immudb/migrateimmudb"
//	)
//
//	m, err := migrate.New("file://migrations", "immudb://user:password@localhost:3322/app?x-lock-timeout=30s")
//	err = m.Up()
//
// A program that has a *sql.DB uses [WithInstance].
//
// # Options
//
// The URL is a DSN of package immudb with these options added:
//
//	x-migrations-table    table that keeps the version (schema_migrations)
//	x-statement-timeout   longest a statement may take: milliseconds ("500") or a duration ("2m"); 0: as long as it takes (0)
//	x-multi-statement     true: each statement is a transaction of its own; false: the migration is one (false)
//	x-lock-timeout        longest wait for another process's migrations: seconds ("30") or a duration ("30s") (14s)
//	x-lock-lease          how long the lock outlives a process that was killed: seconds or a duration, at least 100ms (10s)
//
// An unknown option that begins with x- is an error.
//
// # Transactions
//
// A migration is one transaction of the server, DDL included: all of it is
// committed, together with its version, or nothing. A BEGIN and COMMIT around
// all of it may stay, and say that it must be so.
//
// Two kinds of migration are run statement by statement instead: all of them
// with x-multi-statement, which lifts the server's limit of 1,024 entries per
// transaction; and those that hold a statement that no transaction can hold
// (CREATE DATABASE, CREATE USER and its like, INSERT … SELECT from the same
// table). If one stops, a [*StatementError] says where, and what is committed.
//
// What immudb cannot alter, such as the type of a column, takes a new table:
// examples/altertable in the repository shows how.
//
// # Version and dirty flag
//
// A migration that fails leaves its version with the dirty flag set, as with
// every driver of golang-migrate: correct it, and force the version before it if
// nothing was committed.
//
// A process that was killed, or lost the server, before anything of its migration
// was committed leaves no such work behind. Whoever takes the lock next knows that
// nothing has happened, sets the version back and runs the migration.
//
// # Lock
//
// Migrations run under a lock, which is in the table x-migrations-table + _lock. Its
// owner renews it; one that is killed holds it for x-lock-lease at most. One that
// is slow and loses it cannot commit anything any more ([ErrLockLost]): every
// transaction also reads the lock, and the server refuses to commit what has
// read something that is no longer so.
//
// Keep x-lock-timeout below the LockTimeout of migrate.Migrate (15 s by default):
// Migrate abandons a driver that still waits, which may then take a lock that
// nobody gives back until the driver is closed.
//
// The lock also guards against a bug of the server (v1.11.1), which forgets tables
// when others read while several are made. Package dblock in the repository tells.
//
// # Replicas
//
// A replica can tell its version and nothing else; migrations there fail with
// immudb.ErrReplica. A running one does not notice new tables and columns
// (v1.11.1): restart it after a migration.
//
// # What the server does differently
//
// A transaction that creates a table must not drop it, must not read by an index
// that it has created nor drop a column whose index it has dropped, and gets no
// error for a key inserted twice into the new table: the last row wins. A table
// with CHECK constraints can only be dropped once these have been dropped.
package migrateimmudb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dblock"
)

func init() {
	// Registering a name twice panics.
	if !slices.Contains(database.List(), "immudb") {
		database.Register("immudb", &Immudb{})
	}
}

// ErrLockLost: another process took the lock over while this one did not renew
// it in time. Nothing has been committed by this one since.
var ErrLockLost = dblock.ErrLost

var _ database.Driver = (*Immudb)(nil)

// Immudb is the driver of one database. Get one from [WithInstance] or, through
// golang-migrate, from a URL; the zero value can only Open.
type Immudb struct {
	db     *sql.DB
	ownsDB bool // it came from a URL, so Close closes it
	cfg    Config

	isLocked atomic.Bool
	lock     atomic.Pointer[dblock.Lock]
}

// WithInstance returns a driver for a database opened with package immudb. cfg
// may be nil. The database stays the caller's: Close, also that of
// migrate.Migrate, leaves it open. Two connections of it are used at once,
// one of them to renew the lock.
func WithInstance(db *sql.DB, cfg *Config) (database.Driver, error) {
	d, err := newDriver(db, cfg)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func newDriver(db *sql.DB, cfg *Config) (*Immudb, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	d := &Immudb{db: db, cfg: *cfg}
	if err := d.cfg.normalize(); err != nil {
		return nil, fmt.Errorf("migrateimmudb: %w", err)
	}
	if err := db.Ping(); err != nil {
		return nil, fmt.Errorf("migrateimmudb: %w", err)
	}
	return d, nil
}

// Open returns a driver for the URL. golang-migrate calls it.
func (d *Immudb) Open(url string) (database.Driver, error) {
	dsn, cfg, err := parseURL(url)
	if err != nil {
		return nil, fmt.Errorf("migrateimmudb: %w", err)
	}
	dbConfig, err := immudb.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("migrateimmudb: %w", err)
	}
	connector, err := immudb.NewConnector(dbConfig)
	if err != nil {
		return nil, fmt.Errorf("migrateimmudb: %w", err)
	}
	db := sql.OpenDB(connector)
	opened, err := newDriver(db, cfg)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	opened.ownsDB = true
	return opened, nil
}

// Close gives the lock back, if it is held, and closes a database that came from
// a URL.
func (d *Immudb) Close() error {
	if d.isLocked.Load() {
		_ = d.Unlock() // another goroutine may just have done so
	}
	if !d.ownsDB {
		return nil
	}
	return d.db.Close()
}

// Lock takes the lock, waiting up to x-lock-timeout for another process to give
// it back. It fails with database.ErrLocked if that does not happen, or if this
// driver holds it already.
func (d *Immudb) Lock() error {
	return database.CasRestoreOnErr(&d.isLocked, false, true, database.ErrLocked, func() error {
		ctx := context.Background()
		lock, err := dblock.Acquire(ctx, d.db, dblock.Config{
			Table: d.cfg.lockTable(),
			Lease: d.cfg.LockLease,
			Wait:  d.cfg.LockTimeout,
		})
		if held := (*dblock.HeldError)(nil); errors.As(err, &held) {
			return fmt.Errorf("migrateimmudb: %w: %w", database.ErrLocked, held)
		}
		if err != nil {
			return fmt.Errorf("migrateimmudb: taking the lock: %w", err)
		}
		d.lock.Store(lock)
		if err := d.takeBack(ctx); err != nil {
			d.lock.Store(nil)
			d.release(lock)
			return fmt.Errorf("migrateimmudb: %w", err)
		}
		return nil
	})
}

// Unlock gives the lock back. It only fails, with database.ErrNotLocked, if there
// is nothing to give: a lock that the server cannot be told about, or that was
// lost, becomes free or is another's anyway.
func (d *Immudb) Unlock() error {
	return database.CasRestoreOnErr(&d.isLocked, true, false, database.ErrNotLocked, func() error {
		if lock := d.lock.Swap(nil); lock != nil {
			d.release(lock)
		}
		return nil
	})
}

// releaseTimeout bounds the wait for a server that does not answer.
const releaseTimeout = 5 * time.Second

func (d *Immudb) release(lock *dblock.Lock) {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	_ = lock.Release(ctx) // see Unlock
}
