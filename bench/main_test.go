package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The contenders of a run are this test binary again.
func TestMain(m *testing.M) {
	if slices.Equal(os.Args[1:], []string{childCommand}) {
		os.Exit(contend())
	}
	os.Exit(m.Run())
}

func TestQuickRunWritesTableFiguresAndChart(t *testing.T) {
	out := t.TempDir()
	var table, progress strings.Builder
	if err := run(t.Context(), []string{"-quick", "-only", "point-adhoc,insert", "-out", out}, &table, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	for _, contender := range contenders {
		if !strings.Contains(table.String(), contender) {
			t.Errorf("the table lacks %s:\n%s", contender, table.String())
		}
	}
	if strings.Contains(table.String(), "immudb-go: FAILED") {
		t.Errorf("this driver failed:\n%s", table.String())
	}
	for _, pattern := range []string{"*.json", "*.svg"} {
		files, err := filepath.Glob(filepath.Join(out, pattern))
		if err != nil || len(files) == 0 {
			t.Errorf("no %s was written (%v)", pattern, err)
		}
	}
}

func TestTurnsAreFairToAll(t *testing.T) {
	entries := []*entry{{Contender: "a"}, {Contender: "b"}, {Contender: "c"}, {Contender: "d"}}
	first, after := map[*entry]int{}, map[[2]*entry]int{}
	for round := range 2 * len(entries) {
		order := turns(entries, round)
		first[order[0]]++
		for i := range order[1:] {
			after[[2]*entry{order[i], order[i+1]}]++
		}
	}
	for i, a := range entries {
		if first[a] != 2 {
			t.Errorf("%s comes first %d times in 8 rounds, want 2", a.Contender, first[a])
		}
		b := entries[(i+1)%len(entries)]
		if there, back := after[[2]*entry{a, b}], after[[2]*entry{b, a}]; there != back || there == 0 {
			t.Errorf("%s comes %d times before %s and %d times after it", a.Contender, there, b.Contender, back)
		}
	}
}
