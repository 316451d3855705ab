package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/mod/module"
)

// siblings are what m requires of the other modules.
func siblings(m *goModule, modules []*goModule) []module.Version {
	var required []module.Version
	for _, r := range m.file.Require {
		for _, other := range modules {
			if r.Mod.Path == other.path {
				required = append(required, r.Mod)
			}
		}
	}
	return required
}

// requiresVersion reports a module of the tree that requires another at a version
// that is not this one.
func requiresVersion(ctx context.Context, root, version string) error {
	modules, err := joined(ctx, root)
	if err != nil {
		return err
	}
	for _, m := range modules {
		for _, r := range siblings(m, modules) {
			if r.Version != version {
				return fmt.Errorf("%s requires %s: run first: go -C tools run ./release next %s", m.path, r, version)
			}
		}
	}
	return nil
}

// next makes the modules of the tree require each other at version, and go.work
// find that version in the tree.
func next(ctx context.Context, root, version string) error {
	modules, err := joined(ctx, root)
	if err != nil {
		return err
	}
	path := filepath.Join(root, "go.work")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, m := range modules {
		for _, r := range siblings(m, modules) {
			if err := m.file.AddRequire(r.Path, version); err != nil {
				return err
			}
		}
		data, err := m.file.Format()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(m.dir, "go.mod"), data, 0o644); err != nil {
			return err
		}
	}
	replaced := regexp.MustCompile(`(?m)^(\t` + regexp.QuoteMeta(modules[0].path) + `\S*) v\S+ =>`)
	return os.WriteFile(path, replaced.ReplaceAll(data, []byte("${1} "+version+" =>")), 0o644)
}
