package testserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
)

// buildDev builds immudb-dev of this checkout, once per process. The file is kept between runs because linking it takes
// seconds; if it is up to date the go command takes 0.2 s.
var buildDev = sync.OnceValues(func() (string, error) {
	module, err := devModule()
	if err != nil {
		return "", err
	}
	// Each checkout has a separate file, so that it does not run the build of another one.
	h := fnv.New64a()
	h.Write([]byte(module))
	bin, unlock, err := lockProgram(fmt.Sprintf("immudb-dev-%x", h.Sum64()))
	if err != nil {
		return "", err
	}
	defer unlock()
	_, err = goCommand(module, nil, "build", "-buildvcs=false", "-o", bin, "./cmd/immudb-dev")
	return bin, err
})

// devModule finds the immudbtest module in the checkout that the test runs in.
func devModule() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("testserver: %w", err)
	}
	for {
		module := filepath.Join(dir, "immudbtest")
		_, err := os.Stat(filepath.Join(module, "cmd", "immudb-dev", "main.go"))
		if err == nil {
			return module, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("testserver: %w", err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("testserver: no immudbtest above the working directory; "+
				"run the tests in a checkout of the repository, or name a running server in %s", dsnVariable)
		}
		dir = parent
	}
}

const serverModule = "github.com/codenotary/immudb"

var releaseVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`)

// buildVersion builds the immudb command of a release, once per machine.
func buildVersion(version string) (_ string, err error) {
	if !releaseVersion.MatchString(version) {
		return "", fmt.Errorf("testserver: %q is not the version of a release, such as v1.9.5", version)
	}
	bin, unlock, err := lockProgram("immudb-" + version)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	dir, err := os.MkdirTemp(filepath.Dir(bin), "build-")
	if err != nil {
		return "", fmt.Errorf("testserver: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := requireRelease(dir, version); err != nil {
		return "", err
	}
	built := filepath.Join(dir, filepath.Base(bin))
	_, err = goCommand(dir, alone, "build", "-mod=mod", "-o", built,
		"-ldflags=-X "+serverModule+"/cmd/version.Version="+version[1:], serverModule+"/cmd/immudb")
	if err != nil {
		return "", err
	}
	if err := os.Rename(built, bin); err != nil {
		return "", fmt.Errorf("testserver: %w", err)
	}
	return bin, nil
}

// alone makes the go command use only the module in its directory.
var alone = []string{"GOWORK=off", "GOFLAGS="}

// requireRelease makes dir a module that builds the same code as the release. "go install …@version" refuses modules with
// replace directives, which the releases have, so they are copied.
func requireRelease(dir, version string) error {
	if _, err := goCommand(dir, alone, "mod", "init", "release"); err != nil {
		return err
	}
	text, err := goCommand(dir, alone, "mod", "download", "-json", serverModule+"@"+version)
	if err != nil {
		return err
	}
	var downloaded struct{ GoMod string }
	if err := json.Unmarshal(text, &downloaded); err != nil {
		return fmt.Errorf("testserver: go mod download: %w", err)
	}
	if text, err = goCommand(dir, alone, "mod", "edit", "-json", downloaded.GoMod); err != nil {
		return err
	}
	type module struct{ Path, Version string }
	var mod struct {
		Replace []struct{ Old, New module }
	}
	if err := json.Unmarshal(text, &mod); err != nil {
		return fmt.Errorf("testserver: go mod edit: %w", err)
	}
	edit := []string{"mod", "edit", "-require=" + serverModule + "@" + version}
	at := func(m module) string {
		if m.Version == "" {
			return m.Path
		}
		return m.Path + "@" + m.Version
	}
	for _, r := range mod.Replace {
		edit = append(edit, "-replace="+at(r.Old)+"="+at(r.New))
	}
	_, err = goCommand(dir, alone, edit...)
	return err
}

// lockProgram returns the path of a program in our cache directory, after waiting for other processes that build it.
func lockProgram(name string) (bin string, unlock func(), err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", nil, fmt.Errorf("testserver: %w; the servers under test are built there", err)
	}
	dir := filepath.Join(cache, "immudb-go", "testserver")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("testserver: %w", err)
	}
	bin = filepath.Join(dir, name)
	f, err := os.OpenFile(bin+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("testserver: %w", err)
	}
	if err := lock(f); err != nil {
		return "", nil, errors.Join(fmt.Errorf("testserver: locking %s: %w", f.Name(), err), f.Close())
	}
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	return bin, func() { _ = f.Close() }, nil // closing releases the lock
}

// goCommand returns the standard output of the go command, and its standard error as an error.
func goCommand(dir string, env []string, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("testserver: go %s %s: %w\n%s", args[0], args[1], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}
