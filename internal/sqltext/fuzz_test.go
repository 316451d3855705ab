package sqltext

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", ";;", "SELECT a FROM t WHERE id = ?", "SELECT 'it''s', x'00', \"q\" -- c\n/* d */;",
		"INSERT INTO t (a, b) VALUES (?, ?), (?, ?) ON CONFLICT DO UPDATE SET a = ? RETURNING id, n AS k;SELECT ?",
		"UPDATE t SET a = $2 WHERE id = $1 RETURNING *; DELETE FROM t WHERE id = $3",
		"UPSERT INTO t (a) SELECT @A FROM t, u WHERE b = @b; DELETE FROM t WHERE a = @a",
		"BEGIN TRANSACTION; SAVEPOINT a; ROLLBACK TO a; COMMIT", "USE DATABASE d; CREATE TABLE IF NOT EXISTS if (id INTEGER)",
		"WITH a AS (SELECT 1) SELECT (((", "ALTER TABLE t ALTER COLUMN a TYPE INTEGER", "SELECT $", "SELECT @", "/*/", "'", "x'", "\"", "::->:a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse(text)
		if err != nil {
			if q != nil || !strings.HasPrefix(err.Error(), "line ") {
				t.Fatalf("Parse(%q) = %v, %v", text, q, err)
			}
			return
		}
		rest := text
		args := 0
		var names []string
		for i, st := range q.Statements {
			_, after, found := strings.Cut(rest, st.Text)
			if !found || st.Text == "" {
				t.Fatalf("%q: statement %q does not stand in what is left: %q", text, st.Text, rest)
			}
			rest = after

			switch q.Style {
			case Question:
				if st.FirstArg != args {
					t.Errorf("%q: statement %d begins at argument %d, want %d", text, i, st.FirstArg, args)
				}
				args += st.NumArgs
			case Dollar:
				args = max(args, st.NumArgs)
			case Named:
				for _, name := range st.Names {
					if !slices.Contains(names, name) {
						names = append(names, name)
						args++
					}
				}
			}

			alone, err := Parse(st.Text)
			if err != nil || len(alone.Statements) != 1 {
				t.Fatalf("%q: %q is no statement alone: %v", text, st.Text, err)
			}
			st.FirstArg, st.Tree, alone.Statements[0].Tree = 0, nil, nil // its places differ
			if !reflect.DeepEqual(alone.Statements[0], st) {
				t.Errorf("%q alone:\n got %+v\nwant %+v", st.Text, alone.Statements[0], st)
			}
			if st.Kind.IsDML() {
				returning(t, st)
			}
		}
		if q.NumInput != args || !slices.Equal(q.Names, names) {
			t.Errorf("%q: %d arguments %q, its statements have %d %q", text, q.NumInput, q.Names, args, names)
		}
	})
}

// returning exchanges the RETURNING clause of st for another.
func returning(t *testing.T, st Statement) {
	with := st.Text[:st.Returning.End] + " RETURNING NULL"
	q, err := Parse(with)
	if err != nil || len(q.Statements) != 1 {
		t.Fatalf("%q is not one statement: %v", with, err)
	}
	got := q.Statements[0]
	if got.Kind != st.Kind || got.Table != st.Table || got.NumRows != st.NumRows || got.NumArgs > st.NumArgs {
		t.Errorf("%q:\n got %+v\nfrom %+v", with, got, st)
	}
	if got.Returning.Has && got.Returning.End != st.Returning.End {
		t.Errorf("%q: the clause begins at %d, want %d", with, got.Returning.End, st.Returning.End)
	}
	if st.Returning.Has && !got.Returning.Has {
		t.Errorf("%q: the clause is gone", with)
	}
}
