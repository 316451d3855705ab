package written

import (
	"database/sql/driver"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// statements adds the statements of a text. Arguments are the numbers 100, 101, ….
func statements(t *testing.T, w *Writes, text string) {
	t.Helper()
	script, err := tree.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range script.Statements {
		w.AddStatement(st, func(p *tree.Param) driver.Value { return int64(100 + p.Index) })
	}
}

// Tables are those of which rows are known to be there in the end.
func TestOnlyRowsThatNoLaterStatementMayHaveChangedAreKnown(t *testing.T) {
	for text, want := range map[string][]string{
		"INSERT INTO a (id) VALUES (1); UPSERT INTO b (id) VALUES (?)":               {"a", "b"},
		"INSERT INTO a (id) VALUES (1); UPDATE b SET v = 1 WHERE id = 1":             {"a"},
		"INSERT INTO a (id) VALUES (1); UPDATE a SET v = 1 WHERE id = 1":             nil,
		"DELETE FROM a WHERE id = 1; INSERT INTO a (id) VALUES (1)":                  {"a"},
		"INSERT INTO a (id) VALUES (1) ON CONFLICT DO NOTHING":                       nil,
		"INSERT INTO a (id) SELECT id FROM b":                                        nil,
		"INSERT INTO a (id) VALUES (1); CREATE TABLE c (id INTEGER, PRIMARY KEY id)": nil,
		"DROP TABLE c; INSERT INTO a (id) VALUES (1)":                                {"a"},
	} {
		var w Writes
		statements(t, &w, text)
		if got := w.Tables(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// A copy is what was written up to a savepoint; what is added later is not in it.
func TestCloneDoesNotChangeWithWhatItWasCopiedFrom(t *testing.T) {
	var w Writes
	statements(t, &w, "INSERT INTO a (id) VALUES (1)")
	before := w.Clone()
	statements(t, &w, "INSERT INTO b (id) VALUES (1); DELETE FROM a WHERE id = 1")
	if got := before.Tables(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the copy has the tables %q", got)
	}
	if got := w.Tables(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("the original has the tables %q", got)
	}
}

func TestValuesThatAreWrittenDownAreKnown(t *testing.T) {
	known := map[string]any{
		"?": int64(100), "1": int64(1), "-1": int64(-1), "(2)": int64(2), "1.5": 1.5, "-0.5": -0.5, "NULL": nil, "TRUE": true,
		"'it''s'": "it's", "x'00ff'": []byte{0, 255},
	}
	for _, text := range []string{"NOW()", "1 + 1", "CAST('1' AS INTEGER)", "-?", "NOT TRUE"} {
		known[text] = Value{}
	}
	for text, want := range known {
		script, err := tree.Parse("INSERT INTO a (id) VALUES (" + text + ")")
		if err != nil {
			t.Fatal(err)
		}
		got := constant(script.Statements[0].(*tree.Insert).Rows[0].Values[0], func(*tree.Param) driver.Value { return int64(100) })
		if _, unknown := want.(Value); unknown {
			if got.Known {
				t.Errorf("%s: %v is known", text, got.Value)
			}
		} else if !got.Known || !reflect.DeepEqual(got.Value, want) {
			t.Errorf("%s: %#v, want %#v", text, got, want)
		}
	}
}

func TestStoredValueHasTheTypeOfItsColumn(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("east", 3600))
	for _, row := range []struct {
		sent any
		typ  proof.Type
		want any // nil: not known
	}{
		{int64(1), proof.Integer, int64(1)}, {int64(1), proof.Float, 1.0}, {int64(1), proof.Varchar, nil}, {1.5, proof.Float, 1.5}, {1.5, proof.Integer, nil},
		{true, proof.Boolean, true}, {"x", proof.Varchar, "x"}, {"x", proof.Blob, nil}, {"2026-01-01", proof.Timestamp, nil},
		{at, proof.Timestamp, time.Date(2026, 1, 2, 2, 4, 5, 6000, time.UTC)}, {[]byte{1}, proof.Blob, []byte{1}}, {[]byte{1}, proof.UUID, nil},
		{"00000000-0000-0000-0000-0000000000ff", proof.UUID, [16]byte{15: 255}}, {"not a uuid", proof.UUID, nil}, {make([]byte, 16), proof.UUID, [16]byte{}},
		{"{}", proof.JSON, proof.RawJSON("{}")},
	} {
		got, ok := Value{row.sent, true}.stored(&proof.Column{Type: row.typ})
		if ok != (row.want != nil) || ok && !reflect.DeepEqual(got, row.want) {
			t.Errorf("%v in %s: %v, %v", row.sent, row.typ, got, ok)
		}
	}
	if _, ok := (Value{}).stored(&proof.Column{Type: proof.Integer}); ok {
		t.Error("a value that the server computes is known")
	}
	if v, ok := (Value{nil, true}).stored(&proof.Column{Type: proof.Integer}); v != nil || !ok {
		t.Errorf("NULL: %v, %v", v, ok)
	}
}

func TestValuesAreComparedByWhatTheyMean(t *testing.T) {
	for _, row := range []struct {
		a, b any
		same bool
	}{
		{int64(1), int64(1), true}, {int64(1), int64(2), false}, {nil, nil, true}, {nil, int64(0), false}, {[]byte("a"), []byte("a"), true},
		{[]byte("a"), []byte("b"), false}, {[]byte("a"), nil, false}, {proof.RawJSON(`{"a":1,"b":2}`), proof.RawJSON(`{"b": 2, "a": 1}`), true},
		{proof.RawJSON(`1`), proof.RawJSON(`2`), false}, {proof.RawJSON(`1`), nil, false}, {"a", "a", true},
	} {
		if same(row.a, row.b) != row.same {
			t.Errorf("%s and %s: same is not %v", fmt.Sprint(row.a), fmt.Sprint(row.b), row.same)
		}
	}
}
