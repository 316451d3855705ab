package goosetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// change is a change of a file: old is replaced by new. It must be there the given number
// of times.
type change struct {
	old, new string
	times    int
}

var changes = map[string][]change{
	"provider_run_test.go": {
		{old: "goose.NewProvider(goose.DialectSQLite3, ", new: "newProvider(", times: 14},
		{old: `func newDB(t *testing.T) *sql.DB {
	t.Helper()
	dbName := fmt.Sprintf("test_%s.db", randomAlphaNumeric(8))
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), dbName))
	require.NoError(t, err)
	return db
}
`, times: 1},
		{old: `	dbName := fmt.Sprintf("test_%s.db", randomAlphaNumeric(8))
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), dbName))
	require.NoError(t, err)
`, new: "\tdb := newDB(t)\n", times: 1},
		{old: `database.NewStore(database.DialectSQLite3, goose.DefaultTablename)`, new: `database.Store(gooseimmudb.NewStore(goose.DefaultTablename, nil)), error(nil)`, times: 1},
		{old: `	"github.com/stretchr/testify/require"`, new: "\t\"github.com/immudb-go/immudb/gooseimmudb\"\n\t\"github.com/stretchr/testify/require\"", times: 1},
		{old: "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type='table' AND name=?) AS table_exists", new: "SELECT EXISTS (SELECT 1 FROM TABLES() WHERE name=?) AS table_exists", times: 1},
		{old: "SELECT name FROM sqlite_master WHERE type='table' ORDER BY name", new: "SELECT name FROM TABLES() WHERE name <> 'goose_lock' ORDER BY name", times: 1},
		{old: "SELECT CASE WHEN COUNT(*) > 0 THEN 1 ELSE 0 END AS table_exists FROM sqlite_master WHERE type = 'table' AND name = '%s'",
			new: "SELECT COUNT(*) FROM TABLES() WHERE name = '%s'", times: 1},
		{old: "SQL logic error: no such table: invalid_table (1)", new: "table does not exist (invalid_table)", times: 2},
		{old: "\t\t\"sqlite_sequence\",\n", times: 1},
		{old: `goose.DefaultTablename, "sqlite_sequence"}`, new: `goose.DefaultTablename}`, times: 1},
		{old: "CREATE TABLE owners ( owner_name TEXT NOT NULL )", new: "CREATE TABLE owners ( owner_id INTEGER AUTO_INCREMENT PRIMARY KEY, owner_name VARCHAR NOT NULL )", times: 1},
		{old: " TEXT NOT NULL", new: " VARCHAR NOT NULL", times: 5},
	},
	"testdata/no-versioning/migrations/00001_a.sql": {
		{old: "PRIMARY KEY AUTOINCREMENT", new: "AUTO_INCREMENT PRIMARY KEY", times: 1},
		{old: " TEXT ", new: " VARCHAR ", times: 1},
	},
	"testdata/no-versioning/migrations/00002_b.sql": nil,
	"testdata/no-versioning/migrations/00003_c.sql": nil,
	"testdata/no-versioning/seed/00001_a.sql": {{times: 1, new: "VALUES " + owners(1, 100), old: `WITH numbers AS (
    SELECT 1 AS n
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 100
)
SELECT 'seed-user-' || n FROM numbers`}},
	"testdata/no-versioning/seed/00002_b.sql": {{times: 1, new: "VALUES " + owners(101, 250), old: `WITH numbers AS (
    SELECT 101 AS n
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 250
)
SELECT 'seed-user-' || n FROM numbers`}},
}

func owners(from, to int) string {
	var rows []string
	for n := from; n <= to; n++ {
		rows = append(rows, fmt.Sprintf("('seed-user-%d')", n))
	}
	return strings.Join(rows, ", ")
}

// adapt writes the tests of goose and their files into a directory, changed, with the file that
// opens databases of the server.
func adapt(t *testing.T, dir string) {
	t.Helper()
	var stderr strings.Builder
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/pressly/goose/v3")
	list.Stderr = &stderr
	goose, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	for name, changes := range changes {
		content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(goose)), filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		text := string(content)
		for _, c := range changes {
			if n := strings.Count(text, c.old); n != c.times {
				t.Errorf("%s: %q is there %d times, want %d: it is another release", name, c.old, n, c.times)
			}
			text = strings.ReplaceAll(text, c.old, c.new)
		}
		write(t, filepath.Join(dir, filepath.FromSlash(name)), text)
	}
	opener, err := os.ReadFile("testdata/immudb_test.go")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "immudb_test.go"), string(opener))
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
