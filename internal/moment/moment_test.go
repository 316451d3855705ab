package moment

import (
	"slices"
	"testing"

	"github.com/immudb-go/immudb/internal/sqltext"
)

// The tables a and b have no index but the primary one, c has two more, and v is a view.
func indexes(table string) (n int, ok bool) {
	n, ok = map[string]int{"a": 1, "b": 1, "c": 3}[table]
	return n, ok
}

func run(t *testing.T, s *Snapshots, text string) bool {
	t.Helper()
	q, err := sqltext.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s.Run(&q.Statements[0], indexes)
}

func TestStatementsThatMayTakeAnotherSnapshot(t *testing.T) {
	for _, row := range []struct {
		before []string
		text   string
		want   bool
	}{
		{nil, "SELECT * FROM a", false},
		{nil, "SELECT * FROM c", false},
		{nil, "SELECT * FROM v", true},
		{nil, "SELECT 1", false},
		{nil, "SELECT * FROM a INNER JOIN b ON a.id = b.id", true},
		{nil, "SELECT * FROM a INNER JOIN a AS x ON a.id = x.id", false},
		{nil, "SELECT * FROM c INNER JOIN c AS x ON c.id = x.id", true},
		{nil, "SELECT * FROM a WHERE id IN (SELECT id FROM b)", true},
		{nil, "SELECT * FROM a UNION ALL SELECT * FROM b", true},
		{[]string{"SELECT * FROM a"}, "SELECT * FROM a", false},
		{[]string{"SELECT * FROM a"}, "SELECT * FROM a WHERE id = 1", false},
		{[]string{"SELECT * FROM a"}, "SELECT * FROM b", true},
		{[]string{"SELECT * FROM c"}, "SELECT * FROM c", false},
		{[]string{"SELECT * FROM c"}, "SELECT * FROM c ORDER BY n", true},
		{[]string{"SELECT * FROM a"}, "UPDATE b SET n = 1 WHERE id = 1", true},
		{[]string{"SELECT * FROM a"}, "DELETE FROM a WHERE id = 1", false},
		{[]string{"SELECT * FROM TABLES()"}, "SELECT * FROM a", false},
	} {
		var s Snapshots
		for _, text := range row.before {
			run(t, &s, text)
		}
		if got := run(t, &s, row.text); got != row.want {
			t.Errorf("%q, %s: %v, want %v", row.before, row.text, got, row.want)
		}
	}
}

func TestFixedTablesTakeNoSnapshotUntilTheStatementsRunAgain(t *testing.T) {
	var s Snapshots
	s.Fix("b", 1)
	s.Fix("c", 3)
	for _, text := range []string{"SELECT * FROM b", "SELECT * FROM c ORDER BY n", "SELECT * FROM b, c"} {
		if run(t, &s, text) {
			t.Errorf("%s may take a snapshot", text)
		}
	}
	if !run(t, &s, "SELECT * FROM a") {
		t.Error("another table takes none")
	}
	s.Renew()
	if !run(t, &s, "SELECT * FROM c WHERE n = 1") {
		t.Error("a table takes none after the statements ran again")
	}
	if got := s.Read(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("read: %q", got)
	}
}

func TestSnapshotsAreTornByChangesOfTwoTablesOrOfOneWithTwoSnapshots(t *testing.T) {
	for _, row := range []struct {
		text    string
		changed int
		want    bool
	}{
		{"SELECT * FROM a, b", 0, false},
		{"SELECT * FROM a, b", 1, false},
		{"SELECT * FROM a, b", 2, true},
		{"SELECT * FROM c INNER JOIN c AS x ON c.id = x.id", 0, false},
		{"SELECT * FROM c INNER JOIN c AS x ON c.id = x.id", 1, true},
		{"SELECT * FROM v", 1, true},
	} {
		var s Snapshots
		run(t, &s, row.text)
		if got := s.Torn(row.changed); got != row.want {
			t.Errorf("%s, %d tables changed: %v, want %v", row.text, row.changed, got, row.want)
		}
	}
}

func TestATransactionThatTakesOverKnowsTheStatementsAndTheViews(t *testing.T) {
	var before, s Snapshots
	run(t, &before, "SELECT * FROM v")
	s.Move(&before, []string{"v"})
	if run(t, &s, "SELECT * FROM v") {
		t.Error("a statement of before may take a snapshot")
	}
	if !s.Torn(1) {
		t.Error("a view counts as one table")
	}
}
