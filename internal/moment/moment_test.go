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

func run(t *testing.T, s *Snapshots, text string) Taking {
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
		want   Taking
	}{
		{nil, "SELECT * FROM a", None},
		{nil, "SELECT * FROM c", None},
		{nil, "SELECT * FROM v", Late},
		{nil, "SELECT 1", None},
		{nil, "SELECT * FROM a INNER JOIN b ON a.id = b.id", AtFirst},
		{nil, "SELECT * FROM a INNER JOIN a AS x ON a.id = x.id", None},
		{nil, "SELECT * FROM c INNER JOIN c AS x ON c.id = x.id", AtFirst},
		{nil, "SELECT * FROM a WHERE id IN (SELECT id FROM b)", Late},
		{nil, "SELECT * FROM a UNION ALL SELECT * FROM b", Late},
		{[]string{"SELECT * FROM a"}, "SELECT * FROM a", None},
		{[]string{"SELECT * FROM a"}, "SELECT * FROM a WHERE id = 1", None},
		{[]string{"SELECT * FROM a"}, "SELECT * FROM b", AtFirst},
		{[]string{"SELECT * FROM c"}, "SELECT * FROM c", None},
		{[]string{"SELECT * FROM c"}, "SELECT * FROM c ORDER BY n", AtFirst},
		{[]string{"SELECT * FROM a"}, "UPDATE b SET n = 1 WHERE id = 1", AtFirst},
		{[]string{"SELECT * FROM a"}, "DELETE FROM a WHERE id = 1", None},
		{[]string{"SELECT * FROM TABLES()"}, "SELECT * FROM a", None},

		// The first time, the join may have read only a, and the subquery nothing.
		{[]string{"SELECT * FROM a, b WHERE a.id = ?"}, "SELECT * FROM a, b WHERE a.id = ?", AtFirst},
		{[]string{"SELECT * FROM a, b WHERE a.id = ?"}, "SELECT * FROM b", AtFirst},
		{[]string{"SELECT * FROM a WHERE id = ? OR EXISTS (SELECT * FROM b)"}, "SELECT * FROM b", AtFirst},
		{[]string{"SELECT * FROM a", "SELECT * FROM b"}, "SELECT * FROM a, b", None},
		{[]string{"SELECT * FROM a", "SELECT * FROM b"}, "SELECT * FROM a WHERE EXISTS (SELECT * FROM b)", None},
		{[]string{"SELECT * FROM v"}, "SELECT * FROM v", Late},

		// What the server reads by may depend on the arguments.
		{[]string{"SELECT * FROM c WHERE n = ?"}, "SELECT * FROM c WHERE n = ?", None},
		{[]string{"SELECT * FROM c WHERE n > 1"}, "SELECT * FROM c WHERE n > 1", None},
		{[]string{"SELECT * FROM c WHERE n >= ? AND n <= ?"}, "SELECT * FROM c WHERE n >= ? AND n <= ?", AtFirst},
		{[]string{"SELECT * FROM c WHERE n BETWEEN ? AND ?"}, "SELECT * FROM c WHERE n BETWEEN ? AND ?", AtFirst},
		{[]string{"SELECT * FROM c WHERE n = ? OR n = ?"}, "SELECT * FROM c WHERE n = ? OR n = ?", AtFirst},
		{[]string{"SELECT * FROM a WHERE n BETWEEN ? AND ?"}, "SELECT * FROM a WHERE n BETWEEN ? AND ?", None},
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

func TestFixedTablesTakeNoSnapshot(t *testing.T) {
	var s Snapshots
	s.Fix("b", 1)
	s.Fix("c", 3)
	for _, text := range []string{"SELECT * FROM b", "SELECT * FROM c ORDER BY n", "SELECT * FROM b, c"} {
		if run(t, &s, text) != None {
			t.Errorf("%s may take a snapshot", text)
		}
	}
	if run(t, &s, "SELECT * FROM a") == None {
		t.Error("another table takes none")
	}
}

// A rollback to a savepoint leaves a transaction that has not read what was read since.
func TestNothingIsReadForCertainAfterStatementsRanAgain(t *testing.T) {
	var s Snapshots
	s.Fix("c", 3)
	for _, text := range []string{"SELECT * FROM a", "SELECT * FROM b"} {
		run(t, &s, text)
	}
	s.Renew()
	for _, text := range []string{"SELECT * FROM b", "SELECT * FROM c WHERE n = 1"} {
		if run(t, &s, text) == None {
			t.Errorf("%s takes no snapshot", text)
		}
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
