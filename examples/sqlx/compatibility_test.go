package main

import (
	"os"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/immudb-go/immudb/internal/testserver"
)

// The block of SQL in COMPATIBILITY.md is run. A line that begins with --> tells the
// columns of the query before it.
func TestServerAnswersAsCompatibilityTells(t *testing.T) {
	page, err := os.ReadFile("COMPATIBILITY.md")
	if err != nil {
		t.Fatal(err)
	}
	db := sqlx.MustOpen("immudb", testserver.Shared(t).NewDatabase(t))
	defer db.Close()
	_, block, _ := strings.Cut(string(page), "```sql\n")
	block, _, _ = strings.Cut(block, "```")
	statement, answers := "", 0
	for line := range strings.Lines(block) {
		line = strings.TrimSuffix(line, "\n")
		want, isAnswer := strings.CutPrefix(line, "--> columns ")
		if !isAnswer {
			if statement = line; strings.HasPrefix(statement, "CREATE") {
				db.MustExec(statement)
			}
			continue
		}
		answers++
		rows, err := db.Query(statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		got, err := rows.Columns()
		if closed := rows.Close(); closed != nil || err != nil || strings.Join(got, ", ") != want {
			t.Errorf("%s: %q (%v), want %s", statement, got, err, want)
		}
	}
	if answers != 2 {
		t.Errorf("%d answers, want 2", answers)
	}
}
