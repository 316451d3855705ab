package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

const bunRelease = "v1.2.18"

const bunOpener = `package dbtest_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/immudb-go/immudb/bunimmudb"
	"github.com/uptrace/bun"
)

func immudb(tb testing.TB) *bun.DB {
	db, err := bunimmudb.Open(os.Getenv("IMMUDB_DSN"))
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	return db
}
`

// bunSuite is bun's internal/dbtest with immudb as its only database. It is a separate module
// that no module proxy has, so it is cloned. Left out are the tests of PostgreSQL and SQL
// Server alone, and TestQuery, which compares the text of queries with files for each dialect.
func (s *settings) bunSuite(ctx context.Context, root, dir string) (tests, error) {
	clone := filepath.Join(dir, "bun")
	if out, err := exec.CommandContext(ctx, "git", "clone", "-q", "--branch", bunRelease, s.bun, clone).CombinedOutput(); err != nil {
		return tests{}, failedCommand("git clone "+s.bun, out, err)
	}
	at := filepath.Join(clone, "internal", "dbtest")
	err := edit(filepath.Join(at, "db_test.go"), change{
		old: "\tpgName:        pg,\n\tpgxName:       pgx,\n\tmysql5Name:    mysql5,\n\tmysql8Name:    mysql8,\n" +
			"\tmariadbName:   mariadb,\n\tsqliteName:    sqlite,\n\tmssql2019Name: mssql2019,\n",
		new: "\t\"immudb\": immudb,\n", times: 1})
	if err != nil {
		return tests{}, err
	}
	if err := os.WriteFile(filepath.Join(at, "immudb_test.go"), []byte(bunOpener), 0o600); err != nil {
		return tests{}, err
	}
	if err := requireModules(ctx, at, root, "bunimmudb"); err != nil {
		return tests{}, err
	}
	return tests{dir: at, run: "^(TestDB|TestORM|TestMigrate|TestAutoMigrator_.*|TestDatabaseInspector_Inspect|TestModelHook|TestQueryHook|TestSoftDelete)$", depth: 3,
		env: func(dsn string) []string { return []string{"IMMUDB_DSN=" + dsn} }}, nil
}
