// Dbmate brings a database up to date with dbmate as a library. Any number of processes may
// do so at once: one migrates, the others wait.
//
//	dbmate -url immudb://user:password@localhost:3322/app
package main

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"flag"
	"log"
	"net/url"

	"github.com/amacneil/dbmate/v2/pkg/dbmate"

	"github.com/immudb-go/immudb/gooseimmudb"
)

//go:embed migrations/*.sql
var files embed.FS

func main() {
	dsn := flag.String("url", "", "the database")
	flag.Parse()
	if err := up(context.Background(), *dsn); err != nil {
		log.Fatal(err)
	}
}

// open returns dbmate for a database.
func open(dsn string) (*dbmate.DB, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("the URL must look like immudb://user:password@host:3322/db") // the parser's error would hold the password
	}
	m := dbmate.New(u)
	m.FS, m.MigrationsDir = files, []string{"migrations"}
	m.AutoDumpSchema = false
	return m, nil
}

// up creates the database if it does not exist, and runs the missing migrations. Each is
// committed together with its version, which is a key, so it can never be committed twice.
func up(ctx context.Context, dsn string) error {
	m, err := open(dsn)
	if err != nil {
		return err
	}
	d, err := m.Driver()
	if err != nil {
		return err
	}
	exists, err := d.DatabaseExists()
	if err == nil && !exists {
		err = d.CreateDatabase()
	}
	if err != nil {
		return err
	}
	db, err := d.Open()
	if err != nil {
		return err
	}
	defer db.Close()
	return locked(ctx, db, m.Migrate)
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
