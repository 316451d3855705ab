package bunimmudb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/uptrace/bun/migrate"

	"github.com/immudb-go/immudb"
)

func migrations(t *testing.T) *migrate.Migrations {
	t.Helper()
	ms := migrate.NewMigrations()
	must(t, ms.Discover(fstest.MapFS{
		"1_shops.tx.up.sql":   {Data: []byte("CREATE TABLE shops (id INTEGER AUTO_INCREMENT, name VARCHAR[50], PRIMARY KEY id);\n--bun:split\nCREATE INDEX ON shops(name);\n")},
		"1_shops.tx.down.sql": {Data: []byte("DROP TABLE shops;\n")},
	}))
	ms.Add(migrate.Migration{
		Name: "2",
		Up:   func(ctx context.Context, _ *migrate.Migrator, _ *migrate.Migration) error { return nil },
	})
	return ms
}

func TestMigrationsRunOnceAndRollBack(t *testing.T) {
	db, ctx := open(t), t.Context()
	m := migrate.NewMigrator(db, migrations(t), migrate.WithMarkAppliedOnSuccess(true))
	must(t, m.Init(ctx))
	must(t, m.Init(ctx))
	group, err := m.Migrate(ctx)
	must(t, err)
	if len(group.Migrations) != 2 {
		t.Errorf("ran %s, want two migrations", group)
	}
	_, err = db.NewRaw("INSERT INTO shops (name) VALUES ('s')").Exec(ctx)
	must(t, err)
	if group, err = m.Migrate(ctx); err != nil || !group.IsZero() {
		t.Errorf("a second time: %s (%v), want nothing", group, err)
	}
	status, err := m.MigrationsWithStatus(ctx)
	must(t, err)
	if len(status.Applied()) != 2 {
		t.Errorf("applied %s", status.Applied())
	}
	_, err = m.Rollback(ctx)
	must(t, err)
	if _, err := db.NewRaw("SELECT * FROM shops").Exec(ctx); !errors.Is(err, immudb.ErrNoSuchTable) {
		t.Errorf("after Rollback: %v, want ErrNoSuchTable", err)
	}
	must(t, m.Reset(ctx))
}

func TestFailedMigrationLeavesNothing(t *testing.T) {
	db, ctx := open(t), t.Context()
	ms := migrate.NewMigrations()
	must(t, ms.Discover(fstest.MapFS{"1_bad.tx.up.sql": {Data: []byte("CREATE TABLE a (id INTEGER, PRIMARY KEY id);\n--bun:split\nNONSENSE;\n")}}))
	m := migrate.NewMigrator(db, ms, migrate.WithMarkAppliedOnSuccess(true))
	must(t, m.Init(ctx))
	if _, err := m.Migrate(ctx); err == nil {
		t.Fatal("nonsense was carried out")
	}
	if _, err := db.NewRaw("SELECT * FROM a").Exec(ctx); !errors.Is(err, immudb.ErrNoSuchTable) {
		t.Errorf("a table of the failed migration: %v, want ErrNoSuchTable", err)
	}
}

func TestTablesOfMigrationsAreMadeByManyAtOnce(t *testing.T) {
	db, ctx := open(t), t.Context()
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		wg.Go(func() { results <- migrate.NewMigrator(db, migrations(t)).Init(ctx) })
	}
	wg.Wait()
	close(results)
	for err := range results {
		must(t, err)
	}
	m := migrate.NewMigrator(db, migrations(t))
	must(t, m.Lock(ctx))
	if err := m.Lock(ctx); !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Errorf("a second lock: %v, want ErrDuplicateKey", err)
	}
}

func TestLockIsHeldByOne(t *testing.T) {
	db, ctx := open(t), t.Context()
	m := migrate.NewMigrator(db, migrations(t))
	must(t, m.Init(ctx))
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		wg.Go(func() { results <- m.Lock(ctx) })
	}
	wg.Wait()
	close(results)
	held := 0
	for err := range results {
		if err == nil {
			held++
		} else if !errors.Is(err, immudb.ErrDuplicateKey) {
			t.Errorf("refused with %v, want ErrDuplicateKey", err)
		}
	}
	if held != 1 {
		t.Errorf("%d hold the lock, want 1", held)
	}
	must(t, m.Init(ctx)) // by another process, while the lock is held
	must(t, m.Unlock(ctx))
	must(t, m.Lock(ctx))
	must(t, m.Unlock(ctx))
}
