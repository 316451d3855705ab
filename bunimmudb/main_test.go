package bunimmudb_test

import (
	"context"
	"os"
	"testing"

	"github.com/uptrace/bun"

	"github.com/immudb-go/immudb/bunimmudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// The tests share a real server; each uses its own database.
func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

// open opens a new database for the test and creates the models' tables.
func open(t testing.TB, models ...any) *bun.DB {
	t.Helper()
	db, err := bunimmudb.Open(testserver.Shared(t).NewDatabase(t))
	must(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, model := range models {
		_, err := db.NewCreateTable().Model(model).Exec(t.Context())
		must(t, err)
	}
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func count(t testing.TB, db bun.IDB, model any) int64 {
	t.Helper()
	n, err := db.NewSelect().Model(model).Count(context.Background())
	must(t, err)
	return n
}

// countAll counts all rows, deleted ones included.
func countAll(t testing.TB, db bun.IDB, model any) int64 {
	t.Helper()
	n, err := db.NewSelect().Model(model).WhereAllWithDeleted().Count(context.Background())
	must(t, err)
	return n
}
