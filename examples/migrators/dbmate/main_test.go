package main

import (
	"database/sql"
	"net/url"
	"os"
	"sync"
	"testing"

	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

// accounts counts the rows that the migrations write.
func accounts(t *testing.T, dsn string) (n int) {
	t.Helper()
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT COUNT(*) FROM accounts WHERE note = 'first; and only'").Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

func TestOfTwoMigratorsEachMigrationIsRunByOne(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	var starting sync.WaitGroup
	for range 2 {
		starting.Go(func() {
			if err := up(t.Context(), dsn); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	if n := accounts(t, dsn); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	if err := up(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	m, err := open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
	if pending, err := m.Status(true); err != nil || pending != 2 {
		t.Errorf("%d are pending (%v), want 2", pending, err)
	}
	if err := up(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	if n := accounts(t, dsn); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestADatabaseThatDoesNotExistIsCreated(t *testing.T) {
	u, err := url.Parse(testserver.Shared(t).NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path += "x"
	if err := up(t.Context(), u.String()); err != nil {
		t.Fatal(err)
	}
	if n := accounts(t, u.String()); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}
