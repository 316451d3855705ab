// Migrateservice is a small HTTP service that brings its database up to date with
// golang-migrate when it starts. Any number of it may start at once: one
// migrates, the others wait.
//
//	migrateservice -dsn immudb://user:password@localhost:3322/app -listen localhost:8080
//	curl localhost:8080/notes -d '{"author": "ada", "body": "hello"}'
//	curl localhost:8080/notes?author=ada
package main

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"flag"
	"log"
	"net/http"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	_ "github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/examples/internal/notes"
	"github.com/immudb-go/immudb/migrateimmudb"
)

//go:embed migrations/*.sql
var migrations embed.FS

func main() {
	dsn := flag.String("dsn", "", "the database")
	listen := flag.String("listen", "localhost:8080", "the address to serve on")
	flag.Parse()
	if err := run(*dsn, *listen); err != nil {
		log.Fatal(err)
	}
}

func run(dsn, listen string) error {
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := migrateUp(context.Background(), db); err != nil {
		return err
	}
	return http.ListenAndServe(listen, notes.Handler(db))
}

// migrateUp applies the missing migrations. When ctx ends it stops between two of them.
func migrateUp(ctx context.Context, db *sql.DB) (err error) {
	source, err := iofs.New(migrations, "migrations")
	if err != nil {
		return err
	}
	target, err := migrateimmudb.WithInstance(db, nil)
	if err != nil {
		return errors.Join(err, source.Close())
	}
	m, err := migrate.NewWithInstance("iofs", source, "immudb", target)
	if err != nil {
		return errors.Join(err, source.Close(), target.Close())
	}
	defer func() {
		sourceErr, targetErr := m.Close() // which leaves db open
		err = errors.Join(err, sourceErr, targetErr)
	}()
	stop := context.AfterFunc(ctx, func() { m.GracefulStop <- true })
	defer stop()
	if err := m.Up(); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		return err
	}
	return ctx.Err()
}
