package rules

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const page = "../../../docs/sql.md"

// tables are the tables of docs/sql.md. Each is between two lines with its name.
var tables = []struct {
	name  string
	rules []*Rule
}{{"the rules", All()}, {"the strict rules", Strict()}}

func table(rules []*Rule) string {
	var b strings.Builder
	b.WriteString("| Rule | About | Why, and what to write |\n|---|---|---|\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Name, r.Construct, r.Reason)
	}
	return b.String()
}

// With IMMUDB_WRITE_DOCS=1 the test writes the table.
func TestTheDocumentationHasTheTableOfRules(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	whole := string(text)
	for _, want := range tables {
		begin, end := "<!-- "+want.name+" -->\n\n", "\n<!-- end of "+want.name+" -->"
		before, rest, found := strings.Cut(whole, begin)
		got, after, foundEnd := strings.Cut(rest, end)
		switch {
		case !found || !foundEnd:
			t.Fatalf("%s has no place for %s", page, want.name)
		case got == table(want.rules):
		case os.Getenv("IMMUDB_WRITE_DOCS") == "":
			t.Errorf("docs/sql.md does not hold %s as they are: run this test with IMMUDB_WRITE_DOCS=1", want.name)
		default:
			whole = before + begin + table(want.rules) + end + after
			if err := os.WriteFile(page, []byte(whole), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
