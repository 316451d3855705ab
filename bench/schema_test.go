package main

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"

	"github.com/codenotary/immudb/pkg/client"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// The server (v1.11.1) keeps an outdated catalog if any client reads while the schema changes. Changes through this driver
// are visible to all clients when they return, and no table replaces another one, while both clients read.
func TestSchemaChangesBesideReadersAreVisibleToBothClients(t *testing.T) {
	server := testserver.Start(t, "-synced=false")
	dsn := server.NewDatabase(t)
	db, err := sql.Open(immudb.DriverName, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	vendor := vendorDB(t, dsn)
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	exec("CREATE TABLE busy (id INTEGER, v INTEGER, PRIMARY KEY id)")
	exec("INSERT INTO busy (id, v) VALUES (1, 1), (2, 2), (3, 3)")
	exec("CREATE TABLE wide (id INTEGER, PRIMARY KEY id)")
	exec("INSERT INTO wide (id) VALUES (1)")

	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop()
	for i := range 12 {
		from := []*sql.DB{db, vendor}[i%2]
		readers.Go(func() {
			for ctx.Err() == nil {
				var sum int
				if err := from.QueryRowContext(ctx, "SELECT SUM(v) FROM busy").Scan(&sum); (err != nil || sum != 6) && ctx.Err() == nil {
					t.Errorf("a reader: %d, %v", sum, err)
					return
				}
			}
		})
	}

	n, stale, lost := testserver.Rounds(t, 25, 100), 0, 0
	// both reports whether both clients see a value.
	both := func(query string, want int) bool {
		for _, db := range []*sql.DB{vendor, db} {
			var got int
			if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %d, %v, want %d", query, got, err, want)
				return false
			}
		}
		return true
	}
	for i := range n {
		exec(fmt.Sprintf("CREATE TABLE t%d (id INTEGER, v INTEGER, PRIMARY KEY id)", i))
		if !both(fmt.Sprintf("SELECT COUNT(*) FROM t%d", i), 0) {
			stale++
		}
		exec(fmt.Sprintf("INSERT INTO t%d (id, v) VALUES (1, ?)", i), i)
		exec(fmt.Sprintf("ALTER TABLE wide ADD COLUMN c%d INTEGER", i))
		if !both(fmt.Sprintf("SELECT COUNT(*) FROM wide WHERE c%d IS NULL", i), 1) {
			stale++
		}
		exec(fmt.Sprintf("UPDATE wide SET c%d = ? WHERE id = 1", i), i)
	}
	stop()
	readers.Wait()
	for i := range n {
		if !both(fmt.Sprintf("SELECT v FROM t%d", i), i) || !both(fmt.Sprintf("SELECT c%d FROM wide", i), i) {
			lost++
		}
	}
	t.Logf("%d tables and %d columns beside 12 readers, 6 of them the vendor's: %d stale, %d lost", n, n, stale, lost)
}

// vendorDB opens a database with the vendor's driver.
func vendorDB(t *testing.T, dsn string) *sql.DB {
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	db, err := openVendor(cfg.Hosts[0], func(o *client.Options) {
		o.WithUsername(cfg.User).WithPassword(cfg.Password).WithDatabase(cfg.Database).WithDir(dir)
	})
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxIdleConns(8) // each of its connections needs a session
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
