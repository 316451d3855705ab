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
