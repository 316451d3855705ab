package goose_test

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

// newDB opens a new database.
func newDB(t *testing.T) *sql.DB {
	t.Helper()
	dsn, err := url.Parse(os.Getenv("IMMUDB_DSN"))
	require.NoError(t, err)
	db, err := sql.Open("immudb", dsn.String())
	require.NoError(t, err)
	name := "d" + strings.ToLower(randomAlphaNumeric(12))
	_, err = db.Exec("CREATE DATABASE " + name)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	dsn.Path = "/" + name
	db, err = sql.Open("immudb", dsn.String())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// newProvider makes a provider with the store and the locker of gooseimmudb.
func newProvider(db *sql.DB, fsys fs.FS, opts ...goose.ProviderOption) (*goose.Provider, error) {
	locker := gooseimmudb.NewLocker(db)
	opts = append(opts, goose.WithStore(gooseimmudb.NewStore(goose.DefaultTablename, locker)), goose.WithSessionLocker(locker))
	return goose.NewProvider(goose.DialectCustom, db, fsys, opts...)
}
