package entimmudb_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	_ "github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// Every block of SQL in COMPATIBILITY.md is run, and its tables are dropped after it. A line that begins with
// --> holds the answer to the statement before it: "error: " and a part of the error,
// "1 row" for a count, else the rows.
func TestServerAnswersAsCompatibilityTells(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("COMPATIBILITY.md")
	must(t, err)
	db := got(sql.Open("immudb", testserver.Shared(t).NewDatabase(t)))(t)
	defer db.Close()
	blocks := 0
	for part := range strings.SplitSeq(string(doc), "\n## ") {
		title, _, _ := strings.Cut(part, "\n")
		_, block, found := strings.Cut(part, "```sql\n")
		block, _, closed := strings.Cut(block, "```")
		if found && closed {
			blocks++
			t.Run(title, func(t *testing.T) { runBlock(t, db, strings.Split(strings.TrimSpace(block), "\n")) })
		}
	}
	if blocks < 9 {
		t.Errorf("found %d blocks of SQL, want at least 9", blocks)
	}
}

func runBlock(t *testing.T, db *sql.DB, lines []string) {
	defer func() {
		_, err := db.Exec("DROP TABLE IF EXISTS pets; DROP TABLE IF EXISTS users")
		must(t, err)
	}()
	conn := got(db.Conn(t.Context()))(t)
	defer conn.Close()
	var on runner = conn
	for i, line := range lines {
		statement, isStatement := strings.CutSuffix(line, ";")
		switch {
		case !isStatement:
			continue
		case statement == "BEGIN":
			tx := got(conn.BeginTx(t.Context(), nil))(t)
			defer tx.Rollback()
			on = tx
			continue
		}
		answer, err := ask(t.Context(), on, statement)
		if err != nil {
			answer = "error: " + err.Error()
		}
		want, told := "", false
		if i+1 < len(lines) {
			want, told = strings.CutPrefix(lines[i+1], "--> ")
		}
		failed := strings.HasPrefix(want, "error: ")
		if failed && !strings.Contains(answer, strings.TrimPrefix(want, "error: ")) || told && !failed && answer != want || !told && err != nil {
			t.Errorf("%s\nanswers %s\nwant    %s", statement, answer, want)
		}
	}
}

type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func ask(ctx context.Context, on runner, statement string) (string, error) {
	if !strings.HasPrefix(statement, "SELECT") {
		result, err := on.ExecContext(ctx, statement)
		if err != nil {
			return "", err
		}
		n, err := result.RowsAffected()
		return fmt.Sprintf("%d row", n), err
	}
	rows, err := on.QueryContext(ctx, statement)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var all []string
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		all = append(all, strings.Trim(fmt.Sprint(row), "[]"))
	}
	return strings.Join(all, " | "), rows.Err()
}
