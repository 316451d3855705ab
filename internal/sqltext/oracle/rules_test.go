package oracle

import (
	"database/sql/driver"
	"testing"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
)

// someTables has a table of every name except b.
type someTables struct{}

func (someTables) Table(name string) *rules.Table {
	if name == "b" {
		return nil
	}
	return &rules.Table{Primary: []string{"a"}, Columns: []rules.Column{{Name: "a", Type: "INTEGER"}, {Name: "q", Type: "UUID"},
		{Name: "t", Type: "JSON"}, {Name: "mixed", Type: "BLOB", MaxLength: 2000}, {Name: "type", Type: "VARCHAR", MaxLength: 10}}}
}

func (someTables) IsView(name string) bool { return name == "b" }

// A query that a rule has rewritten can be parsed, and has the same arguments and statements.
// No query makes a rule panic.
func TestRulesKeepEveryQueryParseable(t *testing.T) {
	g := newGenerator(*seed + 1)
	args := []driver.Value{nil, int64(-1), "null", "é%", []byte{1}}
	rewritten, refused := 0, 0
	for range queries(t) {
		q, err := sqltext.Parse(g.text())
		if err != nil {
			continue
		}
		plan, r := rules.Check(q.Script, false)
		if r != nil {
			refused++
			continue
		}
		values := func(index int) driver.Value { return args[index%len(args)] }
		_ = plan.CheckArguments(values)
		_ = plan.CheckTables(someTables{}, values)
		_ = plan.Fitted(someTables{}, values)
		_, _ = plan.Complete(someTables{})
		if plan.Text == q.Text {
			continue
		}
		rewritten++
		again, err := sqltext.Parse(plan.Text)
		switch {
		case err != nil:
			t.Errorf("%q becomes %q: %v", q.Text, plan.Text, err)
		case again.NumInput != q.NumInput || len(again.Statements) != len(q.Statements):
			t.Errorf("%q becomes %q: %d arguments and %d statements, want %d and %d", q.Text, plan.Text,
				again.NumInput, len(again.Statements), q.NumInput, len(q.Statements))
		}
		if t.Failed() && rewritten > 20 {
			t.FailNow()
		}
	}
	t.Logf("%d rewritten, %d refused", rewritten, refused)
	if rewritten == 0 || refused == 0 {
		t.Errorf("%d queries were rewritten and %d refused; the generator must make both kinds", rewritten, refused)
	}
}
