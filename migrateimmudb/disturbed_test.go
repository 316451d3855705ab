package migrateimmudb_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
	"github.com/immudb-go/immudb/migrateimmudb"
)

// halfApplied leaves the database in the state after a process was killed at the given step of
// migration 2.
func halfApplied(t *testing.T, dsn string, upTo string) {
	t.Helper()
	d, err := database.Open(withOptions(t, dsn, "x-lock-lease=300ms"))
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(d.Lock(), d.SetVersion(1, true), d.Run(strings.NewReader(createPets[:strings.Index(createPets, "--")])), d.SetVersion(1, false))
	switch upTo {
	case "announced":
		err = errors.Join(err, d.SetVersion(2, true))
	case "run":
		err = errors.Join(err, d.SetVersion(2, true), d.Run(strings.NewReader("CREATE TABLE a (id INTEGER, PRIMARY KEY id)")))
	}
	if err != nil {
		t.Fatal(err)
	}
	// The lock is not released: its renewals end when the database is closed.
	if err := migrateimmudb.Kill(d); err != nil {
		t.Fatal(err)
	}
}

func TestHalfAppliedDatabaseIsFinishedByTheNextProcess(t *testing.T) {
	for _, row := range []struct{ step, reason string }{
		{"clean", "between two migrations"},
		{"announced", "nothing of the migration was committed, so it is run"},
		{"run", "all of the migration was committed, so it is not run again"},
	} {
		t.Run(row.step+": "+row.reason, func(t *testing.T) {
			dsn := freshDSN(t)
			halfApplied(t, dsn, row.step)
			m := open(t, migrations(createPets, "CREATE TABLE a (id INTEGER, PRIMARY KEY id)", "CREATE TABLE b (id INTEGER, PRIMARY KEY id)"), dsn)
			if err := m.Up(); err != nil {
				t.Fatal(err)
			}
			wantVersion(t, m, 3, false)
			wantTables(t, openDB(t, dsn), "a", "b", "pets")
		})
	}
}

func TestMigrationStoppedBetweenItsStatementsStaysDirty(t *testing.T) {
	dsn := freshDSN(t, "x-lock-lease=300ms")
	m := open(t, migrations("CREATE TABLE a (id INTEGER, PRIMARY KEY id); CREATE TABLE b (id INTEGER, PRIMARY KEY id)"), dsn)
	d, err := database.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Lock(), d.SetVersion(1, true)); err != nil {
		t.Fatal(err)
	}
	err = d.Run(strings.NewReader("CREATE TABLE a (id INTEGER, PRIMARY KEY id); CREATE USER immudb WITH PASSWORD 'Ex1sts!already' READ"))
	if err == nil {
		t.Fatal("the second statement was carried out")
	}
	if err := migrateimmudb.Kill(d); err != nil {
		t.Fatal(err)
	}
	if err := m.Up(); !errors.As(err, new(migrate.ErrDirty)) {
		t.Errorf("err = %v, want ErrDirty: only a person can tell what is there", err)
	}
	wantVersion(t, m, 1, true)
}

