package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/amacneil/dbmate/v2/pkg/dbmate"
	"github.com/amacneil/dbmate/v2/pkg/dbutil"

	"github.com/immudb-go/immudb"
)

func init() {
	dbmate.RegisterDriver(func(c dbmate.DriverConfig) dbmate.Driver { return driver{c} }, "immudb")
}

// driver is dbmate's driver for immudb.
type driver struct{ cfg dbmate.DriverConfig }

func (d driver) Open() (*sql.DB, error) { return sql.Open("immudb", d.cfg.DatabaseURL.String()) }

func (d driver) Ping() error {
	db, err := d.Open()
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Ping()
}

func (d driver) DatabaseExists() (bool, error) {
	err := d.Ping()
	if errors.Is(err, immudb.ErrNoSuchDatabase) {
		return false, nil
	}
	return err == nil, err
}

// CreateDatabase creates the database as a user who may, from the database that is always
// there.
func (d driver) CreateDatabase() error {
	u := *d.cfg.DatabaseURL
	name := u.Path
	u.Path = "/defaultdb"
	db, err := sql.Open("immudb", u.String())
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec("CREATE DATABASE " + name[1:])
	return err
}

func (d driver) DropDatabase() error {
	return fmt.Errorf("%w: no statement drops a database", immudb.ErrUnsupported)
}

func (d driver) DumpSchema(*sql.DB) ([]byte, error) {
	return nil, fmt.Errorf("%w: the server does not tell its schema as SQL; set AutoDumpSchema to false", immudb.ErrUnsupported)
}

func (d driver) MigrationsTableExists(db *sql.DB) (bool, error) {
	var n int
	err := db.QueryRow("SELECT COUNT(*) FROM TABLES() WHERE name = ?", d.cfg.MigrationsTableName).Scan(&n)
	return n > 0, err
}

func (d driver) CreateMigrationsTable(db *sql.DB) error {
	_, err := db.Exec("CREATE TABLE IF NOT EXISTS " + d.cfg.MigrationsTableName + " (version VARCHAR[255], PRIMARY KEY version)")
	return err
}

func (d driver) SelectMigrations(db *sql.DB, limit int) (map[string]bool, error) {
	query := "SELECT version FROM " + d.cfg.MigrationsTableName + " ORDER BY version DESC"
	if limit >= 0 {
		query += fmt.Sprint(" LIMIT ", limit)
	}
	rows, err := db.QueryContext(immudb.WithPrimary(context.Background()), query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	versions := make(map[string]bool)
	for rows.Next() {
		var version string
		if err := rows.Scan(&version); err != nil {
			return nil, err
		}
		versions[version] = true
	}
	return versions, rows.Err()
}

func (d driver) InsertMigration(tx dbutil.Transaction, version string) error {
	_, err := tx.Exec("INSERT INTO "+d.cfg.MigrationsTableName+" (version) VALUES (?)", version)
	return err
}

func (d driver) DeleteMigration(tx dbutil.Transaction, version string) error {
	_, err := tx.Exec("DELETE FROM "+d.cfg.MigrationsTableName+" WHERE version = ?", version)
	return err
}

func (d driver) QueryError(query string, err error) error {
	return &dbmate.QueryError{Err: err, Query: query}
}
