package ecotest

import (
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/testserver"
)

// The tests share a real server; each uses its own database.
func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

// account is a row of the table accounts, in the form that most of the tools understand.
type account struct {
	ID      int64 `db:"id"`
	Name    string
	Note    *string
	Created *time.Time
	Data    []byte
	Active  *bool
}

// accounts makes a database with the table.
func accounts(t *testing.T) (db *sql.DB, dsn string) {
	t.Helper()
	t.Parallel()
	dsn = testserver.Shared(t).NewDatabase(t)
	db, err := sql.Open("immudb", dsn)
	must(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	_, err = db.Exec(`CREATE TABLE accounts (id INTEGER AUTO_INCREMENT, name VARCHAR[100] NOT NULL, note VARCHAR, created TIMESTAMP,
		data BLOB, active BOOLEAN, PRIMARY KEY id); CREATE UNIQUE INDEX ON accounts (name)`)
	must(t, err)
	return db, dsn
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same fails the test if a value is not the one that must be.
func same[T comparable](t testing.TB, what string, is, want T) {
	t.Helper()
	if is != want {
		t.Errorf("%s: %v, want %v", what, is, want)
	}
}
