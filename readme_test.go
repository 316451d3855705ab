package immudb_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// optionNames finds the names in text: each match of pattern holds one name, or
// several with commas between them.
func optionNames(t *testing.T, file, begin, end, pattern string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(text), begin)
	part, _, foundEnd := strings.Cut(part, end)
	if !found || !foundEnd {
		t.Fatalf("%s holds nothing between %q and %q", file, begin, end)
	}
	var names []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(part, -1) {
		for name := range strings.SplitSeq(match[1], ",") {
			names = append(names, strings.Trim(name, " `"))
		}
	}
	return names
}

func TestThePageAndTheDocCommentHaveTheSameOptions(t *testing.T) {
	page := optionNames(t, "docs/dsn.md", "| Option | Values |", "\n\n", "(?m)^\\| (`[^|]*`) \\|")
	comment := optionNames(t, "dsn.go", "all of them optional but user:", "Times are seconds", `(?m)^//\t([a-z_]+(?:, [a-z_]+)*)  `)
	if len(page) < 10 || !slices.Equal(page, comment) {
		t.Errorf("docs/dsn.md has %q,\nParseDSN has    %q", page, comment)
	}
}

func TestEachErrorForErrorsIsHasItsCauseAndRemedy(t *testing.T) {
	page, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		code, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)^\t?(?:var )?(Err[A-Z]\w*) += errors\.New`).FindAllSubmatch(code, -1) {
			found++
			if name := string(match[1]); !regexp.MustCompile("(?m)^\\| `" + name + "` \\|[^|]*\\| [^|]{10,} \\| [^|]{10,} \\|$").Match(page) {
				t.Errorf("docs/troubleshooting.md has no row for %s", name)
			}
		}
	}
	if found < 10 {
		t.Errorf("found only %d errors in the code", found)
	}
}

// A file that is merged into another must not lose the comment that documentation begins with.
func TestEveryPackageHasAComment(t *testing.T) {
	commented := make(map[string]bool) // by directory
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != "." && (name == "examples" || name == "testdata" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		if ast.IsGenerated(f) {
			return nil
		}
		dir := filepath.Dir(path)
		commented[dir] = commented[dir] || f.Doc.Text() != ""
		return nil
	})
	if err != nil || len(commented) < 20 {
		t.Fatalf("found %d packages: %v", len(commented), err)
	}
	for dir, ok := range commented {
		if !ok {
			t.Errorf("the package in directory %s has no comment", dir)
		}
	}
}

// Each promise in the table of threats has a test that exists.
func TestEveryTestThatTheTableOfThreatsNamesIsThere(t *testing.T) {
	page, err := os.ReadFile("docs/proof.md")
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, pattern := range []string{"internal/tampertest/*_test.go", "internal/liartest/*_test.go", "internal/feedtest/*_test.go", "indeximmudb/*_test.go", "internal/receipttest/*_test.go", "internal/witnesstest/*_test.go", "cmd/immudb-audit/*_test.go", "receipt/*_test.go", "internal/proof/*_test.go", "internal/wire/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range files {
			code, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(code, -1) {
				there[string(match[1])] = true
			}
		}
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(page, -1)
	if len(named) < 20 {
		t.Errorf("the page names %d tests", len(named))
	}
	for _, match := range named {
		if !there[string(match[1])] {
			t.Errorf("docs/proof.md names %s, which is not there", match[1])
		}
	}
}
