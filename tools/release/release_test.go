package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// The version has the hash of what it holds in it, since a module cache keeps what
// it once saw under a version.
var made struct {
	root, proxy, version string
	release              *release
}

func TestMain(m *testing.M) { os.Exit(withVersion(m)) }

func withVersion(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx := context.Background()
	root, err := output(ctx, ".", nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return fail(err)
	}
	dir, remove, err := scratch()
	if err != nil {
		return fail(err)
	}
	defer remove()
	tree, err := workTree(ctx, root)
	if err != nil {
		return fail(err)
	}
	// A commit of the tree as it stands, which no branch holds.
	rev, err := output(ctx, root, author, "git", "commit-tree", tree, "-p", "HEAD", "-m", "the tree as it stands")
	if err != nil {
		return fail(err)
	}
	made.root, made.proxy, made.version = root, filepath.Join(dir, "proxy"), "v0.1.0-ci."+tree[:12]
	made.release, err = prepare(ctx, root, rev, made.version, made.proxy)
	if err != nil {
		return fail(err)
	}
	cache, err := output(ctx, root, nil, "go", "env", "GOMODCACHE")
	if err != nil {
		return fail(err)
	}
	defer forget(cache)
	return m.Run()
}

// forget takes the version out of the module cache again.
func forget(cache string) {
	for _, m := range made.release.modules {
		at := filepath.Join(cache, filepath.FromSlash(m.path)+"@"+made.version)
		_ = filepath.WalkDir(at, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				_ = os.Chmod(path, 0o755)
			}
			return nil
		})
		_ = os.RemoveAll(at)
		files, _ := filepath.Glob(filepath.Join(cache, "cache", "download", filepath.FromSlash(m.path), "@v", made.version+".*"))
		for _, file := range files {
			_ = os.Remove(file)
		}
	}
}

