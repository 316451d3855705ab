// Package difftest compares the driver with the server alone: a query that no rule
// changes must have the same result with the driver and without it.
package difftest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/sqlgen"
	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// tables are the tables of [sqlgen.Schema].
type tables struct{}

func (tables) Table(name string) *rules.Table {
	switch name {
	case "t":
		return &rules.Table{Primary: []string{"id"}, Columns: []rules.Column{{Name: "id", Type: "INTEGER"}, {Name: "n", Type: "INTEGER"}, {Name: "s", Type: "VARCHAR", MaxLength: 20},
			{Name: "b", Type: "BOOLEAN"}, {Name: "ts", Type: "TIMESTAMP"}, {Name: "x", Type: "BLOB", MaxLength: 64}, {Name: "u", Type: "UUID"}, {Name: "j", Type: "JSON"}, {Name: "f", Type: "FLOAT"}}}
	case "p":
		return &rules.Table{Primary: []string{"id", "t_id"}, Columns: []rules.Column{{Name: "id", Type: "INTEGER"}, {Name: "t_id", Type: "INTEGER"}, {Name: "u", Type: "UUID"}, {Name: "n", Type: "INTEGER"}}}
	}
	return nil
}

func (tables) IsView(name string) bool { return name == "v" }

// isUntouched reports whether the driver sends the text and the arguments unchanged.
func isUntouched(text string, inTx bool, args []any) bool {
	q, err := sqltext.Parse(text)
	if err != nil {
		return false
	}
	plan, refusal := rules.Check(q.Script, false)
	if refusal != nil || plan.Text != text || inTx && plan.InTx != nil || slices.ContainsFunc(q.Statements, func(st sqltext.Statement) bool { return st.Returning.Has }) {
		return false
	}
	values := func(index int) driver.Value { return args[index] }
	if plan.CheckArguments(values) != nil || plan.CheckTables(tables{}, values) != nil || len(plan.Fitted(tables{}, values)) > 0 || plan.WantsLiterals(values) {
		return false
	}
	whole, changed := plan.Complete(tables{})
	return !changed || whole == text
}

// twins are two databases that must stay equal. One is written with the driver, the
// other without it.
type twins struct {
	db          *sql.DB      // the first database, with the driver
	same, other *dbtest.Wire // the first and the second database, without the driver
}

