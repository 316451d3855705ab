package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The contenders of a run are this test binary again.
func TestMain(m *testing.M) {
	if slices.Equal(os.Args[1:], []string{childCommand}) {
		if os.Getenv(failures) != "" {
			failSometimes()
			return
		}
		os.Exit(contend())
	}
	os.Exit(m.Run())
}

// failures names the environment variable that says which orders a contender fails: "13" is the first and the third.
const failures = "BENCH_TEST_FAILURES"

func failSometimes() {
	orders, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var a assignment
	err := orders.Decode(&a)
	for n, r := 1, (report{}); err == nil && answers.Encode(r) == nil; n++ {
		var o order
		if err = orders.Decode(&o); strings.Contains(os.Getenv(failures), strconv.Itoa(n)) {
			r = report{Error: "by chance"}
		} else {
			r = report{Sample: sample{Ops: o.N, Wall: 1}}
		}
	}
}

func TestAContenderThatFailsIsAskedOnceMore(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		reason, failures string
		rounds, failed   int
		err              string
	}{
		{"no order fails", "x", 3, 0, ""},
		{"the warm-up and a round fail once", "14", 3, 2, ""},
		{"a round fails twice", "34", 1, 0, "by chance"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			t.Setenv(failures, row.failures)
			s := settings{contenders: []string{"new"}, builds: map[string]string{"new": program}, rounds: 3}
			o, err := compete(t.Context(), &workload{name: "point-adhoc", n: 5}, s, server{}, os.Getpid(), quickScale, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if e := o.entry("new"); len(e.Samples) != row.rounds || len(e.Failures) != row.failed || e.Error != row.err {
				t.Errorf("%d rounds, failures %q, error %q", len(e.Samples), e.Failures, e.Error)
			}
		})
	}
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
