package gooseimmudb_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gooseimmudb"
)

const (
	createUsers = `CREATE TABLE users (id INTEGER AUTO_INCREMENT, name VARCHAR[64] NOT NULL, PRIMARY KEY id);
CREATE UNIQUE INDEX ON users(name);
-- down
DROP TABLE users;`
	addMail = `ALTER TABLE users ADD COLUMN mail VARCHAR;
INSERT INTO users (name, mail) VALUES ('ada', 'ada@example.org');
-- down
DELETE FROM users WHERE name = 'ada';
ALTER TABLE users DROP COLUMN mail;`
	createPets = `CREATE TABLE pets (id INTEGER, owner INTEGER, PRIMARY KEY id);
-- down
DROP TABLE pets;`
)

func TestUpDownRedoStatus(t *testing.T) {
	db := freshDB(t)
	p := provide(t, db, migrations(createUsers, addMail, createPets))
	ctx := t.Context()

	pending, err := p.HasPending(ctx)
	if err != nil || !pending {
		t.Errorf("HasPending = %v (%v), want true", pending, err)
	}
	if res, err := p.Up(ctx); err != nil || len(res) != 3 {
		t.Fatalf("Up: %d migrations (%v), want 3", len(res), err)
	}
	wantTables(t, db, "pets", "users")
	wantVersions(t, db, 0, 1, 2, 3)
	if res, err := p.Up(ctx); err != nil || len(res) != 0 {
		t.Errorf("Up again: %d migrations (%v), want none", len(res), err)
	}

	// Redo is a down and an up.
	if _, err := p.Down(ctx); err != nil {
		t.Fatal(err)
	}
	wantTables(t, db, "users")
	if _, err := p.UpByOne(ctx); err != nil {
		t.Fatal(err)
	}
	wantTables(t, db, "pets", "users")
	if _, err := p.ApplyVersion(ctx, 3, true); !errors.Is(err, goose.ErrAlreadyApplied) {
		t.Errorf("ApplyVersion: %v, want ErrAlreadyApplied", err)
	}
	if _, err := p.ApplyVersion(ctx, 3, false); err != nil {
		t.Error(err)
	}

	status, err := p.Status(ctx)
	if err != nil || len(status) != 3 {
		t.Fatalf("Status: %v (%v)", status, err)
	}
	for i, want := range []goose.State{goose.StateApplied, goose.StateApplied, goose.StatePending} {
		s := status[i]
		if s.State != want || (want == goose.StateApplied) != (time.Since(s.AppliedAt).Abs() < time.Minute) {
			t.Errorf("status of %d: %v at %v, want %v", i+1, s.State, s.AppliedAt, want)
		}
	}
	if current, target, err := p.GetVersions(ctx); current != 2 || target != 3 || err != nil {
		t.Errorf("GetVersions = %d, %d (%v), want 2, 3", current, target, err)
	}

	if _, err := p.DownTo(ctx, 0); err != nil {
		t.Fatal(err)
	}
	wantTables(t, db)
	wantVersions(t, db, 0)
	if _, err := p.Down(ctx); !errors.Is(err, goose.ErrNoNextVersion) {
		t.Errorf("Down at the bottom: %v, want ErrNoNextVersion", err)
	}
}

func TestOutOfOrderMigrationsAreListedAsTheyWereApplied(t *testing.T) {
	db := freshDB(t)
	files := migrations(createUsers, createPets, addMail)
	second := files["00002_m.sql"]
	delete(files, "00002_m.sql")
	if _, err := provide(t, db, files).Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	files["00002_m.sql"] = second
	if _, err := provide(t, db, files).Up(t.Context()); err == nil {
		t.Error("a missing migration was not refused")
	}
	p := provide(t, db, files, goose.WithAllowOutofOrder(true))
	if _, err := p.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantVersions(t, db, 0, 1, 3, 2)
	if res, err := p.Down(t.Context()); err != nil || res.Source.Version != 2 {
		t.Errorf("Down took back %v (%v), want 2, which was applied last", res, err)
	}
}

func TestFailedMigrationCommitsNothing(t *testing.T) {
	db := freshDB(t)
	p := provide(t, db, migrations(createPets, "CREATE TABLE a (id INTEGER, PRIMARY KEY id); INSERT INTO pets (id) VALUES (1), (1);"))
	_, err := p.Up(t.Context())
	var partial *goose.PartialError
	if !errors.As(err, &partial) || len(partial.Applied) != 1 || partial.Failed.Source.Version != 2 || !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Errorf("err = %v, want ErrDuplicateKey in migration 2", err)
	}
	wantTables(t, db, "pets")
	wantVersions(t, db, 0, 1)
	if _, err := provide(t, db, migrations(createPets, "CREATE TABLE a (id INTEGER, PRIMARY KEY id);")).Up(t.Context()); err != nil {
		t.Errorf("the corrected migration: %v", err)
	}
	wantTables(t, db, "a", "pets")
}

func TestNoTransactionMigrations(t *testing.T) {
	db := freshDB(t)
	p := provide(t, db, migrations(createPets,
		"-- +goose NO TRANSACTION\nCREATE USER goosed WITH PASSWORD 'G00sed!pass' READ;\nINSERT INTO pets (id) VALUES (1);\n-- down\nDELETE FROM pets WHERE id = 1;",
		"-- +goose NO TRANSACTION\nCREATE TABLE a (id INTEGER, PRIMARY KEY id);\nINSERT INTO pets (id) VALUES (1);"))
	if _, err := p.Up(t.Context()); !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Errorf("err = %v, want ErrDuplicateKey of migration 3", err)
	}
	wantVersions(t, db, 0, 1, 2)
	wantTables(t, db, "a", "pets") // what ran before the error stays
	if _, err := p.Down(t.Context()); err != nil {
		t.Error(err)
	}
	wantVersions(t, db, 0, 1)
	_, err := provide(t, db, migrations(createPets, "CREATE DATABASE other;")).Up(t.Context())
	if !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("a database made in a transaction: %v, want ErrUnsupported", err)
	}
}

