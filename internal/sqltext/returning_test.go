package sqltext

import (
	"slices"
	"testing"
)

func TestReturningItems(t *testing.T) {
	col := func(name string) ReturnItem { return ReturnItem{Text: name, Column: name} }
	for _, tc := range []struct {
		clause     string
		star       bool
		items      []ReturnItem
		answerable bool
		why        string
	}{
		{"*", true, nil, true, "every column"},
		{"id", false, []ReturnItem{col("id")}, true, "a column"},
		{"id, n", false, []ReturnItem{col("id"), col("n")}, true, "two"},
		{"ID, \"N\"", false, []ReturnItem{{Text: "ID", Column: "id"}, {Text: `"N"`, Column: "n"}}, true, "folded"},
		{"Year, Timestamp", false, []ReturnItem{col("Year"), col("Timestamp")}, true, "keywords keep their case"},
		{"t.id, T . n", false, []ReturnItem{{Text: "t.id", Table: "t", Column: "id"}, {Text: "T . n", Table: "t", Column: "n"}}, true, "qualified"},
		{"id AS k", false, []ReturnItem{{Text: "id", Column: "id", Alias: "k"}}, false, "the server looks for a column k"},
		{"id k", false, []ReturnItem{{Text: "id", Column: "id", Alias: "k"}}, false, "AS may be left out"},
		{"t.id k, n", false, []ReturnItem{{Text: "t.id", Table: "t", Column: "id", Alias: "k"}, col("n")}, false, "one bad item spoils the clause"},
		{"id AS timestamp, n AS Count", false, []ReturnItem{{Text: "id", Column: "id", Alias: "timestamp"}, {Text: "n", Column: "n", Alias: "count"}}, false, "behind AS a type or an aggregate is a name"},
		{"NULL", false, []ReturnItem{{Text: "NULL"}}, false, "NULL is no column"},
		{"n+1", false, []ReturnItem{{Text: "n+1"}}, false, "an expression"},
		{"n + id", false, []ReturnItem{{Text: "n + id"}}, false, "the last name is an operand"},
		{"NOT ok", false, []ReturnItem{{Text: "NOT ok"}}, false, "likewise"},
		{"- n", false, []ReturnItem{{Text: "- n"}}, false, "likewise"},
		{"n + 1 k", false, []ReturnItem{{Text: "n + 1", Alias: "k"}}, false, "the last name is an alias"},
		{"n IS NULL k", false, []ReturnItem{{Text: "n IS NULL", Alias: "k"}}, false, "likewise"},
		{"n::UUID k", false, []ReturnItem{{Text: "n::UUID", Alias: "k"}}, false, "likewise"},
		{"n::INTEGER", false, []ReturnItem{{Text: "n::INTEGER"}}, false, "a type is no alias without AS"},
		{"CASE WHEN a THEN 1 END k", false, []ReturnItem{{Text: "CASE WHEN a THEN 1 END", Alias: "k"}}, false, "END closes an expression"},
		{"f(a, b) AS k, g(c, (d))", false, []ReturnItem{{Text: "f(a, b)", Alias: "k"}, {Text: "g(c, (d))"}}, false, "commas in parentheses part no items"},
		{"doc->'a'", false, []ReturnItem{{Text: "doc->'a'"}}, false, "a path into JSON"},
		{"id /* a, b */ , -- c, d\n n", false, []ReturnItem{col("id"), col("n")}, true, "comments part nothing"},
		{"?", false, []ReturnItem{{Text: "?"}}, false, "an argument"},
	} {
		const dml = "INSERT INTO t (n) VALUES (?)"
		st := one(t, dml+" -- tail\n RETURNING "+tc.clause)
		r := st.Returning
		if !r.Has || r.Star != tc.star || !slices.Equal(r.Items, tc.items) {
			t.Errorf("%s: RETURNING %s:\n got %+v\nwant %+v, star %v", tc.why, tc.clause, r, tc.items, tc.star)
		}
		if got := r.Answerable(); got != tc.answerable {
			t.Errorf("%s: RETURNING %s: Answerable = %v", tc.why, tc.clause, got)
		}
		if got := st.Text[:r.End]; got != dml {
			t.Errorf("%s: RETURNING %s: the statement without it is %q", tc.why, tc.clause, got)
		}
	}
}

func TestReturningIsFoundOnlyWhereItIsTheClause(t *testing.T) {
	for _, tc := range []struct {
		text string
		want bool
		why  string
	}{
		{"INSERT INTO t (id) VALUES (1) RETURNING id", true, "INSERT"},
		{"INSERT INTO t (id) VALUES (1) ON CONFLICT DO NOTHING RETURNING id", true, "behind the conflict clause"},
		{"INSERT INTO t (id) SELECT id FROM u WHERE a IN (1, 2) returning id", true, "behind a query"},
		{"UPSERT INTO t (id) VALUES (1) RETURNING id", true, "UPSERT"},
		{"UPDATE t SET a = 1 WHERE id = 1 RETURNING id", true, "UPDATE"},
		{"DELETE FROM t WHERE id = 1 RETURNING id", true, "DELETE"},
		{"INSERT INTO t (\"returning\") VALUES (1)", false, "a quoted name"},
		{"INSERT INTO t (s) VALUES ('x RETURNING id')", false, "a string"},
		{"INSERT INTO t (s) VALUES (1) -- RETURNING id", false, "a comment"},
	} {
		st := one(t, tc.text)
		if st.Returning.Has != tc.want {
			t.Errorf("%s: %q: Has = %v", tc.why, tc.text, st.Returning.Has)
		}
		if !tc.want && st.Returning.End != len(st.Text) {
			t.Errorf("%s: %q: End = %d, want the whole of %q", tc.why, tc.text, st.Returning.End, st.Text)
		}
	}
}
