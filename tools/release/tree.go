package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// workTree returns the git tree of the files as they are now: what is committed,
// what is not, and what is new and not ignored.
func workTree(ctx context.Context, root string) (string, error) {
	return withIndex(ctx, root, "HEAD", func(env []string) error {
		_, err := output(ctx, root, env, "git", "add", "--all")
		return err
	})
}

// withIndex runs change with an index of its own that holds tree, and returns the
// tree that the index holds then.
func withIndex(ctx context.Context, root, tree string, change func(env []string) error) (string, error) {
	dir, remove, err := scratch()
	if err != nil {
		return "", err
	}
	defer remove()
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(dir, "index")}
	if _, err := output(ctx, root, env, "git", "read-tree", tree); err != nil {
		return "", err
	}
	if err := change(env); err != nil {
		return "", err
	}
	return output(ctx, root, env, "git", "write-tree")
}

// checkout writes the files of tree to dir, which must end in a slash for git.
func checkout(ctx context.Context, root, tree, dir string) error {
	_, err := withIndex(ctx, root, tree, func(env []string) error {
		_, err := output(ctx, root, env, "git", "checkout-index", "--all", "--prefix="+dir+string(filepath.Separator))
		return err
	})
	return err
}

// author is who makes the commit of a version, whatever git knows of the caller.
var author = []string{
	"GIT_AUTHOR_NAME=release", "GIT_AUTHOR_EMAIL=release@localhost",
	"GIT_COMMITTER_NAME=release", "GIT_COMMITTER_EMAIL=release@localhost",
}

// commit returns a commit whose tree is that of parent with the files of dir at
// the paths given.
func commit(ctx context.Context, root, parent, dir string, paths []string, message string) (string, error) {
	tree, err := withIndex(ctx, root, parent, func(env []string) error {
		for _, path := range paths {
			hash, err := output(ctx, root, nil, "git", "hash-object", "-w", filepath.Join(dir, path))
			if err != nil {
				return err
			}
			if _, err := output(ctx, root, env, "git", "update-index", "--add", "--cacheinfo", "100644,"+hash+","+filepath.ToSlash(path)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return output(ctx, root, author, "git", "commit-tree", tree, "-p", parent, "-m", message)
}

// tag makes the commit of a version and its tags. It publishes nothing.
func tag(ctx context.Context, root, version string) error {
	if dirty, err := output(ctx, root, nil, "git", "status", "--porcelain"); err != nil {
		return err
	} else if dirty != "" {
		return fmt.Errorf("commit these files first:\n%s", dirty)
	}
	changes, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	if !strings.Contains(string(changes), "\n## "+version) {
		return fmt.Errorf("CHANGELOG.md has no section for %s", version)
	}
	if err := compareAPI(ctx, root, false); err != nil {
		return err
	}
	if err := requiresVersion(ctx, root, version); err != nil {
		return err
	}
	dir, remove, err := scratch()
	if err != nil {
		return err
	}
	defer remove()
	release, err := prepare(ctx, root, "HEAD", version, filepath.Join(dir, "proxy"))
	if err != nil {
		return err
	}
	args := []string{"push", "--atomic", "origin"}
	for _, m := range release.modules {
		name := version
		if m.dir != "." {
			name = filepath.ToSlash(m.dir) + "/" + version
		}
		if _, err := output(ctx, root, author, "git", "tag", "--annotate", "--message", m.path+" "+version, name, release.commit); err != nil {
			return err
		}
		args = append(args, name)
	}
	fmt.Printf("The tags are on %s. Publish them with:\n\ngit %s\n", release.commit, strings.Join(args, " "))
	return nil
}