func TestGoMigrations(t *testing.T) {
	db := freshDB(t)
	inTx := goose.NewGoMigration(2,
		&goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "CREATE TABLE a (id INTEGER, PRIMARY KEY id); INSERT INTO a (id) VALUES (1)")
			return err
		}},
		&goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "DROP TABLE a")
			return err
		}})
	onDB := goose.NewGoMigration(3,
		&goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
			_, err := db.ExecContext(ctx, "INSERT INTO a (id) VALUES (2)")
			return err
		}},
		&goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
			_, err := db.ExecContext(ctx, "DELETE FROM a WHERE id = 2")
			return err
		}})
	broken := goose.NewGoMigration(4,
		&goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, "CREATE TABLE b (id INTEGER, PRIMARY KEY id)"); err != nil {
				return err
			}
			return errors.New("second thoughts")
		}}, nil)
	p := provide(t, db, migrations(createPets), goose.WithGoMigrations(inTx, onDB, broken))
	if _, err := p.Up(t.Context()); err == nil || !strings.Contains(err.Error(), "second thoughts") {
		t.Errorf("err = %v, want that of migration 4", err)
	}
	wantTables(t, db, "a", "pets")
	wantVersions(t, db, 0, 1, 2, 3)
	if got := list[int](t, db, "SELECT id FROM a"); len(got) != 2 {
		t.Errorf("rows %v, want 1 and 2", got)
	}
	if _, err := p.DownTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	wantTables(t, db, "pets")
	wantVersions(t, db, 0, 1)
}

func TestStoreOfItsOwn(t *testing.T) {
	db := freshDB(t)
	s := gooseimmudb.NewStore("My_Versions", nil)
	ctx := t.Context()
	exists := func(want bool) {
		t.Helper()
		if got, err := s.TableExists(ctx, db); got != want || err != nil {
			t.Errorf("TableExists = %v (%v), want %v", got, err, want)
		}
	}
	exists(false)
	if err := s.CreateVersionTable(ctx, db); err != nil {
		t.Fatal(err)
	}
	exists(true)
	if l, err := s.ListMigrations(ctx, db); err != nil || l == nil || len(l) != 0 {
		t.Errorf("ListMigrations of none: %v (%v), want an empty list", l, err)
	}
	if _, err := s.GetLatestVersion(ctx, db); !errors.Is(err, database.ErrVersionNotFound) {
		t.Errorf("GetLatestVersion of none: %v, want ErrVersionNotFound", err)
	}
	for _, v := range []int64{5, 2} {
		if err := s.Insert(ctx, db, database.InsertRequest{Version: v}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Insert(ctx, db, database.InsertRequest{Version: 5}); !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Errorf("Insert twice: %v, want ErrDuplicateKey", err)
	}
	if v, err := s.GetLatestVersion(ctx, db); v != 5 || err != nil {
		t.Errorf("GetLatestVersion = %d (%v), want 5", v, err)
	}
	if _, err := s.GetMigration(ctx, db, 3); !errors.Is(err, database.ErrVersionNotFound) {
		t.Errorf("GetMigration of none: %v, want ErrVersionNotFound", err)
	}
	if err := s.Delete(ctx, db, 5); err != nil {
		t.Error(err)
	}
	if err := s.Delete(ctx, db, 5); !errors.Is(err, database.ErrVersionNotFound) {
		t.Errorf("Delete twice: %v, want ErrVersionNotFound", err)
	}
	if err := gooseimmudb.NewStore(`a"b`, nil).CreateVersionTable(ctx, db); err == nil || !strings.Contains(err.Error(), "valid names") {
		t.Errorf("a name with a quote: %v", err)
	}
}

func TestTwoProcessesWithoutALockCannotBothEnterAVersion(t *testing.T) {
	db := freshDB(t)
	s := gooseimmudb.NewStore(goose.DefaultTablename, nil)
	if err := s.CreateVersionTable(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	var txs [2]*sql.Tx
	for i := range txs {
		var err error
		if txs[i], err = db.BeginTx(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Insert(t.Context(), txs[i], database.InsertRequest{Version: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := txs[0].Commit(); err != nil {
		t.Error(err)
	}
	if err := txs[1].Commit(); !errors.Is(err, immudb.ErrConflict) {
		t.Errorf("the second commit: %v, want ErrConflict", err)
	}
}

func TestLockerThatCannotWorkIsRefused(t *testing.T) {
	for _, row := range []struct {
		says   string
		conns  int
		option gooseimmudb.LockerOption
	}{
		{"valid names", 0, gooseimmudb.WithLockTable("a b")},
		{"at least 100ms", 0, gooseimmudb.WithLockLease(time.Millisecond)},
		{"not be negative", 0, gooseimmudb.WithLockTimeout(-1)},
		{"SetMaxOpenConns", 1, gooseimmudb.WithLockTable("a")},
	} {
		t.Run(row.says, func(t *testing.T) {
			db := openDB(t, "immudb://u:p@127.0.0.1:1/db") // nothing is sent
			db.SetMaxOpenConns(row.conns)
			if err := gooseimmudb.NewLocker(db, row.option).SessionLock(t.Context(), nil); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("err = %v, want one that contains %q", err, row.says)
			}
		})
	}
}
