package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

type answer struct {
	status      int
	out, errOut string
}

// call runs the program with the given standard input.
func call(t *testing.T, stdin string, args ...string) answer {
	t.Helper()
	var out, errOut bytes.Buffer
	status := run(t.Context(), args, strings.NewReader(stdin), &out, &errOut)
	return answer{status, out.String(), errOut.String()}
}

func TestCommandsOnADatabase(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"1_users.up.sql":   "CREATE TABLE users (id INTEGER, PRIMARY KEY id);",
		"1_users.down.sql": "DROP TABLE users;",
		"2_pets.up.sql":    "CREATE TABLE pets (id INTEGER, PRIMARY KEY id);",
		"2_pets.down.sql":  "DROP TABLE pets;",
		"3_wrong.up.sql":   "CREATE TABLE wrong (id INTEGER, PRIMARY KEY id);\nDROP TABLE missing;",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(databaseVariable, dsn)
	for _, row := range []struct {
		args   string
		stdin  string
		status int
		says   string // on standard error
		prints string // on standard output
	}{
		{args: "version", status: statusFailed, says: "no migration"},
		{args: "up 1", says: "1/u users"},
		{args: "version", prints: "1\n"},
		{args: "goto 2", says: "2/u pets"},
		{args: "goto 2", says: "no change"},
		{args: "up", status: statusFailed, says: "statement 2 of 2, line 2"},
		{args: "version", prints: "3 (dirty)\n"},
		{args: "up", status: statusFailed, says: "Dirty database version 3"},
		{args: "force 2"},
		{args: "version", prints: "2\n"},
		{args: "down 1", says: "2/d pets"},
		{args: "down", stdin: "no\n", status: statusFailed, says: "[y/N] error: not confirmed"},
		{args: "version", prints: "1\n"},
		{args: "down", stdin: "y\n", says: "1/d users"},
		{args: "up 2"},
		{args: "down -all", says: "1/d users"},
		{args: "up 1"},
		{args: "drop", stdin: "", status: statusFailed, says: "not confirmed"},
		{args: "drop -f"},
		{args: "version", status: statusFailed, says: "no migration"},
		{args: "force -1"},
		{args: "-verbose up 1", says: "Finished 1/u users"},
	} {
		a := call(t, row.stdin, append([]string{"-path", dir}, strings.Fields(row.args)...)...)
		if a.status != row.status || !strings.Contains(a.errOut, row.says) || a.out != row.prints {
			t.Fatalf("%s: status %d, %q, %q; want %d, %q, %q", row.args, a.status, a.out, a.errOut, row.status, row.prints, row.says)
		}
	}
}

func TestCommandLineThatIsNotUnderstood(t *testing.T) {
	t.Setenv(databaseVariable, "")
	for _, row := range []struct{ args, says string }{
		{"", "no command"},
		{"nonsense", `unknown command "nonsense"`},
		{"-nonsense up", "-nonsense"},
		{"up", "-path or -source"},
		{"-path x up", "-database or IMMUDB_MIGRATE_DATABASE"},
		{"-path x -database postgres://u:s3cr3t@h/d up", "beginning with immudb://"},
		{"-path x up one", `"one" is not a number`},
		{"-path x up -1", "-1"},
		{"-path x up 1 2", `unexpected argument "2"`},
		{"-path x down -all 1", `unexpected argument "1"`},
		{"-path x goto", "which version?"},
		{"-path x force", "which version?"},
		{"-path x force -2", "not a version"},
		{"-path x version 1", `unexpected argument "1"`},
		{"create", "the name of the migration"},
		{"create a b", "options come before the name"},
		{"create -seq -format unix a", "exclude each other"},
		{"create -tz Nowhere/Atall a", "-tz"},
		{"create ../a", "-dir"},
		{"create -seq -digits 0 a", "-digits"},
	} {
		a := call(t, "", strings.Fields(row.args)...)
		if a.status != statusUsage || !strings.Contains(a.errOut, row.says) || strings.Contains(a.errOut, "s3cr3t") {
			t.Errorf("%q: status %d, %s; want %d and %q", row.args, a.status, a.errOut, statusUsage, row.says)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	if a := call(t, "", "-help"); a.status != statusOK || !strings.Contains(a.errOut, "goto V") {
		t.Errorf("-help: %+v", a)
	}
	if a := call(t, "", "-version"); a.status != statusOK || a.out == "" {
		t.Errorf("-version: %+v", a)
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	a := call(t, "", "-path", t.TempDir(), "-database", "immudb://u:s3cr3t@127.0.0.1:1/d?connect_timeout=1", "up")
	if a.status != statusFailed || strings.Contains(a.errOut, "s3cr3t") || !strings.Contains(a.errOut, "127.0.0.1:1") {
		t.Errorf("%+v", a)
	}
}

func TestSignalStopsBetweenMigrations(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "1_a.up.sql"), []byte("CREATE TABLE a (id INTEGER, PRIMARY KEY id)"), 0o666); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what a signal does
	var out, errOut bytes.Buffer
	status := run(ctx, []string{"-path", dir, "-database", testserver.Shared(t).NewDatabase(t), "up"}, strings.NewReader(""), &out, &errOut)
	if status != statusFailed || !strings.Contains(errOut.String(), "stopped by a signal") {
		t.Errorf("status %d, %s", status, &errOut)
	}
}

func TestCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "migrations")
	for _, row := range []struct {
		args string
		name string // a pattern
	}{
		{"create -seq users", `^000001_users\.up\.sql$`},
		{"create -seq -digits 6 pets", `^000002_pets\.down\.sql$`},
		{"create -tz Europe/Vienna later", `^20\d{12}_later\.up\.sql$`},
		{"create -ext .txt -format unix other", `^\d{10}_other\.up\.txt$`},
		{"create -ext .txt -format 999999 last", `^999999_last\.up\.txt$`},
	} {
		if a := call(t, "", append([]string{"-path", dir}, strings.Fields(row.args)...)...); a.status != statusOK || !strings.Contains(a.errOut, dir) {
			t.Fatalf("%s: %+v", row.args, a)
		}
		if !hasFile(t, dir, row.name) {
			t.Errorf("%s made no %s", row.args, row.name)
		}
	}
	if a := call(t, "", "-path", dir, "create", "-seq", "-digits", "1", "more"); a.status != statusFailed {
		t.Errorf("a version with too many digits: %+v", a)
	}
	if a := call(t, "", "-path", dir, "create", "-ext", "txt", "-format", "999999", "again"); a.status != statusFailed || !strings.Contains(a.errOut, "already") {
		t.Errorf("a version that is taken: %+v", a)
	}
}

func hasFile(t *testing.T, dir, pattern string) bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if regexp.MustCompile(pattern).MatchString(e.Name()) {
			return true
		}
	}
	return false
}
