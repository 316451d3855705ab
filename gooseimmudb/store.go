package gooseimmudb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/pressly/goose/v3/database"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dblock"
)

var _ database.StoreExtender = (*Store)(nil)

// Store keeps the versions that goose has applied in a table. A [Locker] fences its
// writes: they are committed only while the lock is held.
type Store struct {
	table  string
	locker *Locker
}

// NewStore returns a store that keeps its versions in the table, which goose creates if it
// is missing. Its name may hold letters, digits and _, and is folded to lower case. locker
// must be the one given to goose.WithSessionLocker. It may be nil if only one process
// migrates at a time; if two do so at once without it, the slower one fails.
func NewStore(table string, locker *Locker) *Store {
	return &Store{strings.ToLower(table), locker}
}

// Tablename is the name of the table.
func (s *Store) Tablename() string { return s.table }

// CreateVersionTable creates the table. The unique index prevents duplicate versions.
func (s *Store) CreateVersionTable(ctx context.Context, db database.DBTxConn) error {
	if !dblock.ValidName(s.table) {
		return fmt.Errorf("gooseimmudb: table %q: valid names are %s", s.table, dblock.ValidNames)
	}
	return wrap("making the version table", s.exec(ctx, db, `CREATE TABLE "%[1]s" (
			"id" INTEGER AUTO_INCREMENT, "version_id" INTEGER NOT NULL, "is_applied" BOOLEAN NOT NULL, "tstamp" TIMESTAMP NOT NULL,
			PRIMARY KEY "id");
		CREATE UNIQUE INDEX ON "%[1]s" ("version_id")`))
}

// Insert adds a version.
func (s *Store) Insert(ctx context.Context, db database.DBTxConn, req database.InsertRequest) error {
	return wrap("entering the version", s.fenced(ctx, db, func(tx database.DBTxConn) error {
		return s.exec(ctx, tx, `INSERT INTO "%s" ("version_id", "is_applied", "tstamp") VALUES (?, TRUE, NOW())`, req.Version)
	}))
}

// Delete deletes a version, which must exist.
func (s *Store) Delete(ctx context.Context, db database.DBTxConn, version int64) error {
	return wrap("deleting the version", s.fenced(ctx, db, func(tx database.DBTxConn) error {
		res, err := tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM "%s" WHERE "version_id" = ?`, s.table), version)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil && n == 0 {
			return fmt.Errorf("another process has already deleted %d: %w", version, database.ErrVersionNotFound)
		}
		return err
	}))
}

// fenced runs f in a transaction that commits only while the lock is held: the one that
// goose has begun, or a new one for a migration without a transaction.
func (s *Store) fenced(ctx context.Context, db database.DBTxConn, f func(tx database.DBTxConn) error) error {
	var held *dblock.Lock // nil while goose only reads
	if s.locker != nil {
		held = s.locker.held()
	}
	do := func(tx database.DBTxConn) error {
		if held == nil {
			return f(tx)
		}
		if err := held.Fence(ctx, tx); err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		return held.Stamp(ctx, tx) // goose does not say whether the migration changed the catalog
	}
	beginner, ok := db.(interface {
		BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
	})
	if !ok {
		return s.mend(ctx, held, do(db))
	}
	tx, err := beginner.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return s.mend(ctx, held, err)
	}
	if err := tx.Commit(); err != nil || held == nil {
		return err
	}
	return held.Settle(ctx)
}

// mend makes the server drop an outdated catalog if err says that it has one.
func (s *Store) mend(ctx context.Context, held *dblock.Lock, err error) error {
	if errors.Is(err, ErrStaleCatalog) {
		return errors.Join(err, held.Settle(ctx))
	}
	return err
}

// GetMigration returns the time at which a version was applied.
func (s *Store) GetMigration(ctx context.Context, db database.DBTxConn, version int64) (*database.GetMigrationResult, error) {
	var r database.GetMigrationResult
	err := db.QueryRowContext(immudb.WithPrimary(ctx), fmt.Sprintf(`SELECT "tstamp", "is_applied" FROM "%s" WHERE "version_id" = ?`, s.table), version).Scan(&r.Timestamp, &r.IsApplied)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: %d", database.ErrVersionNotFound, version)
	}
	if err != nil {
		return nil, wrap("reading the version", err)
	}
	return &r, nil
}

// GetLatestVersion returns the highest version.
func (s *Store) GetLatestVersion(ctx context.Context, db database.DBTxConn) (int64, error) {
	var v int64
	// MAX of no rows is 0 here, not NULL.
	err := db.QueryRowContext(immudb.WithPrimary(ctx), fmt.Sprintf(`SELECT "version_id" FROM "%s" ORDER BY "version_id" DESC LIMIT 1`, s.table)).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return -1, fmt.Errorf("latest %w", database.ErrVersionNotFound)
	}
	if err != nil {
		return -1, wrap("reading the latest version", err)
	}
	return v, nil
}

// ListMigrations returns the versions, the one applied last first.
func (s *Store) ListMigrations(ctx context.Context, db database.DBTxConn) ([]*database.ListMigrationsResult, error) {
	rows, err := db.QueryContext(immudb.WithPrimary(ctx), fmt.Sprintf(`SELECT "version_id", "is_applied" FROM "%s" ORDER BY "id" DESC`, s.table))
	if err != nil {
		return nil, wrap("listing the versions", err)
	}
	defer rows.Close()
	list := []*database.ListMigrationsResult{}
	for rows.Next() {
		var r database.ListMigrationsResult
		if err := rows.Scan(&r.Version, &r.IsApplied); err != nil {
			return nil, wrap("listing the versions", err)
		}
		list = append(list, &r)
	}
	return list, wrap("listing the versions", rows.Err())
}

// TableExists reports whether the table exists.
func (s *Store) TableExists(ctx context.Context, db database.DBTxConn) (bool, error) {
	var n int
	err := db.QueryRowContext(immudb.WithPrimary(ctx), `SELECT COUNT(*) FROM TABLES() WHERE name = ?`, s.table).Scan(&n)
	return n > 0, wrap("looking for the version table", err)
}

// exec runs a statement on the table.
func (s *Store) exec(ctx context.Context, db database.DBTxConn, query string, args ...any) error {
	_, err := db.ExecContext(ctx, fmt.Sprintf(query, s.table), args...)
	return err
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("gooseimmudb: %s: %w", doing, err)
}
