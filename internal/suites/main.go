// Command suites runs the tests of gorm and sqlx with the driver.
//
//	go run ./internal/suites sqlx
//	go run ./internal/suites gorm
//	go run ./internal/suites -rebuild gorm
//	go run ./internal/suites -names sqlx
//	go run ./internal/suites -strict gorm
//	go run ./internal/suites -run TestNamed -v sqlx
//
// It downloads the tests from their projects, changes the copies in a temporary directory so
// that they open a server of the immudbtest module, and counts the results. The repository
// holds no copy of them. Each change must find its text, so that another release of a suite
// is not run by mistake.
package main

import (
	"bufio"
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
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s := settings{}
	flag.StringVar(&s.gorm, "gorm", "https://github.com/go-gorm/gorm", "where to clone gorm from")
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
	suite := map[string]func(context.Context, string, string) (tests, error){"gorm": s.gormSuite, "sqlx": s.sqlxSuite}[name]
	if suite == nil {
		return errors.New("name one suite: gorm or sqlx")
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
	dir string
	env func(dsn string) []string
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
	if s.run != "" {
		args = append(args, "-run", s.run)
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
	ended, output, err := read(stdout)
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

// read reads the events of go test -json: the tests by how they ended, subtests left
// out, and what each has printed.
func read(events io.Reader) (ended map[string][]string, output map[string]string, err error) {
	ended, output = make(map[string][]string), make(map[string]string)
	for d := json.NewDecoder(events); ; {
		var e struct{ Action, Test, Output string }
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		test, _, below := strings.Cut(e.Test, "/")
		switch {
		case e.Action == "output":
			output[test] += e.Output
		case !below && test != "":
			ended[e.Action] = append(ended[e.Action], test)
		}
	}
	for action := range maps.Keys(ended) {
		slices.Sort(ended[action])
	}
	return ended, output, nil
}
