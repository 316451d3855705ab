package indeximmudb

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

const trustFirstUse = "verify=trust-first-use"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		fmt.Fprintln(os.Stderr, follow(os.Getenv("IMMUDB_DSN"), path))
		os.Exit(1)
	}
	os.Exit(dbtest.Main(m))
}

// openAt opens the index in a file, and closes it with the test.
func openAt(t testing.TB, path string, db *sql.DB, opts Options) *Index {
	t.Helper()
	x, err := Open(path, db, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// newIndex opens a new index.
func newIndex(t testing.TB, db *sql.DB) *Index {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "index"), db, Options{})
}

func update(t testing.TB, x *Index) {
	t.Helper()
	if err := x.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// rowsOf are the rows of a table in words.
func rowsOf(t testing.TB, x *Index, table, tail string, args ...any) (list []string) {
	t.Helper()
	rows, err := x.Rows(t.Context(), table, tail, args...)
	if err != nil {
		t.Fatalf("%s %s: %v", table, tail, err)
	}
	for _, r := range rows {
		list = append(list, fmt.Sprint(r.Columns, r.Values))
	}
	return list
}

func mustBeTampering(t testing.TB, err error) {
	t.Helper()
	var found *immudb.Tampering
	if !errors.Is(err, immudb.ErrTampered) || !errors.As(err, &found) || found.Check == "" {
		t.Errorf("err = %v, want ErrTampered with a Tampering that says what failed", err)
	}
}
