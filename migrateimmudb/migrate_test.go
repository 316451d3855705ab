package migrateimmudb_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	dt "github.com/golang-migrate/migrate/v4/database/testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/migrateimmudb"
)

const (
	upUsers = `CREATE TABLE users (id INTEGER AUTO_INCREMENT, name VARCHAR[64] NOT NULL, PRIMARY KEY id);
CREATE UNIQUE INDEX ON users(name);
`
	createUsers = upUsers + `-- down
DROP TABLE users;`
	addMail = `ALTER TABLE users ADD COLUMN mail VARCHAR;
INSERT INTO users (name, mail) VALUES ('ada', 'ada@example.org');
-- down
DELETE FROM users WHERE name = 'ada';
ALTER TABLE users DROP COLUMN mail;`
	createPets = `CREATE TABLE pets (id INTEGER, owner INTEGER, PRIMARY KEY id) -- down
DROP TABLE pets`
)

func TestSuiteOfGolangMigrate(t *testing.T) {
	d, err := (&migrateimmudb.Immudb{}).Open(freshDSN(t))
	if err != nil {
		t.Fatal(err)
	}
	dt.Test(t, d, []byte(upUsers))
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestMigrateSuiteOfGolangMigrate(t *testing.T) {
	dt.TestMigrate(t, open(t, migrations(createUsers, addMail, createPets), freshDSN(t)))
}

func TestMigrateSuiteOnAnInstance(t *testing.T) {
	db := openDB(t, freshDSN(t))
	d, err := migrateimmudb.WithInstance(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	dt.Test(t, d, []byte(upUsers))
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Ping(); err != nil {
		t.Errorf("Close closed the caller's database: %v", err)
	}
}

func TestUpDownGotoForce(t *testing.T) {
	dsn := freshDSN(t)
	db := openDB(t, dsn)
	m := open(t, migrations(createUsers, addMail, createPets), dsn)
	wantVersion(t, m, -1, false)
	wantTables(t, db)
	for _, step := range []struct {
		name    string
		do      func() error
		version int
		tables  []string
	}{
		{"up", m.Up, 3, []string{"pets", "users"}},
		{"goto 1", func() error { return m.Migrate(1) }, 1, []string{"users"}},
		{"up by one", func() error { return m.Steps(1) }, 2, []string{"users"}},
		{"down", m.Down, -1, nil},
		{"force 2", func() error { return m.Force(2) }, 2, nil},
		{"up from there", m.Up, 3, []string{"pets"}},
		{"drop", m.Drop, -1, nil},
		{"up after drop", m.Up, 3, []string{"pets", "users"}},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		t.Log(step.name)
		wantVersion(t, m, step.version, false)
		wantTables(t, db, step.tables...)
	}
	if err := m.Up(); !errors.Is(err, migrate.ErrNoChange) {
		t.Errorf("up again: %v, want ErrNoChange", err)
	}
}

func TestHistoryTellsEveryVersion(t *testing.T) {
	dsn := freshDSN(t)
	m := open(t, migrations(createUsers, addMail), dsn)
	if err := errors.Join(m.Up(), m.Steps(-1)); err != nil {
		t.Fatal(err)
	}
	got := list[int](t, openDB(t, dsn), `SELECT "version" FROM (HISTORY OF "schema_migrations") WHERE "dirty" = false`)
	if !slices.Equal(got, []int{1, 2, 1}) {
		t.Errorf("versions %v, want [1 2 1]", got)
	}
}

func TestFailedMigrationIsDirtyAndCommitsNothing(t *testing.T) {
	for _, row := range []struct {
		name, text, says string
		is               error
	}{
		{"a statement that the server refuses", "CREATE TABLE a (id INTEGER, PRIMARY KEY id);\n\nINSERT INTO pets (id) VALUES (1), (1);", "statement 2 of 2, line 3", immudb.ErrDuplicateKey},
		{"a syntax error", "CREATE TABLE a (id INTEGER, PRIMARY KEY id);\nNONSENSE;", "line 2, column 1", immudb.ErrSyntax},
		{"a syntax error inside BEGIN and COMMIT", "BEGIN;\nCREATE TABLE a (id INTEGER, PRIMARY KEY id);\nNONSENSE;\nCOMMIT;", "line 3, column 1", immudb.ErrSyntax},
		{"the same words in a comment before", "-- CREATE TABLE a; DROP TABLE x\n/* DROP TABLE x */ CREATE TABLE a (id INTEGER, PRIMARY KEY id);\n-- DROP TABLE x\n DROP TABLE x;", "statement 2 of 2, line 4", immudb.ErrNoSuchTable},
		{"a string that is not closed", "CREATE TABLE a (id INTEGER, PRIMARY KEY id); INSERT INTO a VALUES ('", "line 1", nil},
		{"what the driver refuses", "CREATE TABLE a (id INTEGER, PRIMARY KEY id); ALTER TABLE a ALTER COLUMN id SET NOT NULL", "ALTER COLUMN", immudb.ErrUnsupported},
		{"more entries than a transaction holds", "CREATE TABLE a (id INTEGER, PRIMARY KEY id)" + insertMany(1100), "x-multi-statement=true", immudb.ErrTooManyEntries},
		{"COMMIT in the middle", "CREATE TABLE a (id INTEGER, PRIMARY KEY id);\nCOMMIT;\nSELECT 1", "line 2: COMMIT", nil},
		{"a savepoint", "CREATE TABLE a (id INTEGER, PRIMARY KEY id); SAVEPOINT x", "SAVEPOINT", nil},
		{"USE", "CREATE TABLE a (id INTEGER, PRIMARY KEY id); USE defaultdb", "USE", nil},
		{"an argument that nobody gives", "CREATE TABLE a (id INTEGER, PRIMARY KEY id); INSERT INTO a (id) VALUES (?)", "arguments", nil},
		{"BEGIN around what no transaction holds", "BEGIN; CREATE TABLE a (id INTEGER, PRIMARY KEY id);\nCREATE DATABASE x; COMMIT", "line 2", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			dsn := freshDSN(t)
			m := open(t, migrations(createPets, row.text), dsn)
			err := m.Up()
			if err == nil || !strings.Contains(err.Error(), row.says) || row.is != nil && !errors.Is(err, row.is) {
				t.Errorf("err = %v, want %v saying %q", err, row.is, row.says)
			}
			if n := strings.Count(fmt.Sprint(err), "immudb: ") - strings.Count(fmt.Sprint(err), "migrateimmudb: "); n > 1 {
				t.Errorf("the driver's name is there %d times: %v", n, err)
			}
			wantVersion(t, m, 2, true)
			wantTables(t, openDB(t, dsn), "pets")
			if err := m.Up(); !errors.As(err, new(migrate.ErrDirty)) {
				t.Errorf("up on a dirty database: %v, want ErrDirty", err)
			}

			// The way to clean up afterwards.
			if err := m.Force(1); err != nil {
				t.Fatal(err)
			}
			corrected := open(t, migrations(createPets, "CREATE TABLE b (id INTEGER, PRIMARY KEY id)"), dsn)
			if err := corrected.Up(); err != nil {
				t.Fatal(err)
			}
			wantVersion(t, corrected, 2, false)
		})
	}
}

// insertMany inserts n rows in statements of a hundred.
func insertMany(n int) string {
	var b strings.Builder
	for i := range n {
		if i%100 == 0 {
			b.WriteString(";\nINSERT INTO a (id) VALUES ")
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(%d)", i)
	}
	return b.String()
}

func TestMultiStatementCommitsEachStatementAndSaysWhereItStopped(t *testing.T) {
	dsn := freshDSN(t, "x-multi-statement=true")
	db := openDB(t, dsn)
	m := open(t, migrations("CREATE TABLE a (id INTEGER, PRIMARY KEY id)"+insertMany(1100),
		"CREATE TABLE b (id INTEGER, PRIMARY KEY id);\nCREATE TABLE c (id INTEGER, PRIMARY KEY id);\nINSERT INTO a (id) VALUES (1);\nCREATE TABLE d (id INTEGER, PRIMARY KEY id)"), dsn)
	err := m.Up()
	var stopped *migrateimmudb.StatementError
	if !errors.As(err, &stopped) || stopped.Statement != 3 || stopped.Statements != 4 || stopped.Line != 3 || stopped.Committed != 2 ||
		!errors.Is(err, immudb.ErrDuplicateKey) {
		t.Errorf("err = %v, want ErrDuplicateKey at statement 3 of 4 on line 3 with 2 committed", err)
	}
	wantVersion(t, m, 2, true)
	wantTables(t, db, "a", "b", "c")
	if got := list[int](t, db, "SELECT COUNT(*) FROM a"); got[0] != 1100 {
		t.Errorf("%d rows, want 1100", got[0])
	}
	if got := list[int](t, db, `SELECT "statements" FROM "schema_migrations"`); !slices.Equal(got, []int{2}) {
		t.Errorf("statements committed: %v, want [2]", got)
	}
}

func TestMultiStatementHonoursBeginAndCommit(t *testing.T) {
	dsn := freshDSN(t, "x-multi-statement=true")
	m := open(t, migrations("BEGIN; CREATE TABLE a (id INTEGER, PRIMARY KEY id); NONSENSE; COMMIT"), dsn)
	if err := m.Up(); !errors.Is(err, immudb.ErrSyntax) {
		t.Errorf("err = %v, want ErrSyntax", err)
	}
	wantTables(t, openDB(t, dsn))
}

func TestStatementsThatNoTransactionHoldsRunByThemselves(t *testing.T) {
	dsn := freshDSN(t)
	db := openDB(t, dsn)
	m := open(t, migrations(`CREATE TABLE a (id INTEGER AUTO_INCREMENT, v VARCHAR, PRIMARY KEY id);
INSERT INTO a (v) VALUES ('x');
INSERT INTO a (v) SELECT v FROM a;
CREATE USER migrated WITH PASSWORD 'M1grated!pass' READ;
CREATE TABLE b (id INTEGER, PRIMARY KEY id)`,
		"CREATE USER migrated WITH PASSWORD 'M1grated!pass' READ"), dsn)
	if err := m.Steps(1); err != nil {
		t.Fatal(err)
	}
	wantVersion(t, m, 1, false)
	wantTables(t, db, "a", "b")
	if got := list[int](t, db, "SELECT COUNT(*) FROM a"); got[0] != 2 {
		t.Errorf("%d rows, want 2", got[0])
	}
	err := m.Steps(1)
	if err == nil || strings.Contains(err.Error(), "M1grated") || !strings.Contains(err.Error(), "nothing of the migration is committed") {
		t.Errorf("err = %v, want one that does not hold the password", err)
	}
	wantVersion(t, m, 2, true)
}

func TestStatementTimeoutStopsTheMigration(t *testing.T) {
	dsn := freshDSN(t, "x-statement-timeout=1ns")
	m := open(t, migrations("CREATE TABLE a (id INTEGER, PRIMARY KEY id)"), dsn)
	if err := m.Up(); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "x-statement-timeout") {
		t.Errorf("err = %v, want DeadlineExceeded naming x-statement-timeout", err)
	}
	wantVersion(t, m, 1, true)
	wantTables(t, openDB(t, dsn))
}

func TestEmptyMigrationsCount(t *testing.T) {
	m := open(t, migrations("-- nothing to do\n", "", "\ufeffCREATE TABLE a (id INTEGER, PRIMARY KEY id);"), freshDSN(t))
	if err := m.Up(); err != nil {
		t.Fatal(err)
	}
	wantVersion(t, m, 3, false)
}

func TestHeldLockIsRefusedNamingItsHolder(t *testing.T) {
	dsn := freshDSN(t, "x-lock-timeout=300ms")
	first, second := openDriver(t, dsn), openDriver(t, dsn)
	if err := first.Lock(); err != nil {
		t.Fatal(err)
	}
	if err := second.Lock(); !errors.Is(err, database.ErrLocked) || !strings.Contains(err.Error(), "held by process ") {
		t.Errorf("err = %v, want ErrLocked naming the process", err)
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := first.Unlock(); !errors.Is(err, database.ErrNotLocked) {
		t.Errorf("Unlock twice: %v, want ErrNotLocked", err)
	}
	if err := second.Lock(); err != nil {
		t.Errorf("after Unlock: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if err := first.Lock(); err != nil {
		t.Errorf("after Close of the holder: %v", err)
	}
}

func openDriver(t *testing.T, dsn string) database.Driver {
	t.Helper()
	d, err := database.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestDropDropsEveryTableOfThisDatabaseOnly(t *testing.T) {
	here, there := freshDSN(t), freshDSN(t)
	elsewhere := openDB(t, there)
	mustExec(t, elsewhere, "CREATE TABLE users (id INTEGER, PRIMARY KEY id)")
	db := openDB(t, here)
	for range 4 { // more columns than fit into one transaction
		var b strings.Builder
		for range 15 {
			fmt.Fprintf(&b, "CREATE TABLE t%d (id INTEGER%s, PRIMARY KEY id);", time.Now().UnixNano(), columns(20))
		}
		mustExec(t, db, b.String())
	}
	mustExec(t, db, `CREATE TABLE checked (id INTEGER, a INTEGER, b INTEGER, CHECK id > 0, CHECK a > 0,
		CONSTRAINT c1 CHECK b > a, CONSTRAINT c2 CHECK b < 100, PRIMARY KEY id)`) // the server cannot drop it in one go
	mustExec(t, db, `CREATE TABLE Users (id INTEGER, PRIMARY KEY id); CREATE TABLE "select" (id INTEGER, PRIMARY KEY id)`) // USERS and SELECT are keywords
	m := open(t, migrations(createPets), here)
	if err := errors.Join(m.Up(), m.Drop()); err != nil {
		t.Fatal(err)
	}
	if got := list[string](t, db, "SELECT name FROM TABLES()"); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
	wantTables(t, elsewhere, "users")
}

func columns(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ", c%d INTEGER", i)
	}
	return b.String()
}

func TestForeignTableOfTheSameNameIsRefused(t *testing.T) {
	dsn := freshDSN(t)
	mustExec(t, openDB(t, dsn), "CREATE TABLE schema_migrations (version INTEGER, dirty BOOLEAN, PRIMARY KEY version)")
	m := open(t, migrations(createPets), dsn)
	if err := m.Up(); !errors.Is(err, immudb.ErrNoSuchColumn) || !strings.Contains(err.Error(), "x-migrations-table") {
		t.Errorf("err = %v, want ErrNoSuchColumn naming x-migrations-table", err)
	}
	other := open(t, migrations(createPets), withOptions(t, dsn, "x-migrations-table=My_Versions"))
	if err := other.Up(); err != nil {
		t.Error(err)
	}
	wantVersion(t, other, 1, false)
}
