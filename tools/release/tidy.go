package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

// tidy does what "go mod tidy" does, in each module of the tree. It works before
// the version that they require of each other is published: they are found in the
// tree, and go.sum holds no line for them. Without write it changes nothing, and
// what it would change is an error.
func tidy(ctx context.Context, root string, write bool) error {
	modules, err := joined(ctx, root)
	if err != nil {
		return err
	}
	var found []error
	for _, m := range modules {
		if err := tidyModule(ctx, m, modules, write); err != nil {
			found = append(found, fmt.Errorf("%s: %w", m.path, err))
		}
	}
	return errors.Join(found...)
}

// joined is every module of go.work, and that of the tools.
func joined(ctx context.Context, root string) ([]*goModule, error) {
	list, err := output(ctx, root, []string{"GOWORK=" + filepath.Join(root, "go.work")}, "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return nil, err
	}
	var modules []*goModule
	for _, dir := range append(strings.Split(list, "\n"), filepath.Join(root, "tools")) {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			return nil, err
		}
		file, err := modfile.Parse(filepath.Join(dir, "go.mod"), data, nil)
		if err != nil {
			return nil, err
		}
		modules = append(modules, &goModule{dir: dir, path: file.Module.Mod.Path, file: file})
	}
	return modules, nil
}

// tidyModule tidies a copy of the module's go.mod and go.sum, in which the modules
// of the tree replace each other.
func tidyModule(ctx context.Context, m *goModule, modules []*goModule, write bool) error {
	for _, r := range m.file.Replace {
		return fmt.Errorf("go.mod replaces %s: join modules in go.work", r.Old.Path)
	}
	scratch, remove, err := scratch()
	if err != nil {
		return err
	}
	defer remove()
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(m.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(filepath.Join(scratch, name), data, 0o644); err != nil {
			return err
		}
	}
	copied := filepath.Join(scratch, "go.mod")
	edit, undo := []string{"mod", "edit"}, []string{"mod", "edit"}
	for _, other := range modules {
		edit = append(edit, "-replace="+other.path+"="+other.dir)
		undo = append(undo, "-dropreplace="+other.path)
	}
	env := []string{"GOWORK=off"}
	if _, err := output(ctx, m.dir, env, "go", append(edit, copied)...); err != nil {
		return err
	}
	if _, err := output(ctx, m.dir, env, "go", "mod", "tidy", "-modfile="+copied); err != nil {
		return err
	}
	if _, err := output(ctx, m.dir, env, "go", append(undo, copied)...); err != nil {
		return err
	}
	var changed []string
	for _, name := range []string{"go.mod", "go.sum"} {
		now, err := os.ReadFile(filepath.Join(scratch, name))
		if err != nil {
			return err
		}
		before, err := os.ReadFile(filepath.Join(m.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if bytes.Equal(bytes.TrimSpace(now), bytes.TrimSpace(before)) {
			continue
		}
		if !write {
			changed = append(changed, name)
			continue
		}
		if err := os.WriteFile(filepath.Join(m.dir, name), now, 0o644); err != nil {
			return err
		}
	}
	if len(changed) > 0 {
		return fmt.Errorf("%s: not tidy; write it with: go -C tools run ./release tidy -write", strings.Join(changed, " and "))
	}
	return nil
}
