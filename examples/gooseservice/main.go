// Gooseservice is a small HTTP service that brings its database up to date with
// goose when it starts. Any number of it may start at once: one migrates, the
// others wait. One of its migrations is a Go function.
//
//	gooseservice -dsn immudb://user:password@localhost:3322/app -listen localhost:8080
//	curl localhost:8080/notes -d '{"author": "ada", "body": "hello"}'
//	curl localhost:8080/notes?author=ada
package main

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"flag"
	"io/fs"
	"log"
	"net/http"

	"github.com/pressly/goose/v3"

	_ "github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/examples/internal/notes"
	"github.com/immudb-go/immudb/gooseimmudb"
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

// migrateUp applies the missing migrations.
func migrateUp(ctx context.Context, db *sql.DB) error {
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	for errors.Is(err, gooseimmudb.ErrStaleCatalog) {
		_, err = provider.Up(ctx)
	}
	return err
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	locker := gooseimmudb.NewLocker(db)
	return goose.NewProvider(goose.DialectCustom, db, files,
		goose.WithStore(gooseimmudb.NewStore(goose.DefaultTablename, locker)),
		goose.WithSessionLocker(locker),
		goose.WithGoMigrations(welcome),
	)
}

// welcome writes the first note. The transaction of a Go migration is committed together with
// its version.
var welcome = goose.NewGoMigration(3,
	&goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO notes (author, body) VALUES (?, ?)", "service", "welcome")
		return err
	}},
	&goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM notes WHERE author = ?", "service")
		return err
	}})
