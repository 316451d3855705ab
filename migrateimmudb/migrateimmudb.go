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
// A migration is one transaction of the server, DDL included: all of it is committed,
// together with its version, or nothing. A BEGIN and COMMIT around all of it are allowed,
// and require that it is one transaction.
//
// Two kinds of migrations are run statement by statement instead: every migration with
// x-multi-statement, so that the server's limit of 1,024 entries per transaction applies
// to each statement; and migrations with a statement that cannot run in a transaction
// (CREATE DATABASE, CREATE USER and the like, INSERT … SELECT from the same table). If one
// stops, a [*StatementError] says at which statement, and how many are committed.
//
// A change that immudb does not support, such as another type of a column, needs a new
// table: see examples/altertable in the repository.
//
// # Version and dirty flag
//
// A migration that fails leaves its version with the dirty flag set, as with
// every driver of golang-migrate: correct it, and force the version before it if
// nothing was committed.
//
// If a process is killed, or loses the server, before any part of its migration is
// committed, no manual work is needed. The process that takes the lock next finds that
// nothing was committed, resets the version and runs the migration.
//
// # Lock
//
// Migrations run under a lock in the table x-migrations-table + _lock. Its owner renews it;
// a killed process keeps it for x-lock-lease at most. A slow process that loses the lock
// cannot commit any more ([ErrLockLost]): each transaction also reads the lock, and the
// server refuses the commit if the lock has changed since.
//
// Keep x-lock-timeout below the LockTimeout of migrate.Migrate (15 s by default).
// Otherwise Migrate may return while the driver still waits; the driver may then take the
// lock and keep it until it is closed.
//
// The lock also protects against a bug of the server (v1.11.1), which loses tables if other
// clients read while several tables are created. See package dblock in the repository.
//
// # Replicas
//
// On a replica the version can be read; migrations fail with immudb.ErrReplica. A running
// replica does not see new tables and columns (v1.11.1): restart it after a migration.
//
// # What the server does differently
//
// A transaction that creates a table must not drop it, must not read through an index that
// it has created, and must not drop a column whose index it has dropped. It gets no error
// if it inserts a key twice into the new table: the last row is kept. Before a table with
// CHECK constraints can be dropped, the constraints must be dropped.
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

// ErrLockLost: this process did not renew the lock in time, and another process took it
// over. No transaction of this process has been committed since then.
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

// WithInstance returns a driver for a database opened with package immudb. cfg may be nil.
// The caller must close the database: neither Close nor that of migrate.Migrate does. The
// driver uses two connections at once, one of them to renew the lock.
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
	dbConfig.ReadRouting = "" // what others have migrated must be seen at once
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

// Close releases the lock, if it is held, and closes a database that was opened by a URL.
func (d *Immudb) Close() error {
	if d.isLocked.Load() {
		_ = d.Unlock() // another goroutine may just have done so
	}
	if !d.ownsDB {
		return nil
	}
	return d.db.Close()
}

// Lock takes the lock. It waits up to x-lock-timeout for another process to release it, and
// then fails with database.ErrLocked. It also fails if this driver already holds the lock.
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

// Unlock releases the lock. It fails only with database.ErrNotLocked, if the driver does
// not hold a lock. It does not fail if the server cannot be reached, because the lock
// becomes free when its lease ends, or if the lock was lost.
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
