package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const gooseRelease = "v3.29.0"

const gooseOpener = `package goose_test

import (
	"database/sql"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	_ "github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gooseimmudb"
)

func newDB(t *testing.T) *sql.DB {
	t.Helper()
	dsn, err := url.Parse(os.Getenv("IMMUDB_DSN"))
	require.NoError(t, err)
	db, err := sql.Open("immudb", dsn.String())
	require.NoError(t, err)
	name := strings.ToLower(randomAlphaNumeric(12))
	_, err = db.Exec("CREATE DATABASE d" + name)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	dsn.Path = "/d" + name
	db, err = sql.Open("immudb", dsn.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func newProvider(db *sql.DB, fsys fs.FS, opts ...goose.ProviderOption) (*goose.Provider, error) {
	locker := gooseimmudb.NewLocker(db)
	opts = append(opts, goose.WithStore(gooseimmudb.NewStore(goose.DefaultTablename, locker)), goose.WithSessionLocker(locker))
	return goose.NewProvider(goose.DialectCustom, db, fsys, opts...)
}
`

// gooseSuite is goose with the tests of its provider, which have a store and a locker of
// gooseimmudb and a new database each. Their migrations get the server's types and primary keys,
// and values in place of recursive queries. Left out is a test of SQLite's shared cache.
func (s *settings) gooseSuite(ctx context.Context, root, dir string) (tests, error) {
	at := filepath.Join(dir, "goose")
	if err := download(ctx, at, "github.com/pressly/goose/v3", gooseRelease); err != nil {
		return tests{}, err
	}
	err := edit(filepath.Join(at, "provider_run_test.go"),
		change{old: "goose.NewProvider(goose.DialectSQLite3, ", new: "newProvider(", times: 14},
		change{old: `func newDB(t *testing.T) *sql.DB {
	t.Helper()
	dbName := fmt.Sprintf("test_%s.db", randomAlphaNumeric(8))
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), dbName))
	require.NoError(t, err)
	return db
}
`, times: 1},
		change{old: `	dbName := fmt.Sprintf("test_%s.db", randomAlphaNumeric(8))
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), dbName))
	require.NoError(t, err)
`, new: "\tdb := newDB(t)\n", times: 1},
		change{old: `database.NewStore(database.DialectSQLite3, goose.DefaultTablename)`, new: `database.Store(gooseimmudb.NewStore(goose.DefaultTablename, nil)), error(nil)`, times: 1},
		change{old: `	"github.com/stretchr/testify/require"`, new: "\t\"github.com/immudb-go/immudb/gooseimmudb\"\n\t\"github.com/stretchr/testify/require\"", times: 1},
		change{old: "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type='table' AND name=?) AS table_exists", new: "SELECT EXISTS (SELECT 1 FROM TABLES() WHERE name=?) AS table_exists", times: 1},
		change{old: "SELECT name FROM sqlite_master WHERE type='table' ORDER BY name", new: "SELECT name FROM TABLES() WHERE name <> 'goose_lock' ORDER BY name", times: 1},
		change{old: "SELECT CASE WHEN COUNT(*) > 0 THEN 1 ELSE 0 END AS table_exists FROM sqlite_master WHERE type = 'table' AND name = '%s'",
			new: "SELECT COUNT(*) FROM TABLES() WHERE name = '%s'", times: 1},
		change{old: "SQL logic error: no such table: invalid_table (1)", new: "table does not exist (invalid_table)", times: 2},
		change{old: `		"sqlite_sequence",` + "\n", times: 1},
		change{old: `goose.DefaultTablename, "sqlite_sequence"}`, new: `goose.DefaultTablename}`, times: 1},
		change{old: "CREATE TABLE owners ( owner_name TEXT NOT NULL )", new: "CREATE TABLE owners ( owner_id INTEGER AUTO_INCREMENT PRIMARY KEY, owner_name VARCHAR NOT NULL )", times: 1},
		change{old: " TEXT NOT NULL", new: " VARCHAR NOT NULL", times: 5})
	if err != nil {
		return tests{}, err
	}
	data := filepath.Join(at, "testdata", "no-versioning")
	err = edit(filepath.Join(data, "migrations", "00001_a.sql"),
		change{old: "PRIMARY KEY AUTOINCREMENT", new: "AUTO_INCREMENT PRIMARY KEY", times: 1},
		change{old: " TEXT ", new: " VARCHAR ", times: 1})
	if err != nil {
		return tests{}, err
	}
	seeds, err := filepath.Glob(filepath.Join(data, "seed", "*.sql"))
	if err != nil || len(seeds) != 2 {
		return tests{}, fmt.Errorf("%d files of seeds, want 2 (%w)", len(seeds), err)
	}
	for i, seed := range seeds { // 1 to 100, and 101 to 250
		text, err := os.ReadFile(seed)
		if err != nil {
			return tests{}, err
		}
		begin, end := strings.Index(string(text), "WITH numbers"), strings.Index(string(text), "FROM numbers;")
		if begin < 0 || end < begin {
			return tests{}, fmt.Errorf("%s has no recursive query: it is another release", seed)
		}
		var users []string
		for n := []int{1, 101}[i]; n <= []int{100, 250}[i]; n++ {
			users = append(users, fmt.Sprintf("('seed-user-%d')", n))
		}
		changed := string(text[:begin]) + "VALUES " + strings.Join(users, ", ") + ";" + string(text[end+len("FROM numbers;"):])
		if err := os.WriteFile(seed, []byte(changed), 0o600); err != nil {
			return tests{}, err
		}
	}
	if err := os.WriteFile(filepath.Join(at, "immudb_test.go"), []byte(gooseOpener), 0o600); err != nil {
		return tests{}, err
	}
	if err := requireModules(ctx, at, root, "gooseimmudb"); err != nil {
		return tests{}, err
	}
	return tests{dir: at, depth: 2, env: func(dsn string) []string { return []string{"IMMUDB_DSN=" + dsn} },
		run: "^(TestProviderRun|TestConcurrentProvider|TestNoVersioning|TestAllowMissing|TestGoMigrationPanic|TestCustomStoreTableExists|TestProviderApply|TestPending|TestGoOnly)$"}, nil
}
