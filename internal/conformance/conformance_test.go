// Package conformance runs one table of checks on each released server that the driver
// supports, and writes what came of it into docs/servers.md.
package conformance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// versions are the servers, the oldest first. The last has everything.
var versions = []string{"v1.9.5", "v1.10.0", "v1.11.1"}

// A check succeeds, or fails with an ErrUnsupported that says what the server lacks; docs/servers.md says which.
// IMMUDB_WRITE_DOCS=1 writes the table.
func TestEachReleasedServerDoesWhatTheTableSays(t *testing.T) {
	results := make([]map[string]string, len(versions)) // by version and check: "" or why not
	for i, version := range versions {
		results[i] = map[string]string{}
		t.Run(version, func(t *testing.T) { runAll(t, version, results[i]) })
	}
	if !t.Failed() {
		compare(t, "../../docs/servers.md", table(results))
	}
}

func runAll(t *testing.T, version string, results map[string]string) {
	srv := testserver.StartVersion(t, version)
	cfg, err := immudb.ParseDSN(srv.Info().DSN)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Verify.TrustFirstUse = true
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	for i, c := range checks {
		t.Run(c.group+" "+c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s := &subject{ctx: ctx, db: db, cfg: cfg, t: fmt.Sprintf("t%d", i), restart: func() error { return errors.Join(srv.Stop(), srv.Restart()) }}
			if err := s.exec("CREATE TABLE {t} (id INTEGER AUTO_INCREMENT, name VARCHAR[20], PRIMARY KEY id)"); err != nil {
				t.Fatal(err)
			}
			err := c.run(s)
			switch {
			case err == nil:
			case errors.Is(err, immudb.ErrUnsupported) && version != versions[len(versions)-1]:
				results[key(c)] = strings.TrimPrefix(err.Error(), "immudb: ")
			default:
				t.Error(err)
			}
		})
	}
}

func key(c check) string { return c.group + "\x00" + c.name }

// table is the part of the page that the checks tell.
func table(results []map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| | %s |\n|---|%s\n", strings.Join(versions, " | "), strings.Repeat("---|", len(versions)))
	var notes []string
	for _, c := range checks {
		fmt.Fprintf(&b, "| %s: %s |", c.group, c.name)
		for i := range versions {
			why := results[i][key(c)]
			if why == "" {
				b.WriteString(" yes |")
				continue
			}
			at := -1
			for n, note := range notes {
				if note == why {
					at = n
				}
			}
			if at < 0 {
				at = len(notes)
				notes = append(notes, why)
			}
			fmt.Fprintf(&b, " no (%d) |", at+1)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for n, note := range notes {
		fmt.Fprintf(&b, "%d. `%s`\n", n+1, note)
	}
	return b.String() + "\n"
}

func compare(t *testing.T, page, want string) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- checks -->\n\n", "<!-- end of checks -->"
	before, rest, found := strings.Cut(string(text), begin)
	got, after, foundEnd := strings.Cut(rest, end)
	switch {
	case !found || !foundEnd:
		t.Fatalf("%s has no place for the checks", page)
	case got == want:
	case os.Getenv("IMMUDB_WRITE_DOCS") == "":
		t.Errorf("docs/servers.md does not hold the checks as they came out: run this test with IMMUDB_WRITE_DOCS=1\n%s", want)
	default:
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
