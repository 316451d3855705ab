package entimmudb_test

import (
	"os"
	"testing"

	"github.com/immudb-go/immudb/entimmudb"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/migrate"
	"github.com/immudb-go/immudb/internal/testserver"
)

// The tests share a real server; each uses its own database.
func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

// open opens a new database for the test and creates the schema.
func open(t *testing.T) *ent.Client {
	t.Helper()
	drv := openDriver(t)
	client := ent.NewClient(ent.Driver(drv))
	must(t, client.Schema.Create(t.Context(), drv.Migrate()))
	return client
}

// openDriver opens a new database for the test.
func openDriver(t *testing.T) *entimmudb.Driver {
	t.Helper()
	t.Parallel()
	drv, err := entimmudb.Open(testserver.Shared(t).NewDatabase(t), migrate.Tables)
	must(t, err)
	t.Cleanup(func() {
		if err := drv.Close(); err != nil {
			t.Error(err)
		}
	})
	return drv
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got returns the value of a call that must succeed.
func got[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// same fails the test if a value is not the one that must be.
func same[T comparable](t testing.TB, what string, is, want T) {
	t.Helper()
	if is != want {
		t.Errorf("%s: %v, want %v", what, is, want)
	}
}