// consumer runs go outside the workspace, as somebody does who found the modules
// behind a proxy.
func consumer(t *testing.T, dir string, args ...string) string {
	t.Helper()
	proxy, err := output(t.Context(), dir, nil, "go", "env", "GOPROXY")
	if err != nil {
		t.Fatal(err)
	}
	out, err := output(t.Context(), dir, []string{
		"GOWORK=off",
		"GOFLAGS=-mod=mod",
		"GOPROXY=file://" + filepath.ToSlash(made.proxy) + "," + proxy,
		"GONOSUMDB=" + made.release.modules[0].path + "," + made.release.modules[0].path + "/*",
		"GOBIN=" + filepath.Join(dir, "bin"),
	}, "go", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/consumer\n\ngo 1.26.0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestNoPublishedModuleReplacesAnother(t *testing.T) {
	for _, m := range made.release.modules {
		t.Run(m.path, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(made.proxy, filepath.FromSlash(m.path), "@v", made.version+".mod"))
			if err != nil {
				t.Fatal(err)
			}
			file, err := modfile.Parse("go.mod", data, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(file.Replace) > 0 {
				t.Errorf("go.mod replaces %v", file.Replace[0].Old)
			}
			for _, r := range file.Require {
				if strings.HasPrefix(r.Mod.Path, made.release.modules[0].path) && r.Mod.Version != made.version {
					t.Errorf("go.mod requires %v", r.Mod)
				}
			}
		})
	}
}

func TestNoModuleOfTheTreeReplacesAnother(t *testing.T) {
	modules, err := joined(t.Context(), made.root)
	if err != nil {
		t.Fatal(err)
	}
	version := ""
	for _, m := range modules {
		for _, r := range m.file.Replace {
			t.Errorf("%s replaces %s", m.path, r.Old.Path)
		}
		for _, r := range siblings(m, modules) {
			if version == "" {
				version = r.Version
			}
			if r.Version != version {
				t.Errorf("%s requires %s, others %s", m.path, r, version)
			}
		}
	}
}

// What go.mod and go.sum of the published modules lack, go mod tidy adds.
func TestEachPublishedModuleIsTidy(t *testing.T) {
	dir := t.TempDir()
	if err := checkout(t.Context(), made.root, made.release.commit, dir); err != nil {
		t.Fatal(err)
	}
	for _, m := range made.release.modules {
		t.Run(m.path, func(t *testing.T) {
			consumer(t, filepath.Join(dir, m.dir), "mod", "tidy", "-diff")
		})
	}
}

func TestEachModuleCanBeRequired(t *testing.T) {
	for _, m := range made.release.modules {
		t.Run(m.path, func(t *testing.T) {
			dir := newModule(t)
			consumer(t, dir, "get", m.path+"@"+made.version)
			// Resolves each import of each package of the module.
			if consumer(t, dir, "list", "-deps", m.path+"/...") == "" {
				t.Error("no package was found")
			}
		})
	}
}

// The installed server runs, and a program that requires the modules works on it.
func TestEachCommandCanBeInstalledAndAProgramRuns(t *testing.T) {
	dir := newModule(t)
	commands := 0
	for _, m := range made.release.modules {
		found, err := filepath.Glob(filepath.Join(made.root, m.dir, "cmd", "*", "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, main := range found {
			commands++
			name := filepath.Base(filepath.Dir(main))
			consumer(t, dir, "install", m.path+"/cmd/"+name+"@"+made.version)
			if _, err := output(t.Context(), dir, nil, filepath.Join(dir, "bin", name), "-help"); err != nil {
				t.Error(err)
			}
		}
	}
	if commands < 3 {
		t.Errorf("found %d commands", commands)
	}

	server := exec.CommandContext(t.Context(), filepath.Join(dir, "bin", "immudb-dev"), "-control")
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := server.Wait(); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ready struct {
		DSN string `json:"dsn"`
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "/gormimmudb", "/bunimmudb"} {
		consumer(t, dir, "get", made.release.modules[0].path+name+"@"+made.version)
	}
	consumer(t, dir, "mod", "tidy")
	if out := consumer(t, dir, "run", ".", ready.DSN); out != "gorm wrote it, bun read 1" {
		t.Errorf("the program printed %q", out)
	}
}

const program = `package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"gorm.io/gorm"

	"github.com/immudb-go/immudb/bunimmudb"
	"github.com/immudb-go/immudb/gormimmudb"
)

type Note struct {
	ID   int64
	Text string
}

func main() {
	g, err := gorm.Open(gormimmudb.Open(os.Args[1]))
	if err != nil {
		log.Fatal(err)
	}
	if err := g.AutoMigrate(&Note{}); err != nil {
		log.Fatal(err)
	}
	if err := g.Create(&Note{Text: "a"}).Error; err != nil {
		log.Fatal(err)
	}
	b, err := bunimmudb.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	n, err := b.NewSelect().Model((*Note)(nil)).Count(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("gorm wrote it, bun read", n)
}
`

func TestReleasedAdaptersBuildWithTheDriverOfThisTree(t *testing.T) {
	rev, err := lastVersion(t.Context(), made.root)
	if err != nil {
		t.Fatal(err)
	}
	if rev == "" {
		rev = made.release.commit // the first version will be this
	}
	if err := compat(t.Context(), made.root, rev); err != nil {
		t.Error(err)
	}
}

func TestTheRecordedAPIIsStillThere(t *testing.T) {
	if err := compareAPI(t.Context(), made.root, false); err != nil {
		t.Error(err)
	}
}

func TestAChangedLineOfTheAPIIsReported(t *testing.T) {
	lines, err := exported(t.Context(), made.root, made.release.modules)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"github.com/immudb-go/immudb: type Error struct, field SQLState string",
		"github.com/immudb-go/immudb: func (*Error).Retryable() bool",
		"github.com/immudb-go/immudb: func RunTx(",
	} {
		found := false
		for _, line := range lines {
			found = found || strings.HasPrefix(line, want)
		}
		if !found {
			t.Errorf("%s…: no such line", want)
		}
	}
	if gone := missing(lines, lines[1:]); len(gone) != 1 || gone[0] != lines[0] {
		t.Errorf("without its first line the API lacks %q", gone)
	}
}
