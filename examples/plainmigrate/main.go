// Plainmigrate applies versioned SQL files, named as Atlas and its like name
// them, with nothing but the driver. It can be run again and again.
//
//	plainmigrate -dsn immudb://user:password@localhost:3322/app
//
// It rests on two properties of the server: CREATE and ALTER are part of a
// transaction like any other statement, so a file and its version are committed
// together or not at all; and of two programs that enter the same version at once
// only one commits.
//
// There is no lock, and no guard against what a server of v1.11.1 does when others
// read while several tables are made: package dblock in the repository tells.
// With migrateimmudb and gooseimmudb come both.
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

// apply applies the files that the database lacks, in the order of their names.
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

// applyOne applies a file unless it has been applied. Should another program do
// so at the same time, the commit of one fails with a conflict: RunTx then runs
// it again, and it finds the version entered.
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
