package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"
)

// AnswersAsToldIn runs every block of SQL in a page, each section in a new database. A line that begins
// with --> holds the result of the statement before it: "error: " and a part of the error,
// "1 row" for a count, else the rows. Statements marked with "-- elsewhere" run on another
// connection. The page must have at least that many blocks.
func AnswersAsToldIn(t *testing.T, page string, atLeast int, open func(*testing.T) *sql.DB) {
	doc, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	for part := range strings.SplitSeq(string(doc), "\n## ") {
		title, _, _ := strings.Cut(part, "\n")
		_, block, found := strings.Cut(part, "```sql\n")
		if !found {
			continue
		}
		block, _, _ = strings.Cut(block, "```")
		blocks++
		t.Run(title, func(t *testing.T) { runBlock(t, open(t), block) })
	}
	if blocks < atLeast {
		t.Errorf("found %d blocks of SQL, want at least %d", blocks, atLeast)
	}
}

func runBlock(t *testing.T, db *sql.DB, block string) {
	defer db.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	conn, err := db.Conn(t.Context())
	must(err)
	defer conn.Close()
	var on runner = conn
	var tx *sql.Tx
	defer func() {
		if tx != nil {
			_ = tx.Rollback() // nothing is left to do if the block has ended it
		}
	}()
	lines := strings.Split(strings.TrimSpace(block), "\n")
	for i, line := range lines {
		line, elsewhere := strings.CutSuffix(line, " -- elsewhere")
		statement, isStatement := strings.CutSuffix(line, ";")
		if !isStatement {
			continue
		}
		want, told := "", false
		if i+1 < len(lines) {
			want, told = strings.CutPrefix(lines[i+1], "--> ")
		}
		got := ""
		switch {
		case elsewhere:
			got = answer(t.Context(), db, statement)
		case statement == "BEGIN":
			tx, err = conn.BeginTx(t.Context(), nil)
			must(err)
			on = tx
		case statement == "COMMIT":
			if err := tx.Commit(); err != nil {
				got = "error: " + err.Error()
			}
			on = conn
		case statement == "ROLLBACK":
			must(tx.Rollback())
			on = conn
		default:
			got = answer(t.Context(), on, statement)
		}
		part, isError := strings.CutPrefix(want, "error: ")
		switch {
		case isError && (!strings.HasPrefix(got, "error: ") || !strings.Contains(got, part)):
			t.Errorf("%s\nanswers %s\nwant    %s", statement, got, want)
		case !isError && told && got != want:
			t.Errorf("%s\nanswers %s\nwant    %s", statement, got, want)
		case !told && strings.HasPrefix(got, "error: "):
			t.Errorf("%s\nanswers %s", statement, got)
		}
	}
}

type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func answer(ctx context.Context, on runner, statement string) string {
	if !strings.HasPrefix(statement, "SELECT") {
		result, err := on.ExecContext(ctx, statement)
		if err != nil {
			return "error: " + err.Error()
		}
		n, err := result.RowsAffected()
		if err != nil {
			return "error: " + err.Error()
		}
		return fmt.Sprintf("%d row", n)
	}
	rows, err := on.QueryContext(ctx, statement)
	if err != nil {
		return "error: " + err.Error()
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "error: " + err.Error()
	}
	var all []string
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "error: " + err.Error()
		}
		values := make([]string, len(row))
		for i := range row {
			if b, ok := row[i].([]byte); ok {
				row[i] = string(b)
			}
			values[i] = fmt.Sprint(row[i])
		}
		all = append(all, strings.Join(values, ", "))
	}
	if rows.Err() != nil {
		return "error: " + rows.Err().Error()
	}
	return strings.Join(all, " | ")
}
