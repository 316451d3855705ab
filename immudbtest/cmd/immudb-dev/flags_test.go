package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immudb-go/immudb/immudbtest"
)

func TestAWrongCommandLineIsStatus2(t *testing.T) {
	for _, args := range [][]string{{"-nosuch"}, {"-port", "x"}, {"argument"}, {"-temporary"}, {"-pgsql-port", "5432"}} {
		err := run(t.Context(), args, strings.NewReader(""), io.Discard, io.Discard)
		if err == nil || statusOf(err) != 2 {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestADirectoryInUseIsStatus1AndSaysSo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := start(t, "-dir", dir)
	err := run(t.Context(), []string{"-dir", dir}, strings.NewReader(""), io.Discard, io.Discard)
	if !errors.Is(err, immudbtest.ErrDirInUse) || statusOf(err) != 1 {
		t.Errorf("a second server on the directory ended with %v", err)
	}
	first.end()
	if err := <-first.done; err != nil {
		t.Error(err)
	}
}

func TestHelpFitsAScreenAndNamesTheExitStatuses(t *testing.T) {
	var help, version bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, strings.NewReader(""), io.Discard, &help); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
	if text := help.String(); strings.Count(text, "\n") > 24 || !strings.Contains(text, "exit status: 0") || !strings.Contains(text, "-dir directory") {
		t.Errorf("%d lines:\n%s", strings.Count(text, "\n"), text)
	}
	if err := run(t.Context(), []string{"--version"}, strings.NewReader(""), &version, io.Discard); err != nil || !strings.HasPrefix(version.String(), "immudb-dev ") {
		t.Errorf("%v: %q", err, version.String())
	}
}
