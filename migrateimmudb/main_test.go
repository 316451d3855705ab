package migrateimmudb_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
	"github.com/immudb-go/immudb/migrateimmudb"
)

// The tests share one real server; each uses its own database. The test binary is
// also the process that the cluster test starts many times.
func TestMain(m *testing.M) {
	if url := os.Getenv(runnerVariable); url != "" {
		os.Exit(runner(url))
	}
	os.Exit(testserver.Main(m, testserver.NoSessions))
}

// runnerVariable makes the test binary a process that migrates up the database of
// the URL in it, and does nothing else.
const runnerVariable = "MIGRATEIMMUDB_RUNNER"

// The exit statuses of a runner.
const (
	statusDone   = 0
	statusFailed = 1
	statusLost   = 3 // another process took the lock over
)

// clusterMigrations are the migrations of the runners. Each leaves a trace when it runs, and
// fails if it runs again.
var clusterMigrations = []string{
	`CREATE TABLE ran (id INTEGER AUTO_INCREMENT, migration INTEGER, PRIMARY KEY id);
	INSERT INTO ran (migration) VALUES (1)`,
	`CREATE TABLE a (id INTEGER, v VARCHAR[32], PRIMARY KEY id); CREATE INDEX ON a(v);
	INSERT INTO ran (migration) VALUES (2); INSERT INTO a (id, v) VALUES (1, 'x'), (2, 'y')`,
	`INSERT INTO ran (migration) VALUES (3)`,
	`ALTER TABLE a ADD COLUMN w INTEGER; UPDATE a SET w = id; INSERT INTO ran (migration) VALUES (4)`,
	`CREATE TABLE b (id INTEGER, PRIMARY KEY id); INSERT INTO ran (migration) VALUES (5); DELETE FROM a WHERE id = 2`,
	`ALTER TABLE b RENAME TO c; INSERT INTO c (id) VALUES (1); INSERT INTO ran (migration) VALUES (6)`,
}

func runner(url string) int {
	src, err := iofs.New(migrations(clusterMigrations...), ".")
	if err != nil {
		fmt.Println(err)
		return statusFailed
	}
	m, err := migrate.NewWithSourceInstance("iofs", src, url)
	if err != nil {
		fmt.Println(err)
		return statusFailed
	}
	m.LockTimeout = 2 * time.Minute
	err = m.Up()
	if errors.Is(err, migrateimmudb.ErrLockLost) {
		return statusLost
	}
	if err != nil && !errors.Is(err, migrate.ErrNoChange) {
		fmt.Println(err)
		return statusFailed
	}
	return statusDone
}

// freshDSN makes a database on the shared server. Options are such as
// "x-multi-statement=true".
func freshDSN(t *testing.T, options ...string) string {
	t.Helper()
	return withOptions(t, testserver.Shared(t).NewDatabase(t), options...)
}

func withOptions(t *testing.T, dsn string, options ...string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("the DSN of the test server is not a URL")
	}
	q := u.Query()
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// openDB opens the database that a migration URL names.
func openDB(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("the DSN of the test server is not a URL")
	}
	q := u.Query()
	for name := range q {
		if strings.HasPrefix(name, "x-") {
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	db, err := sql.Open(immudb.DriverName, u.String())
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

// migrations makes a source of up migrations 1, 2, …; a text may hold a down
// migration behind a line "-- down".
func migrations(texts ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i, text := range texts {
		up, down, _ := strings.Cut(text, "-- down")
		name := string(rune('1'+i)) + "_m."
		files[name+"up.sql"] = &fstest.MapFile{Data: []byte(up)}
		files[name+"down.sql"] = &fstest.MapFile{Data: []byte(down)}
	}
	return files
}

// open opens golang-migrate on a URL, as a program would.
func open(t *testing.T, files fstest.MapFS, dsn string) *migrate.Migrate {
	t.Helper()
	src, err := iofs.New(files, ".")
	if err != nil {
		t.Fatal(err)
	}
	m, err := migrate.NewWithSourceInstance("iofs", src, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Close()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func mustExec(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// wantTables checks the tables of the database, without those of the driver.
func wantTables(t *testing.T, db *sql.DB, want ...string) {
	t.Helper()
	got := list[string](t, db, "SELECT name FROM TABLES()")
	got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "schema_migrations") })
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("tables %v, want %v", got, want)
	}
}

// wantVersion checks golang-migrate's version; -1 means none.
func wantVersion(t *testing.T, m *migrate.Migrate, want int, wantDirty bool) {
	t.Helper()
	v, dirty, err := m.Version()
	got := int(v)
	if errors.Is(err, migrate.ErrNilVersion) {
		got, err = -1, nil
	}
	if err != nil || got != want || dirty != wantDirty {
		t.Errorf("version %d, dirty %v (%v), want %d, %v", got, dirty, err, want, wantDirty)
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
