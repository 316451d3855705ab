package ecotest

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const page = "../../docs/tools.md"

const intro = `# More ORMs and tools

What to write to use these with the driver. The lines are those that the tests in internal/ecotest run on a real server, which also write
this page. gorm, bun, ent, sqlx, sqlc, squirrel, goqu and the migration tools are in [orms.md](orms.md).

Errors are the driver's: ` + "`errors.Is(err, immudb.ErrDuplicateKey)`" + ` holds through all of the ORMs. Create the tables with a migration: the SQL
that these tools write for it is another database's.
`

// sections are those of the page. The code of each is the file of its name in lower case.
var sections = []struct{ name, file, module, works, not string }{
	{"xorm", "xorm", "xorm.io/xorm", "Insert with the generated key, of slices too, Get, Find with conditions and limits, Count, Update, Delete, sessions with transactions, created times",
		"Sync and DBMetas, which read PostgreSQL's catalog"},
	{"gorp", "gorp", "github.com/go-gorp/gorp/v3", "Insert with the generated key, Get, Update and Delete with a version column, Select with named arguments, transactions, TruncateTables, DropTables",
		"CreateTables: its column types are PostgreSQL's"},
	{"dbr", "dbr", "github.com/gocraft/dbr/v2", "InsertInto of values and records, Returning, Select with conditions, Update, DeleteFrom, transactions", "dbr.Open, which knows no driver but its own"},
	{"bob", "bob", "github.com/stephenafamo/bob", "its psql dialect: queries with RETURNING, conditions, ON CONFLICT DO NOTHING, scanning into structs, transactions",
		"ON CONFLICT with columns, which is a syntax error"},
	{"scany", "scany", "github.com/georgysavva/scany/v2", "Select and Get into structs and values, with ? and $1, NotFound", ""},
	{"go-sqlbuilder", "sqlbuilder", "github.com/huandu/go-sqlbuilder", "the builders and structs of the flavors PostgreSQL and SQLite", ""},
	{"testfixtures", "testfixtures", "github.com/go-testfixtures/testfixtures/v3", "loading a directory, with times, NULL and bytes; all fixtures together at most 1,024 rows",
		"a key of an AUTO_INCREMENT table a second time, since the server takes only keys higher than those it has had: leave the key out, or use a new database for each test (immudbtest)"},
	{"casbin", "casbin", "github.com/casbin/casbin/v2", "github.com/Blank-Xu/sql-adapter: policies added, updated, removed, loaded and saved, roles",
		"SavePolicy of more than 1,024 rules: it is one transaction"},
}

// The page is written anew with IMMUDB_WRITE_DOCS=1.
func TestThePageIsWhatTheTestsRun(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	must(t, err)
	var b strings.Builder
	b.WriteString(intro)
	for _, s := range sections {
		version := regexp.MustCompile(`(?m)^\s` + regexp.QuoteMeta(s.module) + ` (\S+)$`).FindSubmatch(mod)
		source, err := os.ReadFile(s.file + ".go")
		must(t, err)
		if version == nil {
			t.Fatalf("go.mod does not require %s", s.module)
		}
		code := strings.TrimPrefix(string(source), "package ecotest\n\n")
		// Not "go": the modules are not among those of the test that compiles the other pages.
		b.WriteString("\n## " + s.name + "\n\n" + s.module + " " + string(version[1]) + ". Tested: " + s.works + ".")
		if s.not != "" {
			b.WriteString(" Not: " + s.not + ".")
		}
		b.WriteString("\n\n```golang\n" + code + "```\n")
	}
	if os.Getenv("IMMUDB_WRITE_DOCS") != "" {
		must(t, os.WriteFile(page, []byte(b.String()), 0o644))
	}
	have, err := os.ReadFile(page)
	if err != nil || string(have) != b.String() {
		t.Errorf("docs/tools.md is not what the tests run: IMMUDB_WRITE_DOCS=1 go test ./internal/ecotest writes it (%v)", err)
	}
}
