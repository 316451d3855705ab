package goosetest

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	// What the tests of goose import is required by this module.
	_ "github.com/pressly/goose/v3"
	_ "github.com/stretchr/testify/require"

	_ "github.com/immudb-go/immudb/gooseimmudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// All tests of goose's provider that open a database, but that of SQLite's shared cache.
const which = "^(TestProviderRun|TestConcurrentProvider|TestNoVersioning|TestAllowMissing|TestGoMigrationPanic|TestCustomStoreTableExists|TestProviderApply|TestPending|TestGoOnly)$"

// passing is how many of them pass, each subtest counted.
const passing = 25

// One test gives goose a pool of a single connection. The lock is renewed on a second one, and the
// locker says so.
const (
	refused = "TestProviderRun/sql_connections/single_conn"
	refusal = "the lock is renewed on a second connection: set SetMaxOpenConns to 2 or more"
)

// The tests are read from the module of goose that go.mod names; the repository holds no copy of them.
// They open a database of their own with gooseimmudb in place of SQLite, and their migrations get the
// server's types and primary keys, and values in place of recursive queries. Each change must find
// its text, so that another release of goose is not run by mistake.
func TestGoosesTestsOfItsProviderPass(t *testing.T) {
	dir := t.TempDir()
	adapt(t, dir)
	cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "-count=1", "-timeout=10m", "-run", which,
		filepath.Join(dir, "provider_run_test.go"), filepath.Join(dir, "immudb_test.go"))
	cmd.Env = append(os.Environ(), "IMMUDB_DSN="+dbtest.FreshDSN(t))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	events, exit := cmd.Output() // an error too where a test fails
	ended, output := read(t, events)
	passed := 0
	for _, test := range slices.Sorted(maps.Keys(ended)) {
		switch {
		case ended[test] == "pass":
			passed++
		case test != refused || !strings.Contains(output[test], refusal):
			t.Errorf("%s: %s\n%s", test, ended[test], output[test])
		}
	}
	if passed != passing || ended[refused] != "fail" {
		t.Errorf("%d tests passed, want %d, and %s %q, want it to fail: go test: %v\n%s%s", passed, passing, refused, ended[refused], exit, output[""], &stderr)
	}
}

// read reads the events of go test -json: how each test ended that has no subtests, and what
// it printed.
func read(t *testing.T, events []byte) (ended, output map[string]string) {
	t.Helper()
	ended, output = make(map[string]string), make(map[string]string)
	for d := json.NewDecoder(bytes.NewReader(events)); ; {
		var e struct{ Action, Test, Output string }
		if err := d.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, events)
		}
		output[e.Test] += e.Output
		if e.Test != "" && slices.Contains([]string{"pass", "fail", "skip"}, e.Action) {
			ended[e.Test] = e.Action
		}
	}
	maps.DeleteFunc(ended, func(test, _ string) bool {
		for other := range ended {
			if path.Dir(other) == test {
				return true
			}
		}
		return false
	})
	return ended, output
}
