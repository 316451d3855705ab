package tree

import (
	"strings"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	for _, bm := range []struct{ name, text string }{
		{"point", "SELECT id, name, created FROM accounts WHERE id = ?"},
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

func TestAPointSelectCostsFewAllocations(t *testing.T) {
	got := testing.AllocsPerRun(100, func() {
		if _, err := Parse("SELECT id, name FROM accounts WHERE id = ?"); err != nil {
			t.Fatal(err)
		}
	})
	if got > 12 {
		t.Errorf("%v allocations, want at most 12", got)
	}
}
