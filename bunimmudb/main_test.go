package bunimmudb_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/uptrace/bun"

	"github.com/immudb-go/immudb/bunimmudb"
	"github.com/immudb-go/immudb/immudbtest"
)

var server *immudbtest.Server

// The tests share a server and take a database each.
func TestMain(m *testing.M) {
	var err error
	if server, err = immudbtest.New(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if n := server.Sessions(); code == 0 && n > 0 {
		fmt.Fprintf(os.Stderr, "the tests left %d sessions open\n", n)
		code = 1
	}
	if err := server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// open opens a database of the test's own and creates the models' tables.
func open(t testing.TB, models ...any) *bun.DB {
	t.Helper()
	db, err := bunimmudb.Open(server.NewDatabase(t))
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

// countAll counts those that are deleted too.
func countAll(t testing.TB, db bun.IDB, model any) int64 {
	t.Helper()
	n, err := db.NewSelect().Model(model).WhereAllWithDeleted().Count(context.Background())
	must(t, err)
	return n
}
