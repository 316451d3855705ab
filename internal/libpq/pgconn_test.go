package libpq

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The test fails if a new version of pgconn reads another variable: pgconnSettings must
// override each variable that pgconn documents or reads.
func TestEveryVariableOfPgconnIsOverruled(t *testing.T) {
	source := pgconnSource(t)
	pairs := regexp.MustCompile(`"(PG[A-Z_]+)":\s+"([a-z_]+)"`).FindAllStringSubmatch(source, -1)
	if len(pairs) < 20 {
		t.Fatalf("found only %d variables in pgconn: has it moved its table?", len(pairs))
	}
	harmless := []string{
		"user",                   // always given
		"service", "servicefile", // Parse points them at an empty file
		"application_name", "timezone", "options", // run-time parameters of PostgreSQL, not read here
	}
	for _, p := range pairs {
		if _, ok := pgconnSettings[p[2]]; !ok && !slices.Contains(harmless, p[2]) {
			t.Errorf("%s sets %s, which Parse leaves open", p[1], p[2])
		}
	}
}

// pgconnSource is the text of pgconn's config.go.
func pgconnSource(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/jackc/pgx/v5/pgconn").Output()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config.go"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
