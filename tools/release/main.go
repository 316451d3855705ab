// Command release makes a version of every module of this repository.
//
//	go -C tools run ./release proxy VERSION DIR   write the version into DIR, in the form of a module proxy
//	go -C tools run ./release tag VERSION         make the commit of the version, and a tag on it for each module
//	go -C tools run ./release compat [REV]        build the adapters of REV (default: the last version) with the driver of this tree
//	go -C tools run ./release api [-write]        compare the exported API with api.txt, or write it there
//	go -C tools run ./release tidy [-write]       check that the go.mod and go.sum of every module are tidy, or make them so
//	go -C tools run ./release next VERSION        make the modules of the tree require each other at VERSION
//
// The modules of the tree require each other at the version that comes next, and
// go.work joins them; "go install …@version" refuses a go.mod with a replace. The
// commit of a version is not on the main branch: it differs from its parent in
// go.sum, which has the hashes of the other modules, and in that each module has
// the licence.
//
// The modules under internal/ and tools/ are not published.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

const usage = `usage: release proxy VERSION DIR | tag VERSION | compat [REV] | api [-write] | tidy [-write] | next VERSION`

var errUsage = errors.New(usage)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		if errors.Is(err, errUsage) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	root, err := output(ctx, ".", nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	command, args := "", args
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch {
	case command == "proxy" && len(args) == 2:
		if err := checkVersion(args[0]); err != nil {
			return err
		}
		tree, err := workTree(ctx, root)
		if err != nil {
			return err
		}
		_, err = prepare(ctx, root, tree, args[0], args[1])
		return err
	case command == "tag" && len(args) == 1:
		if err := checkVersion(args[0]); err != nil {
			return err
		}
		return tag(ctx, root, args[0])
	case command == "compat" && len(args) <= 1:
		rev := ""
		if len(args) == 1 {
			rev = args[0]
		}
		return compat(ctx, root, rev)
	case command == "api" && (len(args) == 0 || len(args) == 1 && args[0] == "-write"):
		return compareAPI(ctx, root, len(args) == 1)
	case command == "tidy" && (len(args) == 0 || len(args) == 1 && args[0] == "-write"):
		return tidy(ctx, root, len(args) == 1)
	case command == "next" && len(args) == 1:
		if err := checkVersion(args[0]); err != nil {
			return err
		}
		return next(ctx, root, args[0])
	}
	return errUsage
}

func checkVersion(version string) error {
	if semver.Canonical(version) != version || semver.Major(version) != "v0" && semver.Major(version) != "v1" {
		return fmt.Errorf("%q is no version of these modules: write it as v0.1.0", version)
	}
	return nil
}

// output runs a command in dir, with env added to the environment, and returns what
// it printed.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s, in %s: %w\n%s%s", name, strings.Join(args, " "), dir, err, out, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// scratch makes a directory for the time of a run.
func scratch() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "release-")
	if err != nil {
		return "", nil, err
	}
	dir, err = filepath.EvalSymlinks(dir)
	return dir, func() { _ = os.RemoveAll(dir) }, err
}
