package bulk

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/sqltext/rules"
)

func columns(types ...string) []rules.Column {
	var all []rules.Column
	for _, typ := range types {
		all = append(all, rules.Column{Name: "c" + typ, Type: typ})
	}
	return all
}

// The server reads short values fastest as literals, and reads them exactly.
func TestValuesAreLiteralsWhereTheServerReadsThemExactly(t *testing.T) {
	for _, row := range []struct {
		value any
		typ   string
		want  string
	}{
		{nil, "INTEGER", "(NULL)"}, {int32(-7), "INTEGER", "(-7)"}, {int64(math.MinInt64), "INTEGER", "((-9223372036854775807-1))"},
		{true, "BOOLEAN", "(TRUE)"}, {1.0, "FLOAT", "(1.0)"}, {0.1, "FLOAT", "(0.1)"}, {math.Copysign(0, -1), "FLOAT", "($1)"}, {1e300, "FLOAT", "($1)"},
		{"it's", "VARCHAR", "('it''s')"}, {strings.Repeat("a", 65), "VARCHAR", "($1)"}, {[]byte{0xab}, "BLOB", "(x'ab')"}, {[]byte(nil), "BLOB", "(NULL)"},
		{time.Unix(0, 0), "TIMESTAMP", "($1)"}, {"null", "JSON", "(NULL)"},
	} {
		var b Rows
		if column, err := b.Append([]any{row.value}, columns(row.typ)); err != nil || string(b.text) != row.want {
			t.Errorf("%v: %s, %q %v, want %s", row.value, b.text, column, err, row.want)
		}
	}
}

func TestAnyConsecutiveRowsAreAList(t *testing.T) {
	var b Rows
	long := strings.Repeat("a", 100)
	for i := range 3 {
		if _, err := b.Append([]any{i, long}, columns("INTEGER", "VARCHAR")); err != nil {
			t.Fatal(err)
		}
	}
	whole := string(b.AppendRequest(nil, []byte("INSERT "), 0, 3))
	part := string(b.AppendRequest(nil, []byte("INSERT "), 1, 2))
	if !strings.Contains(whole, "INSERT (0,$1),(1,$2),(2,$3)") || !strings.Contains(part, "INSERT (1,$2)") {
		t.Errorf("%q, %q", whole, part)
	}
	if strings.Count(whole, long) != 3 || strings.Count(part, long) != 1 {
		t.Errorf("the requests do not hold the arguments of their rows")
	}
}

func TestARowThatCannotBeWrittenIsLeftOutWhole(t *testing.T) {
	var b Rows
	for _, row := range [][]any{{1, "\xff"}, {1, math.NaN()}, {1}, {1, "a", 2}} {
		if _, err := b.Append(row, columns("INTEGER", "VARCHAR")); err == nil {
			t.Errorf("%v is accepted", row)
		}
	}
	if column, _ := b.Append([]any{1, []byte("short")}, columns("INTEGER", "UUID")); column != "cUUID" {
		t.Errorf("the column at fault is %q", column)
	}
	if _, err := b.Append([]any{2, "a"}, columns("INTEGER", "VARCHAR")); err != nil || b.Len() != 1 || string(b.text) != "(2,'a')" {
		t.Errorf("%d rows: %s, %v", b.Len(), b.text, err)
	}
}

func TestStrictRowsRefuseWhatTheServerStoresWrongly(t *testing.T) {
	b := Rows{Strict: true}
	for typ, value := range map[string]any{"TIMESTAMP": time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), "JSON": "12345678901234567890"} {
		if _, err := b.Append([]any{value}, columns(typ)); err == nil || !strings.Contains(err.Error(), "strict") {
			t.Errorf("%s %v: %v", typ, value, err)
		}
	}
}
