package sqltext

import (
	"strings"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	for _, bm := range []struct{ name, text string }{
		{"select", "SELECT id, name, created FROM accounts WHERE id = ? AND active = TRUE ORDER BY created DESC LIMIT ?"},
		{"insert", "INSERT INTO accounts (id, name, created) VALUES (?, ?, ?) RETURNING id"},
		{"named", "UPDATE accounts SET name = @name WHERE id = @id"},
		{"rows500", "UPSERT INTO accounts (id, name, created) VALUES " + strings.Repeat("(?, ?, ?), ", 499) + "(?, ?, ?)"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bm.text)))
			for b.Loop() {
				if _, err := Parse(bm.text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestASimpleTextCostsFewAllocations(t *testing.T) {
	for text, limit := range map[string]float64{
		"SELECT id, name FROM accounts WHERE id = ?":      10,
		"DELETE FROM accounts WHERE id = $1":              7,
		"INSERT INTO accounts (id, name) VALUES (?, ?)":   11,
		"UPDATE accounts SET name = @name WHERE id = @id": 13,
		"BEGIN": 3,
	} {
		got := testing.AllocsPerRun(100, func() {
			if _, err := Parse(text); err != nil {
				t.Fatal(err)
			}
		})
		if got > limit {
			t.Errorf("%q: %v allocations, want at most %v", text, got, limit)
		}
	}
}
