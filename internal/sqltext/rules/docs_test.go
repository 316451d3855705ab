package rules

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The page of the documentation holds the table of rules between these lines.
const (
	page  = "../../../docs/sql.md"
	begin = "<!-- the rules -->\n\n"
	end   = "\n<!-- end of the rules -->"
)

func table() string {
	var b strings.Builder
	b.WriteString("| Rule | About | Why, and what to write |\n|---|---|---|\n")
	for _, r := range All() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Name, r.Construct, r.Reason)
	}
	return b.String()
}

// IMMUDB_WRITE_DOCS=1 writes the table.
func TestTheDocumentationHasTheTableOfRules(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	got, after, foundEnd := strings.Cut(rest, end)
	if !found || !foundEnd {
		t.Fatalf("%s has no place for the rules", page)
	}
	if got == table() {
		return
	}
	if os.Getenv("IMMUDB_WRITE_DOCS") != "" {
		if err := os.WriteFile(page, []byte(before+begin+table()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("docs/sql.md does not hold the table of rules as it is: run this test with IMMUDB_WRITE_DOCS=1")
}
