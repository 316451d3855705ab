package gooseimmudb_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gooseimmudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// lose makes another process take the lock over, by setting the lease of its owner to expired.
func lose(t *testing.T, db *sql.DB) *gooseimmudb.Locker {
	t.Helper()
	mustExec(t, db, `UPDATE "goose_lock" SET "lease" = 0 WHERE "id" = 2`)
	other := gooseimmudb.NewLocker(db)
	if err := other.SessionLock(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return other
}

func TestHeldLockIsRefusedNamingItsHolder(t *testing.T) {
	db := freshDB(t)
	holder := gooseimmudb.NewLocker(db)
	if err := holder.SessionLock(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p, err := newProvider(db, gooseimmudb.NewLocker(db, gooseimmudb.WithLockTimeout(0)), migrations(createPets))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Up(t.Context()); err == nil || !strings.Contains(err.Error(), "held by process ") {
		t.Errorf("err = %v, want one that names the process", err)
	}
	if err := holder.SessionUnlock(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := holder.SessionUnlock(t.Context(), nil); err == nil {
		t.Error("a lock was given back twice")
	}
	if _, err := p.Up(t.Context()); err != nil {
		t.Errorf("after the lock was given back: %v", err)
	}
}

func TestOneLockerServesOneSessionAtATime(t *testing.T) {
	db := freshDB(t)
	l := gooseimmudb.NewLocker(db)
	if err := l.SessionLock(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.SessionLock(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want the end of the context", err)
	}
	if err := l.SessionUnlock(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

func TestMigrationUnderALostLockIsNotCommitted(t *testing.T) {
	for _, row := range []struct {
		name    string
		options func(db *sql.DB, locker *gooseimmudb.Locker, lose func()) *goose.Migration
	}{
		{"in a transaction", func(_ *sql.DB, _ *gooseimmudb.Locker, lose func()) *goose.Migration {
			return goose.NewGoMigration(2, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "CREATE TABLE late (id INTEGER, PRIMARY KEY id)")
				lose()
				return err
			}}, nil)
		}},
		{"in none, where what it did stays but is not entered", func(_ *sql.DB, _ *gooseimmudb.Locker, lose func()) *goose.Migration {
			return goose.NewGoMigration(2, &goose.GoFunc{RunDB: func(context.Context, *sql.DB) error { lose(); return nil }}, nil)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			db := freshDB(t)
			locker := gooseimmudb.NewLocker(db)
			var other *gooseimmudb.Locker
			m := row.options(db, locker, func() { other = lose(t, db) })
			p, err := newProvider(db, locker, migrations(createPets), goose.WithGoMigrations(m))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Up(t.Context()); !errors.Is(err, gooseimmudb.ErrLockLost) {
				t.Errorf("err = %v, want ErrLockLost", err)
			}
			wantTables(t, db, "pets")
			wantVersions(t, db, 0, 1)
			if err := other.SessionUnlock(t.Context(), nil); err != nil {
				t.Errorf("the new owner: %v", err)
			}
			if _, err := provide(t, db, migrations(createPets, createUsers)).Up(t.Context()); err != nil {
				t.Errorf("the next process: %v", err)
			}
		})
	}
}

func TestLossOfTheLockClosesTheSession(t *testing.T) {
	db := freshDB(t)
	locker := gooseimmudb.NewLocker(db, gooseimmudb.WithLockLease(300*time.Millisecond))
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := locker.SessionLock(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	other := lose(t, db)
	for deadline := time.Now().Add(10 * time.Second); conn.PingContext(t.Context()) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the session stays usable")
		}
	}
	if err := locker.SessionUnlock(t.Context(), conn); !errors.Is(err, gooseimmudb.ErrLockLost) {
		t.Errorf("SessionUnlock: %v, want ErrLockLost", err)
	}
	if err := other.SessionUnlock(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestServerRestartedInTheMiddleOfAMigration(t *testing.T) {
	server := testserver.Start(t)
	db := openDB(t, server.DSN())
	away := true
	files := migrations(createPets)
	m := goose.NewGoMigration(2, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "CREATE TABLE a (id INTEGER, PRIMARY KEY id)"); err != nil {
			return err
		}
		if away {
			away = false
			if err := errors.Join(server.Kill(), server.Restart()); err != nil {
				t.Error(err)
			}
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO a (id) VALUES (1)")
		return err
	}}, nil)
	p := provide(t, db, files, goose.WithGoMigrations(m))
	if _, err := p.Up(t.Context()); err == nil {
		t.Error("a transaction went on over a restart")
	}
	wantTables(t, db, "pets")
	wantVersions(t, db, 0, 1)
	if _, err := p.Up(t.Context()); err != nil {
		t.Errorf("up again: %v", err)
	}
	wantTables(t, db, "a", "pets")
}

func TestReadOnlyUserMayAskForVersionsOnly(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	db := openDB(t, dsn)
	mustExec(t, db, "CREATE USER gooserd WITH PASSWORD 'Re4der!pass' READ")
	if _, err := provide(t, db, migrations(createPets)).Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.User, cfg.Password = "gooserd", "Re4der!pass"
	p := provide(t, openDB(t, cfg.FormatDSN()), migrations(createPets, createUsers))
	if current, target, err := p.GetVersions(t.Context()); current != 1 || target != 2 || err != nil {
		t.Errorf("GetVersions = %d, %d (%v), want 1, 2", current, target, err)
	}
	if _, err := p.Up(t.Context()); !errors.Is(err, immudb.ErrPermission) {
		t.Errorf("Up: %v, want ErrPermission", err)
	}
	wantTables(t, db, "pets")
}

func TestReplicaTellsItsVersionsAndRefusesTheRest(t *testing.T) {
	primary := testserver.Start(t, "-synced=false")
	if _, err := provide(t, openDB(t, primary.DSN()), migrations(createPets)).Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	replica := testserver.Start(t, "-synced=false", "-replica-of="+primary.DSN())
	dbtest.AwaitReplica(t, primary, replica)
	db := openDB(t, replica.DSN())
	p := provide(t, db, migrations(createPets, createUsers))
	if current, _, err := p.GetVersions(t.Context()); current != 1 || err != nil {
		t.Errorf("GetVersions = %d (%v), want 1", current, err)
	}
	if _, err := p.Up(t.Context()); !errors.Is(err, immudb.ErrReplica) || !strings.Contains(err.Error(), "connect to the primary") {
		t.Errorf("Up: %v, want ErrReplica naming the primary", err)
	}
}
