package main

import (
	"strings"
	"testing"
)

func TestHelpFitsAScreenAndNamesTheExitStatuses(t *testing.T) {
	status, _, help := audit(t, "", "--help")
	if status != statusOK || strings.Count(help, "\n") > 24 || !strings.Contains(help, "exit status:") || !strings.Contains(help, "  5  ") {
		t.Errorf("status %d, %d lines:\n%s", status, strings.Count(help, "\n"), help)
	}
	if status, version, _ := audit(t, "", "--version"); status != statusOK || !strings.HasPrefix(version, "immudb-audit ") {
		t.Errorf("status %d: %q", status, version)
	}
}
