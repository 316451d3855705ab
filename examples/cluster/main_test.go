package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The program runs as users run it: the race detector would find races of the servers, which are in the same process.
func TestNoOrderIsLostWhenThePrimaryIs(t *testing.T) {
	program := filepath.Join(t.TempDir(), "cluster")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"Writes go to db1", "were answered by a replica", "connection refused", "Writes go to db2", "is a second primary", "Writes still go to db2", "None is missing"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output does not say %q:\n%s", want, out)
		}
	}
}
