package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// change is a change of a file: old is replaced by new. It must occur the given number of
// times.
type change struct {
	old, new string
	times    int
}

func edit(file string, changes ...change) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(content)
	for _, c := range changes {
		if n := strings.Count(text, c.old); n != c.times {
			return fmt.Errorf("%s: %q is there %d times, want %d: it is another release", filepath.Base(file), c.old, n, c.times)
		}
		text = strings.ReplaceAll(text, c.old, c.new)
	}
	return os.WriteFile(file, []byte(text), 0o600)
}

func failedCommand(name string, output []byte, err error) error {
	return fmt.Errorf("%s: %w\n%s", name, err, output)
}
