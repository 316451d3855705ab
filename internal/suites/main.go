// Command suites runs the tests of gorm, gorm.io/datatypes, bun and sqlx with the driver.
//
//	go run ./internal/suites sqlx
//	go run ./internal/suites gorm
//	go run ./internal/suites datatypes
//	go run ./internal/suites bun
//	go run ./internal/suites -rebuild gorm
//	go run ./internal/suites -names sqlx
//	go run ./internal/suites -strict gorm
//	go run ./internal/suites -run TestNamed -v sqlx
//	go run ./internal/suites -run TestDB/immudb/testExists -v bun
//
// It downloads the tests from their projects, changes the copies in a temporary directory so
// that they open a server of the immudbtest module, and counts the results. The repository
// holds no copy of them. Each change must find its text, so that another release of a suite
// is not run by mistake.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s := settings{}
	flag.StringVar(&s.gorm, "gorm", "https://github.com/go-gorm/gorm", "where to clone gorm from")
	flag.StringVar(&s.bun, "bun", "https://github.com/uptrace/bun", "where to clone bun from")
	flag.BoolVar(&s.rebuild, "rebuild", false, "gorm with RebuildTables")
	flag.BoolVar(&s.names, "names", false, "sqlx with queries that name the columns of tables whose names have capitals")
	flag.BoolVar(&s.strict, "strict", false, "with strict=1 in the DSN")
	flag.StringVar(&s.run, "run", "", "the tests to run, as go test -run takes them")
	flag.BoolVar(&s.verbose, "v", false, "print what the tests that fail print")
	flag.Parse()
	if err := s.main(ctx, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
		os.Exit(1)
	}
}

type settings struct {
	gorm    string
	bun     string
	rebuild bool
	names   bool
	strict  bool
	run     string
	verbose bool
}

func (s *settings) main(ctx context.Context, name string) (err error) {
	root, err := repository()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "immudb-suites-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	suite := map[string]func(context.Context, string, string) (tests, error){"gorm": s.gormSuite, "datatypes": s.datatypesSuite, "bun": s.bunSuite, "sqlx": s.sqlxSuite}[name]
	if suite == nil {
		return errors.New("name one suite: gorm, datatypes, bun or sqlx")
	}
	t, err := suite(ctx, root, dir)
	if err != nil {
		return err
	}
	dsn, end, err := server(ctx, root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if s.strict {
		dsn += "&strict=1"
	}
	return s.count(ctx, t, dsn)
}

// tests are tests to run: their directory, and the environment in which they find
// the server.
type tests struct {
	dir   string
	env   func(dsn string) []string
	run   string // which, unless the caller says so; "": all
	depth int    // how deep subtests are counted as tests; 1: not at all
}

// repository is the directory of this repository.
func repository() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/immudb-go/immudb").Output()
	if err != nil {
		return "", fmt.Errorf("run this in the repository: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// server starts a server with an empty database.
func server(ctx context.Context, root string) (dsn string, end func() error, err error) {
	program := filepath.Join(os.TempDir(), fmt.Sprintf("immudb-suites-server-%d", os.Getpid()))
	if err := run(ctx, filepath.Join(root, "immudbtest"), "go", "build", "-o", program, "./cmd/immudb-dev"); err != nil {
		return "", nil, err
	}
	cmd := exec.Command(program, "-control")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	end = func() error { return errors.Join(stdin.Close(), cmd.Wait(), os.Remove(program)) }
	var ready struct {
		DSN string `json:"dsn"`
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("the server does not start: %w", err), end())
	}
	return ready.DSN, end, nil
}

// download copies a release of a module to a directory, where it can be changed.
func download(ctx context.Context, to, module, release string) error {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module+"@"+release)
	cmd.Dir = filepath.Dir(to)
	out, err := cmd.Output()
	if err != nil {
		return failedCommand("go mod download", out, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(found.Dir)); err != nil {
		return err
	}
	return run(ctx, filepath.Dir(to), "chmod", "-R", "u+w", to)
}

// requireModules makes a module require the driver and one of its adapters, or only the driver
// if adapter is "", as they are in this repository, and completes its go.mod.
func requireModules(ctx context.Context, dir, root, adapter string) error {
	const driver, version = "github.com/immudb-go/immudb", "v0.1.0"
	// Other requirements of a suite want a genproto from before it was divided, of which two
	// modules have the same packages.
	const genproto = "google.golang.org/genproto@v0.0.0-20240213162025-012b6fc9bca9"
	args := []string{"mod", "edit", "-go=1.26.0", "-require=" + genproto, "-require=" + driver + "@" + version, "-replace=" + driver + "=" + root}
	if adapter != "" {
		args = append(args, "-require="+driver+"/"+adapter+"@"+version, "-replace="+driver+"/"+adapter+"="+filepath.Join(root, adapter))
	}
	if err := run(ctx, dir, "go", args...); err != nil {
		return err
	}
	return run(ctx, dir, "go", "mod", "tidy")
}

// run runs a command and returns what it prints as a part of its error.
func run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// count runs tests and prints their results.
func (s *settings) count(ctx context.Context, t tests, dsn string) error {
	args := []string{"test", "-json", "-count=1", "-timeout=30m"}
	if which := cmp.Or(s.run, t.run); which != "" {
		args = append(args, "-run", which)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...)
	cmd.Dir, cmd.Env = t.dir, append(append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod"), t.env(dsn)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended, output, err := read(stdout, t.depth)
	exit := cmd.Wait() // an error too where a test fails
	if err != nil {
		return err
	}
	if len(ended["pass"]) == 0 {
		return fmt.Errorf("no test has passed: %w\n%s", exit, output[""])
	}
	for _, test := range ended["fail"] {
		fmt.Println("FAIL", test)
		if s.verbose {
			fmt.Print(output[test])
		}
	}
	fmt.Printf("ran %d, passed %d, failed %d, skipped by the suite %d\n", len(ended["pass"])+len(ended["fail"]), len(ended["pass"]), len(ended["fail"]), len(ended["skip"]))
	return nil
}

// read reads the events of go test -json: the tests by how they ended, and what each has
// printed. Subtests down to the given depth are tests in place of those that they are part of.
func read(events io.Reader, depth int) (ended map[string][]string, output map[string]string, err error) {
	ended, output = make(map[string][]string), make(map[string]string)
	divided := make(map[string]bool) // into subtests that count
	how := make(map[string]string)
	for d := json.NewDecoder(events); ; {
		var e struct{ Action, Test, Output string }
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		names := strings.Split(e.Test, "/")
		test := strings.Join(names[:min(len(names), depth)], "/")
		switch {
		case e.Action == "output":
			output[test] += e.Output
		case len(names) <= depth && test != "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip"):
			how[test] = e.Action
			divided[path.Dir(test)] = true
		}
	}
	for _, test := range slices.Sorted(maps.Keys(how)) {
		if !divided[test] {
			ended[how[test]] = append(ended[how[test]], test)
		}
	}
	return ended, output, nil
}
