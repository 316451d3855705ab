package migrateimmudb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dblock"
)

// state is the only row of the migrations table. Its history on the server
// tells every version the database has ever had:
//
//	SELECT _rev, "version", "dirty" FROM (HISTORY OF "schema_migrations")
type state struct {
	version int
	dirty   bool

	// Of the migration under way or stopped, else 0 and "":
	previous int // the version before it
	// announcedBy is the tenure of the lock that has announced the migration and
	// has committed nothing of it yet. Once that tenure is over, nothing of it
	// ever will be.
	announcedBy string
	statements  int // how many are committed, if each is a transaction
}

// querier is what a *sql.DB and a *sql.Tx have in common.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (d *Immudb) createTable(ctx context.Context, q querier) error {
	_, err := q.ExecContext(ctx, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS "%s" (
		"id" INTEGER, "version" INTEGER NOT NULL, "dirty" BOOLEAN NOT NULL,
		"previous" INTEGER, "announced_by" VARCHAR[64], "statements" INTEGER,
		PRIMARY KEY "id")`, d.cfg.MigrationsTable))
	return err
}

// read returns the state, which is clean and at no version if there is none.
func (d *Immudb) read(ctx context.Context, q querier) (state, error) {
	var s state
	var previous, statements sql.NullInt64
	var announcedBy sql.NullString
	err := q.QueryRowContext(ctx, fmt.Sprintf(`SELECT "version", "dirty", "previous", "announced_by", "statements" FROM "%s" WHERE "id" = 1`,
		d.cfg.MigrationsTable)).Scan(&s.version, &s.dirty, &previous, &announcedBy, &statements)
	if errors.Is(err, sql.ErrNoRows) {
		return state{version: database.NilVersion}, nil
	}
	if errors.Is(err, immudb.ErrNoSuchColumn) {
		err = fmt.Errorf("the table %s is not one of this driver, choose another with x-migrations-table: %w", d.cfg.MigrationsTable, err)
	}
	s.previous, s.announcedBy, s.statements = int(previous.Int64), announcedBy.String, int(statements.Int64)
	return s, err
}

func (d *Immudb) write(ctx context.Context, tx *sql.Tx, s state) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`UPSERT INTO "%s" ("id", "version", "dirty", "previous", "announced_by", "statements")
		VALUES (1, ?, ?, ?, ?, ?)`, d.cfg.MigrationsTable),
		s.version, s.dirty, s.previous, sql.NullString{String: s.announcedBy, Valid: s.announcedBy != ""}, s.statements)
	return err
}

// Version returns the version and whether its migration has not come to its end.
// It is -1 if there is none. It writes nothing, so that a user who may only read
// can ask, on a replica too.
//
// Under the lock it fails with [ErrLockLost] instead of reporting a dirty version, if another
// process has taken the lock over: that one may be running the migration.
func (d *Immudb) Version() (version int, dirty bool, err error) {
	ctx := context.Background()
	s, err := d.read(ctx, d.db)
	if errors.Is(err, immudb.ErrNoSuchTable) {
		return database.NilVersion, false, nil
	}
	if lock := d.lock.Load(); err == nil && s.dirty && lock != nil {
		err = dblock.Work{DB: d.db, Lock: lock, Idempotent: true}.Run(ctx, func(tx *sql.Tx) (err error) {
			s, err = d.read(ctx, tx)
			return err
		})
	}
	if err != nil {
		return 0, false, fmt.Errorf("migrateimmudb: reading the version: %w", err)
	}
	return s.version, s.dirty, nil
}

// SetVersion sets the version. A dirty one, set under the lock, announces a
// migration.
func (d *Immudb) SetVersion(version int, dirty bool) error {
	if version < database.NilVersion {
		return fmt.Errorf("migrateimmudb: version %d: must be -1 (none) or more", version)
	}
	ctx := context.Background()
	lock := d.lock.Load()
	set := func(tx *sql.Tx) error {
		was, err := d.read(ctx, tx)
		if err != nil {
			return err
		}
		next := state{version: version, dirty: dirty}
		if dirty && lock != nil {
			if was.announcedBy == lock.Owner() && was.version == version {
				return nil // by a try whose answer was lost
			}
			if !was.dirty {
				next.previous, next.announcedBy = was.version, lock.Owner()
			}
		}
		if next == was {
			return nil
		}
		return d.write(ctx, tx, next)
	}
	w := dblock.Work{DB: d.db, Lock: lock, Idempotent: true}
	err := w.Run(ctx, set)
	if errors.Is(err, immudb.ErrNoSuchTable) {
		create := dblock.Work{DB: d.db, Lock: lock, Idempotent: true, ChangesCatalog: true}
		if err = create.Run(ctx, func(tx *sql.Tx) error { return d.createTable(ctx, tx) }); err == nil {
			err = w.Run(ctx, set)
		}
	}
	if err != nil {
		return fmt.Errorf("migrateimmudb: setting the version: %w", err)
	}
	return nil
}

// takeBack sets the version back if an earlier holder of the lock announced a
// migration and went away before anything of it was committed.
func (d *Immudb) takeBack(ctx context.Context) error {
	s, err := d.read(ctx, d.db)
	if errors.Is(err, immudb.ErrNoSuchTable) || err == nil && s.announcedBy == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the version: %w", err)
	}
	return dblock.Work{DB: d.db, Lock: d.lock.Load(), Idempotent: true}.Run(ctx, func(tx *sql.Tx) error {
		s, err := d.read(ctx, tx)
		if err != nil || s.announcedBy == "" {
			return err
		}
		return d.write(ctx, tx, state{version: s.previous})
	})
}
