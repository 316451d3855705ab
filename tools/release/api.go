package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// compareAPI compares the exported API of the published modules with api.txt of
// the last version. A line that is gone is a change that breaks programs; lines
// that are new are reported, and go into the file with -write.
func compareAPI(ctx context.Context, root string, write bool) error {
	modules, err := published(root)
	if err != nil {
		return err
	}
	lines, err := exported(ctx, root, modules)
	if err != nil {
		return err
	}
	path := filepath.Join(root, "tools", "release", "api.txt")
	if write {
		return os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
	}
	recorded, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	gone := missing(strings.Split(string(bytes.TrimSpace(recorded)), "\n"), lines)
	if len(gone) > 0 {
		return fmt.Errorf("these lines of the recorded API are gone or changed, which breaks programs:\n%s\n"+
			"Say so in CHANGELOG.md and record the new API with -write", strings.Join(gone, "\n"))
	}
	if added := missing(lines, strings.Split(string(recorded), "\n")); len(added) > 0 {
		fmt.Printf("new since the recorded API:\n%s\n", strings.Join(added, "\n"))
	}
	return nil
}

// missing returns the lines of a that b does not hold.
func missing(a, b []string) []string {
	there := make(map[string]bool)
	for _, line := range b {
		there[line] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(line string) bool { return there[line] })
}

// exported describes each exported thing of the modules in a line: the members of
// types too.
func exported(ctx context.Context, root string, modules []*goModule) ([]string, error) {
	var patterns []string
	for _, m := range modules {
		if !m.programs() {
			patterns = append(patterns, "./"+filepath.ToSlash(m.dir)+"/...")
		}
	}
	loaded, err := packages.Load(&packages.Config{
		Context: ctx,
		Dir:     root,
		Env:     append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK="+filepath.Join(root, "go.work")),
		Mode:    packages.NeedName | packages.NeedTypes | packages.NeedImports | packages.NeedExportFile,
	}, patterns...)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, p := range loaded {
		for _, err := range p.Errors {
			return nil, err
		}
		if p.Name == "main" || strings.Contains(p.PkgPath+"/", "/internal/") {
			continue
		}
		lines = append(lines, describe(p.Types)...)
	}
	if len(lines) == 0 {
		return nil, errors.New("no package exports anything")
	}
	slices.Sort(lines)
	return slices.Compact(lines), nil
}

func describe(p *types.Package) []string {
	qualify := types.RelativeTo(p)
	var lines []string
	line := func(format string, args ...any) {
		lines = append(lines, p.Path()+": "+strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
	}
	for _, name := range p.Scope().Names() {
		object := p.Scope().Lookup(name)
		if !object.Exported() {
			continue
		}
		named, isType := object.(*types.TypeName)
		if !isType {
			line("%s", types.ObjectString(object, qualify))
			continue
		}
		switch under := named.Type().Underlying().(type) {
		case *types.Struct:
			line("type %s struct", name)
			for field := range under.Fields() {
				if field.Exported() {
					line("type %s struct, %s", name, types.ObjectString(field, qualify))
				}
			}
		default:
			line("%s", types.ObjectString(object, qualify))
		}
		if types.IsInterface(named.Type()) {
			continue
		}
		methods := types.NewMethodSet(types.NewPointer(named.Type()))
		for method := range methods.Methods() {
			if method.Obj().Exported() {
				line("%s", types.ObjectString(method.Obj(), qualify))
			}
		}
	}
	return lines
}
