package sqltext

import (
	"slices"
	"testing"
)

func mustParse(t testing.TB, text string) *Query {
	t.Helper()
	q, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return q
}

// one parses a text that is a single statement.
func one(t testing.TB, text string) Statement {
	t.Helper()
	q := mustParse(t, text)
	if len(q.Statements) != 1 {
		t.Fatalf("Parse(%q): %d statements, want 1", text, len(q.Statements))
	}
	return q.Statements[0]
}

func texts(q *Query) []string {
	var list []string
	for _, st := range q.Statements {
		list = append(list, st.Text)
	}
	return list
}

func TestArgumentsAreCountedAsTheServerBindsThem(t *testing.T) {
	for _, tc := range []struct {
		text  string
		style Style
		n     int
		why   string
	}{
		{"", None, 0, "nothing"},
		{"SELECT 1", None, 0, "no placeholder"},
		{"SELECT a FROM t WHERE id = ?", Question, 1, "one"},
		{"SELECT a FROM t WHERE id=?and b=?", Question, 2, "no blank is needed around ?"},
		{"SELECT a FROM t WHERE b IN (?,?,?) LIMIT ? OFFSET ?", Question, 5, "lists and limits"},
		{"INSERT INTO t (a) VALUES (?); INSERT INTO t (a) VALUES (?)", Question, 2, "? counts on across statements"},
		{"SELECT a->'k' FROM t WHERE b = ?::INTEGER", Question, 1, "-> and :: are operators"},
		{"SELECT a FROM t WHERE a<>?", Question, 1, "an operator ends before ?"},
		{"SELECT a FROM t WHERE a = $1 AND b = $2", Dollar, 2, "numbered"},
		{"SELECT a FROM t WHERE a = $2 AND b = $2", Dollar, 2, "a number is one argument however often it stands there"},
		{"SELECT a FROM t WHERE a = $3 AND b = $1", Dollar, 3, "a gap is an argument that nothing uses"},
		{"SELECT a FROM t WHERE a = $01", Dollar, 1, "the server reads the number, not the digits"},
		{"INSERT INTO t (a) VALUES ($1); INSERT INTO t (a) VALUES ($1)", Dollar, 1, "numbers hold for the whole text"},
		{"SELECT a FROM t WHERE a = @x AND b = @y AND c = @x", Named, 2, "a name is one argument"},
		{"SELECT a FROM t WHERE a = @Id AND b = @ID", Named, 1, "names are folded"},
		{"SELECT a FROM t WHERE a = @_p1", Named, 1, "a name may begin with _ and hold digits"},

		{"SELECT '?' , 'it''s ? $1 @x' FROM t", None, 0, "a string holds no placeholder"},
		{`SELECT 'a\' FROM t WHERE b = ?`, Question, 1, "a backslash escapes nothing"},
		{"SELECT x'3f' FROM t WHERE b = ?", Question, 1, "a blob is a literal"},
		{"SELECT a -- what? @x $1\nFROM t WHERE b = ?", Question, 1, "a comment ends with its line"},
		{"SELECT a -- what?\rFROM t WHERE b = ?", Question, 1, "a lone CR ends the line as well"},
		{"SELECT a /* what? ; ' */ FROM t WHERE b = ?", Question, 1, "a block comment is a blank"},
		{"SELECT a /* /* ? */ FROM t WHERE b = ?", Question, 1, "block comments do not nest"},
		{"SELECT a /*/ ? */ FROM t WHERE b = ?", Question, 1, "/*/ opens a comment and does not close it"},
		{"SELECT a FROM t -- ?", None, 0, "a comment may end the text"},
		{"SELECT 1--?\n+ 1", None, 0, "-- is a comment even between digits"},
		{"SELECT - -a FROM t WHERE b = ?", Question, 1, "- - is not"},
	} {
		q := mustParse(t, tc.text)
		if q.Style != tc.style || q.NumInput != tc.n {
			t.Errorf("%s: %q: style %v, %d arguments, want style %v, %d", tc.why, tc.text, q.Style, q.NumInput, tc.style, tc.n)
		}
	}
}

func TestNamesStandInOrderOfFirstAppearance(t *testing.T) {
	q := mustParse(t, "UPDATE t SET a = @New WHERE id = @id; DELETE FROM t WHERE id = @ID AND b = @last AND a = @new")
	if want := []string{"new", "id", "last"}; !slices.Equal(q.Names, want) || q.NumInput != 3 {
		t.Errorf("Names = %q, NumInput = %d, want %q", q.Names, q.NumInput, want)
	}
	if got, want := q.Statements[0].Names, []string{"new", "id"}; !slices.Equal(got, want) {
		t.Errorf("first statement: Names = %q, want %q", got, want)
	}
	if got, want := q.Statements[1].Names, []string{"id", "last", "new"}; !slices.Equal(got, want) {
		t.Errorf("second statement: Names = %q, want %q", got, want)
	}
}

