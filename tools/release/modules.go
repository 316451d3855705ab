package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	modzip "golang.org/x/mod/zip"
)

type goModule struct {
	dir  string // below the root
	path string
	file *modfile.File
}

// release is a version of all modules.
type release struct {
	modules []*goModule // each behind those that it requires
	commit  string      // on which their tags belong
}

// prepare writes the modules of tree at version into proxy, and makes the commit
// on which their tags belong if tree is a commit.
func prepare(ctx context.Context, root, tree, version, proxy string) (*release, error) {
	dir, remove, err := scratch()
	if err != nil {
		return nil, err
	}
	defer remove()
	if err := checkout(ctx, root, tree, dir); err != nil {
		return nil, err
	}
	modules, err := published(dir)
	if err != nil {
		return nil, err
	}
	license, err := os.ReadFile(filepath.Join(dir, "LICENSE"))
	if err != nil {
		return nil, err
	}
	var changed []string
	var sums []string // of the modules so far
	for _, m := range modules {
		if err := publish(dir, m, modules, version, sums); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, m.dir, "LICENSE"), license, 0o644); err != nil {
			return nil, err
		}
		for _, name := range []string{"go.mod", "go.sum", "LICENSE"} {
			changed = append(changed, filepath.Join(m.dir, name))
		}
		added, err := write(filepath.Join(dir, m.dir), module.Version{Path: m.path, Version: version}, proxy)
		if err != nil {
			return nil, err
		}
		sums = append(sums, added...)
	}
	r := &release{modules: modules}
	if kind, err := output(ctx, root, nil, "git", "cat-file", "-t", tree); err != nil {
		return nil, err
	} else if kind == "commit" {
		r.commit, err = commit(ctx, root, tree, dir, changed, version)
		return r, err
	}
	return r, nil
}

// published finds the modules below root that are published, each behind those
// that it requires.
func published(root string) ([]*goModule, error) {
	found := make(map[string]*goModule)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); rel != "." && (name == "internal" || name == "testdata" || rel == "tools" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if entry.Name() != "go.mod" {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := modfile.Parse(rel, data, nil)
		if err != nil {
			return err
		}
		found[file.Module.Mod.Path] = &goModule{dir: filepath.Dir(rel), path: file.Module.Mod.Path, file: file}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var sorted []*goModule
	done := make(map[string]bool)
	var visit func(m *goModule, above []string) error
	visit = func(m *goModule, above []string) error {
		if done[m.path] {
			return nil
		}
		if slices.Contains(above, m.path) {
			return fmt.Errorf("these modules require each other: %s", strings.Join(above, ", "))
		}
		for _, r := range m.file.Require {
			if sibling := found[r.Mod.Path]; sibling != nil {
				if err := visit(sibling, append(above, m.path)); err != nil {
					return err
				}
			}
		}
		done[m.path] = true
		sorted = append(sorted, m)
		return nil
	}
	for _, path := range slices.Sorted(maps.Keys(found)) {
		if err := visit(found[path], nil); err != nil {
			return nil, err
		}
	}
	if len(sorted) == 0 {
		return nil, errors.New("there is no go.mod")
	}
	return sorted, nil
}

// publish writes the go.mod and go.sum that m is published with.
func publish(root string, m *goModule, modules []*goModule, version string, sums []string) error {
	sibling := make(map[string]bool)
	for _, other := range modules {
		sibling[other.path] = true
	}
	for _, r := range slices.Clone(m.file.Replace) {
		if !sibling[r.Old.Path] {
			return fmt.Errorf("%s replaces %s, which a published module cannot do", m.path, r.Old.Path)
		}
		if err := m.file.DropReplace(r.Old.Path, r.Old.Version); err != nil {
			return err
		}
	}
	var added []string
	for _, r := range m.file.Require {
		switch {
		case sibling[r.Mod.Path]:
			if err := m.file.AddRequire(r.Mod.Path, version); err != nil {
				return err
			}
			for _, line := range sums {
				if strings.HasPrefix(line, r.Mod.Path+" ") {
					added = append(added, line)
				}
			}
		case strings.HasPrefix(r.Mod.Path, modules[0].path+"/"):
			return fmt.Errorf("%s requires %s, which is not published", m.path, r.Mod.Path)
		}
	}
	m.file.Cleanup()
	data, err := m.file.Format()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, m.dir, "go.mod"), data, 0o644); err != nil {
		return err
	}
	path := filepath.Join(root, m.dir, "go.sum")
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines := added
	for line := range strings.Lines(string(old)) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return os.WriteFile(path, []byte(strings.Join(sortSums(lines), "\n")+"\n"), 0o644)
}

// sortSums puts lines of go.sum in the order of the go command.
func sortSums(lines []string) []string {
	var versions []module.Version
	sums := make(map[module.Version]string)
	for _, line := range lines {
		if part := strings.Fields(line); len(part) == 3 {
			v := module.Version{Path: part[0], Version: part[1]}
			versions, sums[v] = append(versions, v), line
		}
	}
	module.Sort(versions)
	sorted := make([]string, len(versions))
	for i, v := range versions {
		sorted[i] = sums[v]
	}
	return sorted
}

// programs reports whether nobody imports the packages of m.
func (m *goModule) programs() bool { return m.dir == "examples" || m.dir == "bench" }

// write puts the module in dir into proxy, and returns its lines of go.sum.
func write(dir string, m module.Version, proxy string) ([]string, error) {
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return nil, err
	}
	at := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return nil, err
	}
	file := func(suffix string) string { return filepath.Join(at, m.Version+suffix) }
	archive, err := os.Create(file(".zip"))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(modzip.CreateFromDir(archive, m, dir), archive.Close()); err != nil {
		return nil, err
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	info := fmt.Sprintf("{\"Version\":%q,\"Time\":%q}\n", m.Version, time.Now().UTC().Format(time.RFC3339))
	if err := errors.Join(
		os.WriteFile(file(".mod"), mod, 0o644),
		os.WriteFile(file(".info"), []byte(info), 0o644),
		os.WriteFile(filepath.Join(at, "list"), []byte(m.Version+"\n"), 0o644),
	); err != nil {
		return nil, err
	}
	sum, err := dirhash.HashZip(file(".zip"), dirhash.Hash1)
	if err != nil {
		return nil, err
	}
	modSum, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) { return os.Open(file(".mod")) })
	if err != nil {
		return nil, err
	}
	return []string{m.Path + " " + m.Version + " " + sum, m.Path + " " + m.Version + "/go.mod " + modSum}, nil
}
