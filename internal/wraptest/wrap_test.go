package wraptest

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

// After the tests no session may be open and no goroutine of the driver's may run,
// also where the wrapper hides that a connector can be closed.
func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

const page = "../../docs/wrappers.md"

// The page names for each wrapper the checks that fail behind it. It is written anew
// with IMMUDB_WRITE_DOCS=1.
func TestEveryCheckPassesBehindEveryWrapperOrIsNamedOnThePage(t *testing.T) {
	var table strings.Builder
	table.WriteString("| Package | Opened by | Checks passed | Do not pass |\n|---|---|---|---|\n")
	for _, w := range wrappers {
		var failed []string
		dsn := freshDSN(t)
		db := open(t, w, dsn)
		for i, c := range checks {
			if i > 0 && w.oneTx {
				if err := db.Close(); err != nil {
					t.Errorf("%s %s: Close: %v", w.pkg, w.call, err)
				}
				db = open(t, w, dsn)
			}
			if err := run(c, db); err != nil {
				t.Logf("%s %s: %s: %v", w.pkg, w.call, c.name, err)
				failed = append(failed, c.name)
			}
		}
		if err := db.Close(); err != nil {
			t.Errorf("%s %s: Close: %v", w.pkg, w.call, err)
		}
		fmt.Fprintf(&table, "| %s | `%s` | %d of %d | %s |\n", w.pkg, w.call, len(checks)-len(failed), len(checks), strings.Join(failed, ", "))
		if w.pkg == "none" && len(failed) > 0 {
			t.Errorf("without a wrapper these checks fail: %q", failed)
		}
	}
	compare(t, table.String())
}

// freshDSN makes a database of its own, with the tables of the checks.
func freshDSN(t *testing.T) string {
	t.Helper()
	dsn := dbtest.FreshDSN(t, "verify=trust-first-use")
	setup := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, setup, "CREATE TABLE w (id INTEGER, s VARCHAR, n INTEGER, j JSON, u UUID, t TIMESTAMP, b BLOB, PRIMARY KEY id)")
	dbtest.Exec(t, setup, "CREATE TABLE wa (id INTEGER AUTO_INCREMENT, s VARCHAR, PRIMARY KEY id)")
	dbtest.Exec(t, setup, "CREATE TABLE wt (id INTEGER, PRIMARY KEY id)")
	return dsn
}

func open(t *testing.T, w wrapper, dsn string) *sql.DB {
	t.Helper()
	db, err := w.open(dsn)
	if err != nil {
		t.Fatalf("%s %s: %v", w.pkg, w.call, err)
	}
	return db
}

// run runs a check. A panic of a wrapper is an error of it.
func run(c check, db *sql.DB) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return c.f(db)
}

const (
	tableBegin = "<!-- table: written by internal/wraptest -->\n"
	tableEnd   = "<!-- end of table -->\n"
)

// compare compares the table with the one on the page, or writes it there.
func compare(t *testing.T, table string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	written, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", page)
	}
	if written == table {
		return
	}
	if os.Getenv("IMMUDB_WRITE_DOCS") == "" {
		t.Fatalf("%s differs; measured:\n%s", page, table)
	}
	if err := os.WriteFile(page, []byte(before+tableBegin+table+tableEnd+after), 0o666); err != nil {
		t.Fatal(err)
	}
}
