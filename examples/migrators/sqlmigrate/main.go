// Sqlmigrate brings a database up to date with sql-migrate. Any number of processes may do
// so at once: one migrates, the others wait.
//
//	sqlmigrate -dsn immudb://user:password@localhost:3322/app
package main

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"reflect"
	"time"

	"github.com/go-gorp/gorp/v3"
	migrate "github.com/rubenv/sql-migrate"

	_ "github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gooseimmudb"
)

//go:embed migrations/*.sql
var files embed.FS

var migrations = migrate.EmbedFileSystemMigrationSource{FileSystem: files, Root: "migrations"}

func init() { migrate.MigrationDialects["immudb"] = dialect{} }

func main() {
	dsn := flag.String("dsn", "", "the database")
	flag.Parse()
	if err := run(context.Background(), *dsn); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dsn string) error {
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	n, err := up(ctx, db)
	if err == nil {
		fmt.Println(n, "migrations")
	}
	return err
}

// up runs the missing migrations and returns their number. Each is committed together with
// its record, whose key is its name, so it can never be committed twice.
func up(ctx context.Context, db *sql.DB) (n int, err error) {
	err = locked(ctx, db, func() error {
		n, err = migrate.ExecContext(ctx, db, "immudb", migrations, migrate.Up)
		return err
	})
	return n, err
}

// locked runs f while this process has the lock of migrations.
func locked(ctx context.Context, db *sql.DB, f func() error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	locker := gooseimmudb.NewLocker(db, gooseimmudb.WithLockTable("migrations_lock"))
	if err := locker.SessionLock(ctx, conn); err != nil {
		return err
	}
	return errors.Join(f(), locker.SessionUnlock(ctx, conn))
}

// dialect is what sql-migrate needs to keep its records.
type dialect struct{ gorp.SqliteDialect }

func (dialect) QuoteField(f string) string                   { return `"` + f + `"` }
func (d dialect) QuotedTableForQuery(_, table string) string { return d.QuoteField(table) }

func (dialect) ToSqlType(t reflect.Type, _ int, _ bool) string {
	if t == reflect.TypeFor[time.Time]() {
		return "timestamp"
	}
	return "varchar[255]"
}
