package rules

import (
	"reflect"
	"testing"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// indexed are tables with an index on v. Their primary key is id, and (id, k) for w.
type indexed struct{}

func (indexed) Table(name string) *Table {
	switch name {
	case "t", "u":
		return &Table{Primary: []string{"id"}, Indexes: [][]string{{"v", "x"}}}
	case "w":
		return &Table{Primary: []string{"id", "k"}, Indexes: [][]string{{"v"}}}
	case "plain":
		return &Table{Primary: []string{"id"}}
	}
	return nil
}

func (indexed) IsView(name string) bool { return name == "seen" }

// The transaction has written to t, w and plain.
func TestTablesWrittenInTheTransactionAreReadThroughThePrimaryIndex(t *testing.T) {
	for _, row := range []struct {
		text, want string
		scans      [][]string
	}{
		// no condition or order by which the server could choose another index
		{"SELECT * FROM t", "", nil},
		{"SELECT * FROM t WHERE id = 1", "", nil},
		{"SELECT * FROM t WHERE x = 1 LIMIT 1", "", nil},
		{"SELECT * FROM t WHERE active", "", nil},
		{"SELECT * FROM t WHERE NOT (v = 1)", "", nil},
		{"SELECT * FROM t WHERE v NOT IN (1)", "", nil},
		{"SELECT * FROM (HISTORY OF t) WHERE v = 1", "", nil},

		// tables that were not written to, and one without another index
		{"SELECT * FROM u WHERE v = 1 ORDER BY v", "", nil},
		{"SELECT * FROM plain WHERE v = 1 ORDER BY v", "", nil},
		{"UPDATE u SET x = 1 WHERE v = 1", "", nil},

		// conditions
		{"SELECT * FROM t WHERE v = 1", "SELECT * FROM t WHERE NOT (NOT (v = 1))", [][]string{{"t"}}},
		{"SELECT * FROM t WHERE v BETWEEN 1 AND 2", "SELECT * FROM t WHERE NOT (NOT (v BETWEEN 1 AND 2))", [][]string{{"t"}}},
		{"SELECT * FROM t WHERE V IS NULL", "SELECT * FROM t WHERE NOT (NOT (V IS NULL))", [][]string{{"t"}}},
		{"SELECT * FROM t WHERE id = 1 AND v = ?", "SELECT * FROM t WHERE id = 1 AND NOT (NOT (v = ?))", nil},
		{"SELECT * FROM t WHERE v = 1 AND (id > 1 AND x = 2)", "SELECT * FROM t WHERE NOT (NOT (v = 1)) AND (id > 1 AND x = 2)", [][]string{{"t"}}},
		{"SELECT * FROM t WHERE active AND v = 1", "SELECT * FROM t WHERE NOT (NOT (active = TRUE)) AND NOT (NOT (v = 1))", [][]string{{"t"}}},
		{"SELECT * FROM t WHERE v = 1 OR id = 2", "SELECT * FROM t WHERE NOT (NOT (v = 1 OR id = 2))", [][]string{{"t"}}},
		{"SELECT * FROM w WHERE id = 1 AND v = 2", "SELECT * FROM w WHERE id = 1 AND NOT (NOT (v = 2))", [][]string{{"w"}}},
		{"UPDATE t SET x = 1 WHERE v = 1", "UPDATE t SET x = 1 WHERE NOT (NOT (v = 1))", [][]string{{"t"}}},
		{"DELETE FROM t WHERE v IN (1, 2)", "DELETE FROM t WHERE NOT (NOT (v IN (1, 2)))", [][]string{{"t"}}},
		{"UPDATE t SET x = 1 WHERE id = 1 AND v = 1", "UPDATE t SET x = 1 WHERE id = 1 AND NOT (NOT (v = 1))", nil},

		// orders
		{"SELECT * FROM t ORDER BY v", `SELECT * FROM t USE INDEX ON ("id") ORDER BY v`, [][]string{{"t"}}},
		{"SELECT * FROM t AS a ORDER BY a.id", `SELECT * FROM t AS a USE INDEX ON ("id") ORDER BY a.id`, nil},
		{"SELECT v, COUNT(*) FROM w GROUP BY v", `SELECT v, COUNT(*) FROM w USE INDEX ON ("id", "k") GROUP BY v`, [][]string{{"w"}}},
		{"SELECT * FROM t USE INDEX ON v", `SELECT * FROM t USE INDEX ON ("id")`, [][]string{{"t"}}},
		{"SELECT * FROM w USE INDEX ON (v, x) ORDER BY v", `SELECT * FROM w USE INDEX ON ("id", "k") ORDER BY v`, [][]string{{"w"}}},

		// joins: rows are looked up in memory, or the table is read for each row before it
		{"SELECT u.id FROM u JOIN t ON t.v = u.id", "", nil},
		{"SELECT u.id FROM u JOIN t ON t.v = u.id AND t.v > 1", "SELECT u.id FROM u JOIN t ON t.v = u.id AND NOT (NOT (t.v > 1))", nil},
		{"SELECT u.id FROM u JOIN t ON t.v < u.id", "SELECT u.id FROM u JOIN t ON (CASE WHEN t.v < u.id THEN TRUE ELSE FALSE END)", [][]string{{"u", "t"}}},
		{"SELECT u.id FROM u JOIN t ON t.v < u.id WHERE u.id = 1", "SELECT u.id FROM u JOIN t ON (CASE WHEN t.v < u.id THEN TRUE ELSE FALSE END) WHERE u.id = 1", [][]string{{"t"}}},
		{"SELECT t.id FROM t JOIN u ON t.id = u.id WHERE t.v = 1", "SELECT t.id FROM t JOIN u ON t.id = u.id WHERE NOT (NOT (t.v = 1))", [][]string{{"t"}}},

		// subqueries
		{"SELECT id FROM u WHERE id IN (SELECT x FROM t WHERE v = 1)", "SELECT id FROM u WHERE id IN (SELECT x FROM t WHERE NOT (NOT (v = 1)))", [][]string{{"u", "t"}}},
		{"DELETE FROM u WHERE EXISTS (SELECT 1 FROM t WHERE t.v = u.id)", "DELETE FROM u WHERE EXISTS (SELECT 1 FROM t WHERE NOT (NOT (t.v = u.id)))", [][]string{{"u", "t"}}},
		{"DELETE FROM u WHERE id = 1 AND EXISTS (SELECT 1 FROM t WHERE t.v = u.id)", "DELETE FROM u WHERE id = 1 AND EXISTS (SELECT 1 FROM t WHERE NOT (NOT (t.v = u.id)))", [][]string{{"t"}}},
		{"INSERT INTO u (id) SELECT id FROM t WHERE v = 1", "INSERT INTO u (id) SELECT id FROM t WHERE NOT (NOT (v = 1))", [][]string{{"t"}}},
		{"SELECT d.id FROM (SELECT id FROM t WHERE v = 1) AS d", "SELECT d.id FROM (SELECT id FROM t WHERE NOT (NOT (v = 1))) AS d", [][]string{{"t"}}},
		{"SELECT id FROM u UNION SELECT id FROM t WHERE v = 1", "SELECT id FROM u UNION SELECT id FROM t WHERE NOT (NOT (v = 1))", [][]string{{"t"}}},

		// tables that the text itself writes
		{"SELECT id FROM u WHERE v = 1; DELETE FROM u WHERE id = 1; SELECT id FROM u WHERE v = 1",
			"SELECT id FROM u WHERE v = 1; DELETE FROM u WHERE id = 1; SELECT id FROM u WHERE NOT (NOT (v = 1))", [][]string{{"u"}}},
		{"CREATE INDEX ON plain (x); SELECT id FROM plain WHERE x = 1", "CREATE INDEX ON plain (x); SELECT id FROM plain WHERE NOT (NOT (x = 1))", [][]string{{"plain"}}},
	} {
		script, err := tree.Parse(row.text)
		if err != nil {
			t.Fatalf("%s: %v", row.text, err)
		}
		got := Guard(script, Written{Tables: []string{"t", "w", "plain"}}, indexed{})
		if row.want == "" {
			row.want = row.text
		}
		if got.Text != row.want {
			t.Errorf("%s\nbecomes %s\nwant    %s", row.text, got.Text, row.want)
		}
		if !reflect.DeepEqual(got.Scans, row.scans) {
			t.Errorf("%s: scans %v, want %v", row.text, got.Scans, row.scans)
		}
	}
}

func TestWhatCannotBeGuardedIsNamed(t *testing.T) {
	for _, row := range []struct{ text, view, deleted string }{
		{"SELECT * FROM seen", "seen", ""},
		{"SELECT * FROM u WHERE id IN (SELECT id FROM seen)", "seen", ""},
		{"SELECT * FROM pg_tables", "", ""},
		{"SELECT * FROM nosuch", "", ""},
		{"INSERT INTO t (id) VALUES (1) ON CONFLICT DO NOTHING", "", ""},
		{"INSERT INTO w (id) VALUES (1) ON CONFLICT DO NOTHING", "", "w"},
		{"INSERT INTO w (id) VALUES (1)", "", ""},
		{"UPSERT INTO w (id) VALUES (1)", "", ""},
		{"DELETE FROM t WHERE id = 1; INSERT INTO t (id) VALUES (1) ON CONFLICT DO NOTHING", "", "t"},
	} {
		script, err := tree.Parse(row.text)
		if err != nil {
			t.Fatalf("%s: %v", row.text, err)
		}
		got := Guard(script, Written{Tables: []string{"t", "w"}, Deleted: []string{"w"}}, indexed{})
		if got.View != row.view || got.Deleted != row.deleted {
			t.Errorf("%s: view %q, deleted %q, want %q and %q", row.text, got.View, got.Deleted, row.view, row.deleted)
		}
	}
}