func TestSlowProcessCannotGoOnAfterATakeover(t *testing.T) {
	dsn := freshDSN(t)
	slow, err := database.Open(withOptions(t, dsn, "x-lock-lease=300ms"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(slow.Lock(), slow.SetVersion(1, true)); err != nil {
		t.Fatal(err)
	}
	migrateimmudb.Sleep(slow)
	m := open(t, migrations("CREATE TABLE a (id INTEGER, PRIMARY KEY id)", "CREATE TABLE b (id INTEGER, PRIMARY KEY id)"), dsn)
	if err := m.Up(); err != nil {
		t.Fatal(err)
	}
	if err := slow.Run(strings.NewReader("CREATE TABLE late (id INTEGER, PRIMARY KEY id)")); !errors.Is(err, migrateimmudb.ErrLockLost) {
		t.Errorf("Run: %v, want ErrLockLost", err)
	}
	if err := slow.Run(strings.NewReader("CREATE USER late WITH PASSWORD 'L4te!password' READ")); !errors.Is(err, migrateimmudb.ErrLockLost) {
		t.Errorf("Run of a statement that no transaction holds: %v, want ErrLockLost", err)
	}
	if err := slow.SetVersion(1, false); !errors.Is(err, migrateimmudb.ErrLockLost) {
		t.Errorf("SetVersion: %v, want ErrLockLost", err)
	}
	if err := slow.Drop(); !errors.Is(err, migrateimmudb.ErrLockLost) {
		t.Errorf("Drop: %v, want ErrLockLost", err)
	}
	if err := errors.Join(slow.Unlock(), slow.Close()); err != nil {
		t.Error(err)
	}
	wantVersion(t, m, 2, false)
	wantTables(t, openDB(t, dsn), "a", "b")
}

func TestProcessThatLostTheLockIsNotToldThatTheMigrationOfTheNextOneIsDirty(t *testing.T) {
	dsn := withOptions(t, freshDSN(t), "x-lock-lease=300ms")
	slow, err := database.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := slow.Lock(); err != nil {
		t.Fatal(err)
	}
	migrateimmudb.Sleep(slow)
	next, err := database.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(next.Lock(), next.SetVersion(1, true)); err != nil {
		t.Fatal(err)
	}
	if _, dirty, err := slow.Version(); !errors.Is(err, migrateimmudb.ErrLockLost) || dirty {
		t.Errorf("dirty %v, %v, want ErrLockLost: golang-migrate would ask a person to fix what is not broken", dirty, err)
	}
	if version, dirty, err := next.Version(); err != nil || version != 1 || !dirty {
		t.Errorf("the owner: version %d, dirty %v, %v, want 1, dirty", version, dirty, err)
	}
	if err := errors.Join(slow.Unlock(), slow.Close(), next.Unlock(), next.Close()); err != nil {
		t.Error(err)
	}
}

func TestServerRestartedInTheMiddleOfAMigration(t *testing.T) {
	for _, row := range []struct {
		how  string
		away func(*testserver.Server) error
	}{
		{"stopped in order", (*testserver.Server).Stop},
		{"killed", (*testserver.Server).Kill},
	} {
		t.Run(row.how, func(t *testing.T) {
			server := testserver.Start(t)
			// Statements that take the server some time, so that it is stopped between
			// them.
			files := migrations(createPets, "CREATE TABLE a (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id);"+
				strings.Repeat("INSERT INTO a (v) VALUES (1);", 900), "CREATE TABLE b (id INTEGER, PRIMARY KEY id)")
			m := open(t, files, server.DSN())
			db := openDB(t, server.DSN())
			if err := m.Steps(1); err != nil {
				t.Fatal(err)
			}
			restarted := make(chan error, 1)
			go func() {
				for {
					if v, dirty, err := m.Version(); err == nil && (v == 2 && dirty || v > 2) { // later on a machine that stood still
						break
					}
					time.Sleep(time.Millisecond)
				}
				time.Sleep(50 * time.Millisecond) // into its statements
				err := row.away(server)
				time.Sleep(200 * time.Millisecond)
				restarted <- errors.Join(err, server.Restart())
			}()
			err := m.Up()
			if err := <-restarted; err != nil {
				t.Fatal(err)
			}
			if err != nil {
				t.Errorf("up: %v", err)
			}
			wantVersion(t, m, 3, false)
			wantTables(t, db, "a", "b", "pets")
			if got := list[int](t, db, "SELECT COUNT(*) FROM a"); got[0] != 900 {
				t.Errorf("%d rows, want 900", got[0])
			}
		})
	}
}

func TestServerThatStaysAwayLeavesAMigrationThatCanBeRun(t *testing.T) {
	server := testserver.Start(t)
	dsn := withOptions(t, server.DSN(), "x-lock-lease=300ms", "connect_timeout=1")
	d, err := database.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Lock(), d.SetVersion(1, true)); err != nil {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := d.Run(strings.NewReader("CREATE TABLE a (id INTEGER, PRIMARY KEY id)")); err == nil {
		t.Fatal("ran without a server")
	}
	if err := errors.Join(d.Unlock(), d.Close()); err != nil {
		t.Error(err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	m := open(t, migrations("CREATE TABLE a (id INTEGER, PRIMARY KEY id)"), dsn)
	if err := m.Up(); err != nil {
		t.Error(err)
	}
	wantVersion(t, m, 1, false)
}

func TestReadOnlyUserMayAskForTheVersionOnly(t *testing.T) {
	dsn := freshDSN(t)
	mustExec(t, openDB(t, dsn), "CREATE USER reads WITH PASSWORD 'Re4der!pass' READ")
	reader := strings.Replace(dsn, "immudb://immudb:immudb@", "immudb://reads:Re4der!pass@", 1)
	if reader == dsn {
		t.Fatal("the DSN of the test server has changed")
	}
	files := migrations(createPets, upUsers)
	m := open(t, files, reader)
	wantVersion(t, m, -1, false) // before there is a table
	if err := open(t, migrations(createPets), dsn).Up(); err != nil {
		t.Fatal(err)
	}
	wantVersion(t, m, 1, false)
	for name, do := range map[string]func() error{"up": m.Up, "down": m.Down, "drop": m.Drop, "force": func() error { return m.Force(3) }} {
		if err := do(); !errors.Is(err, immudb.ErrPermission) {
			t.Errorf("%s: %v, want ErrPermission", name, err)
		}
	}
	wantVersion(t, m, 1, false)
	wantTables(t, openDB(t, dsn), "pets")
}

func TestReplicaTellsItsVersionAndRefusesTheRest(t *testing.T) {
	primary := testserver.Start(t, "-synced=false")
	files := migrations(createPets)
	if err := open(t, files, primary.DSN()).Up(); err != nil {
		t.Fatal(err)
	}
	replica := testserver.Start(t, "-synced=false", "-replica-of="+primary.DSN())
	dbtest.AwaitReplica(t, primary, replica)
	m := open(t, files, replica.DSN())
	wantVersion(t, m, 1, false)
	for name, do := range map[string]func() error{"up": m.Up, "down": m.Down, "drop": m.Drop, "force": func() error { return m.Force(3) }} {
		start := time.Now()
		if err := do(); !errors.Is(err, immudb.ErrReplica) || !strings.Contains(err.Error(), "connect to the primary") {
			t.Errorf("%s: %v, want ErrReplica naming the primary", name, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s was refused after %v only", name, took)
		}
	}
	wantTables(t, openDB(t, replica.DSN()), "pets")

	// The next migration of the primary arrives on the replica; a server of v1.11.1 shows
	// its tables only after a restart.
	if err := open(t, migrations(createPets, upUsers), primary.DSN()).Up(); err != nil {
		t.Fatal(err)
	}
	dbtest.AwaitReplica(t, primary, replica)
	if err := replica.Restart(); err != nil {
		t.Fatal(err)
	}
	wantVersion(t, m, 2, false)
	wantTables(t, openDB(t, replica.DSN()), "pets", "users")
}
