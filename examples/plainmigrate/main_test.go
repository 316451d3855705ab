package main

import (
	"database/sql"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

func openDB(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func count(t *testing.T, db *sql.DB, query string) int {
	t.Helper()
	var n int
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestFilesAreAppliedOnceByProgramsThatRunAtOnce(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	var running sync.WaitGroup
	for range 3 {
		db := openDB(t, dsn)
		running.Go(func() {
			if err := apply(t.Context(), db, migrations); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	db := openDB(t, dsn)
	if n := count(t, db, "SELECT COUNT(*) FROM schema_versions"); n != 2 {
		t.Errorf("%d versions, want 2", n)
	}
	if n := count(t, db, "SELECT COUNT(*) FROM COLUMNS('notes')"); n != 3 {
		t.Errorf("%d columns, want 3", n)
	}
}

func TestFileThatFailsLeavesNothing(t *testing.T) {
	db := openDB(t, testserver.Shared(t).NewDatabase(t))
	files := fstest.MapFS{
		"migrations/1_a.sql": {Data: []byte("CREATE TABLE a (id INTEGER, PRIMARY KEY id)")},
		"migrations/2_b.sql": {Data: []byte("CREATE TABLE b (id INTEGER, PRIMARY KEY id); NONSENSE")},
	}
	if err := apply(t.Context(), db, files); !errors.Is(err, immudb.ErrSyntax) {
		t.Errorf("err = %v, want ErrSyntax", err)
	}
	if n := count(t, db, "SELECT COUNT(*) FROM TABLES() WHERE name = 'b'"); n != 0 {
		t.Error("the table of the file that failed is there")
	}
	if n := count(t, db, "SELECT COUNT(*) FROM schema_versions"); n != 1 {
		t.Errorf("%d versions, want 1", n)
	}
}