func TestEachStatementKnowsItsArguments(t *testing.T) {
	type args struct{ first, n int }
	for _, tc := range []struct {
		text string
		want []args
		why  string
	}{
		{"SELECT ?; SELECT 1; SELECT ?, ?", []args{{0, 1}, {1, 0}, {1, 2}}, "? belongs to the statement it stands in"},
		{"SELECT $2; SELECT $1; SELECT 1", []args{{0, 2}, {0, 1}, {0, 0}}, "$n keeps its number, so the arguments up to it go along"},
		{"SELECT @a, @b; SELECT @b", []args{{0, 2}, {0, 1}}, "names are counted per statement"},
	} {
		q := mustParse(t, tc.text)
		var got []args
		for _, st := range q.Statements {
			got = append(got, args{st.FirstArg, st.NumArgs})
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q: %v, want %v", tc.why, tc.text, got, tc.want)
		}
	}
}

func TestATextIsCutAtItsSeparators(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []string
		why  string
	}{
		{"", nil, "nothing"},
		{" ; ;; /* ; */ -- ;", nil, "empty statements are left out"},
		{"SELECT 1", []string{"SELECT 1"}, "no separator is needed"},
		{"  SELECT 1 ; ", []string{"SELECT 1"}, "blanks and the separator stay outside"},
		{";;SELECT 1;;SELECT 2;;", []string{"SELECT 1", "SELECT 2"}, "the server refuses ;; but a text with it can be sent piece by piece"},
		{"-- head\nSELECT 1 -- tail\n; /* between */ SELECT 2 /* end */", []string{"SELECT 1", "SELECT 2"}, "comments around a statement stay outside"},
		{"SELECT 1 -- tail", []string{"SELECT 1"}, "a trailing comment would swallow what is appended"},
		{"SELECT /* in */ 1 -- in\n + 1", []string{"SELECT /* in */ 1 -- in\n + 1"}, "comments inside stay"},
		{"INSERT INTO t (s) VALUES ('a;b'';'); SELECT 1", []string{"INSERT INTO t (s) VALUES ('a;b'';')", "SELECT 1"}, "a string holds no separator"},
		{"SELECT CASE WHEN a THEN 1 ELSE 2 END FROM t; BEGIN; COMMIT", []string{"SELECT CASE WHEN a THEN 1 ELSE 2 END FROM t", "BEGIN", "COMMIT"}, "there are no blocks: BEGIN and END nest nothing"},
		{"SELECT 1; SELECT '日本;語'", []string{"SELECT 1", "SELECT '日本;語'"}, "a string may hold any character"},
	} {
		if got := texts(mustParse(t, tc.text)); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q: %q, want %q", tc.why, tc.text, got, tc.want)
		}
	}
}

func TestWhatCannotBeLexedIsRefused(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"SELECT 'a", `line 1, column 8: string is not closed: add the closing ' (write '' for a ' in it)`},
		{"SELECT 'a''", `line 1, column 8: string is not closed: add the closing ' (write '' for a ' in it)`},
		{"SELECT 1,\n  x'00", `line 2, column 3: blob is not closed: add the closing ' (write '' for a ' in it)`},
		{"SELECT \"a\nFROM t", `line 1, column 8: quoted name is not closed: add the closing "`},
		{"SELECT 1 /* a", `line 1, column 10: comment is not closed: add the closing */`},
		{"SELECT 1; /*/", `line 1, column 11: comment is not closed: add the closing */`},
		{"SELECT ?, $1", `line 1, column 11: argument $1 in a query that has ? arguments before it: use one style throughout`},
		{"SELECT $1; SELECT ?", `line 1, column 19: argument ? in a query that has $n arguments before it: use one style throughout`},
		{"SELECT $1, @a", `line 1, column 12: argument @a in a query that has $n arguments before it: use one style throughout`},
		{"SELECT @a, ?", `line 1, column 12: argument ? in a query that has @name arguments before it: use one style throughout`},
		{"?", `line 1, column 1: unexpected ?, expected a statement`},
		{"SELECT $0", `line 1, column 8: argument $0 does not exist: the first is $1`},
		{"SELECT $", `line 1, column 8: $ without an argument number: write $1, $2, …`},
		{"SELECT $$a$$", `line 1, column 8: $ without an argument number: write $1, $2, …`},
		{"SELECT $99999999999", `line 1, column 8: argument number of $99999999999 is too large: number the arguments $1, $2, … without gaps`},
		{"SELECT @1", `line 1, column 8: @ without an argument name: write @name, beginning with a letter or _`},
		{"SELECT :Id", `line 1, column 8: :Id is not a placeholder in immudb: write @Id`},
		{"SELECT a::INTEGER", ""},
		{"SELECT a : 1", `line 1, column 10: unexpected character :`},
	} {
		q, err := Parse(tc.text)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%q: %v, want no error", tc.text, err)
		case tc.want != "" && err == nil:
			t.Errorf("%q: no error, want %q", tc.text, tc.want)
		case tc.want != "" && err.Error() != tc.want:
			t.Errorf("%q:\n got %q\nwant %q", tc.text, err, tc.want)
		case err != nil && q != nil:
			t.Errorf("%q: a query beside an error", tc.text)
		}
	}
}

func TestAnErrorQuotesNoLiteral(t *testing.T) {
	_, err := Parse("CREATE USER bob WITH PASSWORD 'hunter2")
	if want := "line 1, column 31: string is not closed: add the closing ' (write '' for a ' in it)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
