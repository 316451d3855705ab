package gooseimmudb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gooseimmudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// The tests share one real server; each uses its own database. The test binary is
// also the process that the cluster test starts many times.
func TestMain(m *testing.M) {
	if dsn := os.Getenv(runnerVariable); dsn != "" {
		os.Exit(runner(dsn))
	}
	os.Exit(testserver.Main(m, testserver.NoSessions))
}

// runnerVariable makes the test binary a process that migrates up the database of
// the DSN in it, and does nothing else.
const runnerVariable = "GOOSEIMMUDB_RUNNER"

// The exit statuses of a runner.
const (
	statusDone   = 0
	statusFailed = 1
	statusLost   = 3 // another process took the lock over
)

const runnerLease = 800 * time.Millisecond

// clusterMigrations are the migrations of the runners. Each leaves a trace when it runs, and
// fails if it runs again.
var clusterMigrations = []string{
	`CREATE TABLE ran (id INTEGER AUTO_INCREMENT, migration INTEGER, PRIMARY KEY id);
	INSERT INTO ran (migration) VALUES (1);`,
	`CREATE TABLE a (id INTEGER, v VARCHAR[32], PRIMARY KEY id); CREATE INDEX ON a(v);
	INSERT INTO ran (migration) VALUES (2); INSERT INTO a (id, v) VALUES (1, 'x'), (2, 'y');`,
	`INSERT INTO ran (migration) VALUES (3);`,
	`ALTER TABLE a ADD COLUMN w INTEGER; UPDATE a SET w = id; INSERT INTO ran (migration) VALUES (4);`,
	`CREATE TABLE b (id INTEGER, PRIMARY KEY id); INSERT INTO ran (migration) VALUES (5); DELETE FROM a WHERE id = 2;`,
}

func runner(dsn string) int {
	db, err := sql.Open(immudb.DriverName, dsn)
	if err == nil {
		locker := gooseimmudb.NewLocker(db, gooseimmudb.WithLockLease(runnerLease), gooseimmudb.WithLockTimeout(time.Minute))
		var p *goose.Provider
		if p, err = newProvider(db, locker, migrations(clusterMigrations...)); err == nil {
			_, err = p.Up(context.Background())
			for errors.Is(err, gooseimmudb.ErrStaleCatalog) { // the reads of the test can bring it about
				_, err = p.Up(context.Background())
			}
		}
	}
	switch {
	case errors.Is(err, gooseimmudb.ErrLockLost):
		return statusLost
	case err != nil:
		fmt.Println(err)
		return statusFailed
	}
	return statusDone
}

func newProvider(db *sql.DB, locker *gooseimmudb.Locker, files fstest.MapFS, options ...goose.ProviderOption) (*goose.Provider, error) {
	options = append(options, goose.WithStore(gooseimmudb.NewStore(goose.DefaultTablename, locker)), goose.WithDisableGlobalRegistry(true))
	if locker != nil {
		options = append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(goose.DialectCustom, db, files, options...)
}

// migrations makes SQL migrations 1, 2, …; a text may hold a down migration
// behind "-- down", and begin with an annotation.
func migrations(texts ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i, text := range texts {
		up, down, _ := strings.Cut(text, "-- down")
		if note, rest, ok := strings.Cut(up, "-- +goose NO TRANSACTION\n"); ok {
			up = note + rest
			files[fmt.Sprintf("%05d_m.sql", i+1)] = &fstest.MapFile{Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\n" + up + "\n-- +goose Down\n" + down)}
			continue
		}
		files[fmt.Sprintf("%05d_m.sql", i+1)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + up + "\n-- +goose Down\n" + down)}
	}
	return files
}

// provide is newProvider with a locker on a database, as a program would.
func provide(t *testing.T, db *sql.DB, files fstest.MapFS, options ...goose.ProviderOption) *goose.Provider {
	t.Helper()
	p, err := newProvider(db, gooseimmudb.NewLocker(db), files, options...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func openDB(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(immudb.DriverName, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func freshDB(t *testing.T) *sql.DB {
	t.Helper()
	return openDB(t, testserver.Shared(t).NewDatabase(t))
}

func mustExec(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func list[T any](t *testing.T, db *sql.DB, query string, args ...any) []T {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var values []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		values = append(values, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return values
}

// wantTables checks the tables of the database, without those of this package.
func wantTables(t *testing.T, db *sql.DB, want ...string) {
	t.Helper()
	got := list[string](t, db, "SELECT name FROM TABLES()")
	got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "goose_") })
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("tables %v, want %v", got, want)
	}
}

// wantVersions checks the stored versions, in the order in which they were applied.
func wantVersions(t *testing.T, db *sql.DB, want ...int) {
	t.Helper()
	if got := list[int](t, db, `SELECT "version_id" FROM "goose_db_version" ORDER BY "id"`); !slices.Equal(got, want) {
		t.Errorf("versions %v, want %v", got, want)
	}
}
