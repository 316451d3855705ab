package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const timeFormat = "20060102150405"

// create makes the two files of a new migration and prints their paths.
func (c *command) create(args []string, path string) error {
	flags := newFlagSet()
	ext := flags.String("ext", "sql", "")
	dir := flags.String("dir", path, "")
	seq := flags.Bool("seq", false, "")
	digits := flags.Int("digits", 6, "")
	format := flags.String("format", timeFormat, "")
	zone := flags.String("tz", "UTC", "")
	if err := parse(flags, args); err != nil {
		return err
	}
	switch {
	case flags.NArg() == 0:
		return usageError("create: what is the name of the migration?")
	case flags.NArg() > 1:
		return usageError(fmt.Sprintf("create: unexpected argument %q; options come before the name", flags.Arg(1)))
	case *seq && *format != timeFormat:
		return usageError("create: -seq and -format exclude each other")
	case *digits < 1:
		return usageError("create: -digits must be 1 or more")
	case *format == "":
		return usageError("create: -format must not be empty")
	case strings.ContainsAny(flags.Arg(0), `/\`):
		return usageError("create: the name must not hold a path; use -dir")
	}
	location, err := time.LoadLocation(*zone)
	if err != nil {
		return usageError("create: -tz: " + err.Error())
	}
	if err := os.MkdirAll(filepath.Clean(*dir), 0o777); err != nil {
		return err
	}
	suffix := "." + strings.TrimPrefix(*ext, ".")
	taken, err := versions(*dir, suffix)
	if err != nil {
		return err
	}
	version := timeVersion(time.Now().In(location), *format)
	if *seq {
		if version, err = nextVersion(taken, *digits); err != nil {
			return err
		}
	}
	if taken[version] {
		return fmt.Errorf("create: migration %s already exists", version)
	}
	for _, direction := range []string{"up", "down"} {
		name := filepath.Join(*dir, fmt.Sprintf("%s_%s.%s%s", version, flags.Arg(0), direction, suffix))
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		if abs, err := filepath.Abs(name); err == nil {
			name = abs
		}
		fmt.Fprintln(c.stderr, name)
	}
	return nil
}

// versions returns what stands before the first _ in the names of the directory's
// migrations.
func versions(dir, suffix string) (map[string]bool, error) {
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	taken := map[string]bool{}
	for _, e := range entries {
		if version, _, ok := strings.Cut(e.Name(), "_"); ok && strings.HasSuffix(e.Name(), suffix) {
			taken[version] = true
		}
	}
	return taken, nil
}

func timeVersion(now time.Time, format string) string {
	switch format {
	case "unix":
		return strconv.FormatInt(now.Unix(), 10)
	case "unixNano":
		return strconv.FormatInt(now.UnixNano(), 10)
	}
	return now.Format(format)
}

// nextVersion is the highest version and one, with leading zeros.
func nextVersion(taken map[string]bool, digits int) (string, error) {
	var highest uint64
	for version := range taken {
		n, err := strconv.ParseUint(version, 10, 64)
		if err != nil {
			return "", fmt.Errorf("create: the migration %s_… has no number as its version", version)
		}
		highest = max(highest, n)
	}
	next := fmt.Sprintf("%0*d", digits, highest+1)
	if len(next) > digits {
		return "", errors.New("create: the next version has more digits than -digits")
	}
	return next, nil
}
