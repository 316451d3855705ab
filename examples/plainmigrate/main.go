// Plainmigrate applies versioned SQL files, with names as in Atlas, using only the driver. It
// can be run repeatedly.
//
//	plainmigrate -dsn immudb://user:password@localhost:3322/app
//
// It relies on two properties of the server: CREATE and ALTER are part of a transaction like
// other statements, so a file and its version are committed together or not at all; and if
// two programs insert the same version at once, only one commits.
//
// It has no lock, and no protection against a bug of servers of v1.11.1, which lose tables if
// other clients read while several tables are created: see package dblock in the repository.
// migrateimmudb and gooseimmudb have both.
package main

import (
	"context"
	"database/sql"
	"embed"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"strings"

	"github.com/immudb-go/immudb"
)

//go:embed migrations/*.sql
var migrations embed.FS

func main() {
	dsn := flag.String("dsn", "", "the database")
	flag.Parse()
	db, err := sql.Open("immudb", *dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := apply(context.Background(), db, migrations); err != nil {
		log.Fatal(err)
	}
}

// apply applies the missing files, in the order of their names.
func apply(ctx context.Context, db *sql.DB, files fs.FS) error {
	if _, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_versions (
		version VARCHAR[64], applied_at TIMESTAMP NOT NULL, PRIMARY KEY version)`); err != nil {
		return err
	}
	names, err := fs.Glob(files, "migrations/*.sql") // in order
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		version, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		if err := applyOne(ctx, db, version, string(text)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// applyOne applies a file unless it has been applied. If another program applies it at the
// same time, one commit fails with a conflict: RunTx then runs it again, and it finds the
// version.
func applyOne(ctx context.Context, db *sql.DB, version, text string) error {
	return immudb.RunTx(ctx, db, nil, func(tx *sql.Tx) error {
		var applied int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM schema_versions WHERE version = ?", version).Scan(&applied); err != nil || applied > 0 {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO schema_versions (version, applied_at) VALUES (?, NOW())", version)
		if err == nil {
			_, err = tx.ExecContext(ctx, text)
		}
		return err
	})
}
