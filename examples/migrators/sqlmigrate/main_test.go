package main

import (
	"database/sql"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	migrate "github.com/rubenv/sql-migrate"

	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestOfTwoMigratorsEachMigrationIsRunByOne(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	var ran atomic.Int64
	var starting sync.WaitGroup
	for range 2 {
		db := open(t, dsn)
		starting.Go(func() {
			n, err := up(t.Context(), db)
			if err != nil {
				t.Error(err)
			}
			ran.Add(int64(n))
		})
	}
	starting.Wait()
	db := open(t, dsn)
	var rows int
	var note string
	if err := db.QueryRow("SELECT COUNT(*), MAX(note) FROM accounts").Scan(&rows, &note); err != nil || rows != 1 || note != "first; and only" {
		t.Errorf("%d rows, the note %q (%v)", rows, note, err)
	}
	if ran.Load() != 2 {
		t.Errorf("%d migrations ran, want 2", ran.Load())
	}
	records, err := migrate.GetMigrationRecords(db, "immudb")
	if err != nil || len(records) != 2 || records[0].Id != "1_accounts.sql" || records[0].AppliedAt.IsZero() {
		t.Errorf("the records are %v (%v)", records, err)
	}
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	db := open(t, testserver.Shared(t).NewDatabase(t))
	for range 2 {
		if n, err := up(t.Context(), db); err != nil || n != 2 {
			t.Fatalf("up: %d migrations (%v), want 2", n, err)
		}
		if n, err := migrate.ExecContext(t.Context(), db, "immudb", migrations, migrate.Down); err != nil || n != 2 {
			t.Fatalf("down: %d migrations (%v), want 2", n, err)
		}
	}
}

func TestAMigrationThatFailsLeavesNothing(t *testing.T) {
	db := open(t, testserver.Shared(t).NewDatabase(t))
	source := migrate.MemoryMigrationSource{Migrations: []*migrate.Migration{
		{Id: "1", Up: []string{"CREATE TABLE t (id INTEGER, PRIMARY KEY id)", "INSERT INTO nowhere (id) VALUES (1)"}},
	}}
	if n, err := migrate.ExecContext(t.Context(), db, "immudb", source, migrate.Up); err == nil || n != 0 {
		t.Errorf("%d migrations (%v), want an error", n, err)
	}
	var tables int
	if err := db.QueryRow("SELECT COUNT(*) FROM TABLES() WHERE name = 't'").Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables (%v), want none", tables, err)
	}
	records, err := migrate.GetMigrationRecords(db, "immudb")
	if err != nil || len(records) != 0 {
		t.Errorf("the records are %v (%v), want none", records, err)
	}
}