func open(t *testing.T) *twins {
	dsn, twin := dbtest.FreshDSN(t), dbtest.FreshDSN(t)
	w := &twins{db: dbtest.OpenDSN(t, dsn), same: dbtest.WireTo(t, dsn), other: dbtest.WireTo(t, twin)}
	for _, text := range sqlgen.Schema {
		dbtest.Exec(t, w.db, text)
		if err := w.other.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// outcome is the result of a statement: an answer as text, or the server's error.
type outcome struct {
	answer string
	err    error
}

// isLike reports whether the driver's outcome is the server's. The driver may only add to
// the server's error text. The part of an error after the first parenthesis is ignored,
// because some of the server's errors quote a random item there. If a write has several
// faults, the server reports any of them first, so for a write it is enough that both
// fail.
func (o outcome) isLike(raw outcome, reads bool) bool {
	if raw.err == nil || o.err == nil || !reads {
		return (raw.err == nil) == (o.err == nil) && (raw.err != nil || o.answer == raw.answer)
	}
	_, words, _ := strings.Cut(raw.err.Error(), ": ")
	words, _, _ = strings.Cut(words, "(")
	return strings.Contains(o.err.Error(), words)
}

func show(columns []string, rows [][]driver.Value) string {
	var b strings.Builder
	fmt.Fprintln(&b, strings.Join(columns, ", "))
	for _, row := range rows {
		for _, v := range row {
			if bytes, ok := v.([]byte); ok {
				v = string(bytes)
			}
			fmt.Fprintf(&b, "%T %v, ", v, v)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (w *twins) raw(ctx context.Context, text string, args []any) outcome {
	columns, rows, err := w.same.Answer(ctx, text, args...)
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].Name + " " + columns[i].Type
	}
	return outcome{show(names, rows), err}
}

func (w *twins) query(ctx context.Context, text string, args []any) outcome {
	rows, err := w.db.QueryContext(ctx, text, args...)
	if err != nil {
		return outcome{err: err}
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return outcome{err: err}
	}
	names := make([]string, len(types))
	for i := range types {
		names[i] = types[i].Name() + " " + types[i].DatabaseTypeName()
	}
	var all [][]driver.Value
	for rows.Next() {
		values, into := make([]any, len(types)), make([]any, len(types))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return outcome{err: err}
		}
		row := make([]driver.Value, len(values))
		for i := range values {
			row[i] = values[i]
		}
		all = append(all, row)
	}
	return outcome{show(names, all), rows.Err()}
}

// write runs a write with the driver, alone or in a transaction.
func (w *twins) write(ctx context.Context, inTx bool, text string, args []any) outcome {
	var db dbtest.Execer = w.db
	if inTx {
		tx, err := w.db.BeginTx(ctx, nil)
		if err != nil {
			return outcome{err: err}
		}
		defer tx.Rollback()
		db = tx
	}
	result, err := db.ExecContext(ctx, text, args...)
	if err != nil {
		return outcome{err: err}
	}
	n, err := result.RowsAffected()
	if tx, ok := db.(*sql.Tx); ok && err == nil {
		err = tx.Commit()
	}
	return outcome{fmt.Sprint(n, " rows"), err}
}

// state returns all rows of the tables.
func state(t *testing.T, w *dbtest.Wire) string {
	return w.Told(t, "SELECT * FROM t") + "\n" + w.Told(t, "SELECT * FROM p")
}

func TestTextsThatNoRuleIsAboutAreAnsweredAsByTheServer(t *testing.T) {
	want := testserver.Rounds(t, 1500, 6_000)
	const perDatabase = 1500 // comparisons
	var w *twins
	compared, failed, skipped, states, differences := 0, 0, 0, 0, 0
	for seed := uint64(1); compared < want && differences < 20; seed++ {
		g := sqlgen.New(seed)
		g.Repeatable = true
		reads := seed%3 > 0
		text := ""
		if reads {
			text = g.Query()
		} else {
			text = g.Write()
		}
		args := g.Arguments(text)
		inTx := !reads && g.IntN(4) == 0
		if !isUntouched(text, inTx, args) {
			skipped++
			continue
		}
		if compared%perDatabase == 0 {
			w = open(t)
		}
		compared++
		var got, raw outcome
		if reads {
			got, raw = w.query(t.Context(), text, args), w.raw(t.Context(), text, args)
		} else {
			got = w.write(t.Context(), inTx, text, args)
			n, err := w.other.Write(t.Context(), text, args...)
			raw = outcome{fmt.Sprint(n, " rows"), err}
		}
		if raw.err != nil {
			failed++
			if strings.Contains(raw.err.Error(), "missing parameter(") {
				continue // the driver then writes a literal: see TestArgumentsWorkWhereTheServerFillsNoneIn
			}
		}
		if !got.isLike(raw, reads) {
			differences++
			t.Errorf("seed %d: %s %v\nthe driver  %s (%v)\nthe server  %s (%v)", seed, text, args, got.answer, got.err, raw.answer, raw.err)
		}
		if !reads && compared%7 == 0 || compared%perDatabase == 0 {
			states++
			if one, other := state(t, w.same), state(t, w.other); one != other {
				t.Errorf("seed %d: after %s %v\nthe driver's database  %s\nthe server's  %s", seed, text, args, one, other)
			}
		}
	}
	t.Logf("%d texts compared, %d of which the server refuses, %d states; %d texts are a rule's", compared, failed, states, skipped)
	if failed > compared*9/10 {
		t.Errorf("%d of %d texts are refused", failed, compared)
	}
}
