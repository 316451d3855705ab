package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

// compat builds the modules of rev other than the root with the root of the tree
// as it stands: a program may take a newer driver than its adapters.
func compat(ctx context.Context, root, rev string) error {
	if rev == "" {
		last, err := lastVersion(ctx, root)
		if err != nil {
			return err
		}
		if last == "" {
			fmt.Println("no version is tagged yet, so there is no released adapter to build")
			return nil
		}
		rev = last
	}
	dir, remove, err := scratch()
	if err != nil {
		return err
	}
	defer remove()
	if err := checkout(ctx, root, rev, dir); err != nil {
		return err
	}
	modules, err := published(dir)
	if err != nil {
		return err
	}
	// What they replace or require of each other is taken from the same revision.
	for _, m := range modules {
		requires := false
		edit := []string{"mod", "edit"}
		for _, other := range modules {
			at := filepath.Join(dir, other.dir)
			if other.dir == "." {
				at = root
			}
			edit = append(edit, "-replace="+other.path+"="+at)
		}
		for _, r := range m.file.Require {
			requires = requires || r.Mod.Path == modules[0].path
		}
		if !requires || m.programs() {
			continue
		}
		env := []string{"GOWORK=off", "GOFLAGS=-mod=mod"}
		at := filepath.Join(dir, m.dir)
		if _, err := output(ctx, at, env, "go", edit...); err != nil {
			return err
		}
		if _, err := output(ctx, at, env, "go", "build", "./..."); err != nil {
			return fmt.Errorf("%s of %s does not build with the driver of this tree: %w", m.path, rev, err)
		}
		fmt.Printf("%s of %s builds with the driver of this tree\n", m.path, rev)
	}
	return nil
}

// lastVersion is the newest tagged version of the root module, or "".
func lastVersion(ctx context.Context, root string) (string, error) {
	tags, err := output(ctx, root, nil, "git", "tag", "--list", "v*")
	if err != nil {
		return "", err
	}
	last := ""
	for tag := range strings.FieldsSeq(tags) {
		if semver.IsValid(tag) && semver.Compare(tag, last) > 0 {
			last = tag
		}
	}
	return last, nil
}
