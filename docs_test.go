package immudb_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// pages are README.md and docs/.
func pages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	if err != nil || len(names) < 8 {
		t.Fatal(names, err)
	}
	texts := make(map[string]string)
	for _, name := range append(names, "README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	return texts
}

// blocks are the code blocks of a language in a page.
func blocks(page, language string) []string {
	var found []string
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		found = append(found, match[1])
	}
	return found
}

// around is what stands around a block that is no file: what its names mean.
const around = `package page

import (
	"context"
	"crypto/ecdsa"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/bunimmudb"
	"github.com/immudb-go/immudb/gooseimmudb"
	"github.com/immudb-go/immudb/gormimmudb"
	"github.com/immudb-go/immudb/immudbotel"
	"github.com/immudb-go/immudb/indeximmudb"
	"github.com/immudb-go/immudb/receipt"
)

var (
	cfg  *immudb.Config
	file []byte
	key  *ecdsa.PublicKey
	ctx context.Context
	db  *sql.DB
	conn *sql.Conn
	tx  *sql.Tx
	dsn string
	cursor immudb.Cursor
)

type Account struct{ ID int64 }

func page() error {
	{
`

// exports finds the compiled packages that the blocks import.
func exports(t *testing.T) types.Importer {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}",
		"testing", "log/slog", "github.com/pressly/goose/v3", "./receipt", "./immudbtest", "./bunimmudb", "./gooseimmudb", "./gormimmudb", "./immudbotel", "./indeximmudb").Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%v: %s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	files := make(map[string]string)
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		path, file, _ := strings.Cut(lines.Text(), "\t")
		files[path] = file
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
}

func TestEachGoBlockOfThePagesCompiles(t *testing.T) {
	from := exports(t)
	count := 0
	for name, page := range pages(t) {
		for _, block := range blocks(page, "go") {
			count++
			switch {
			case strings.HasPrefix(block, "package "):
			case strings.HasPrefix(block, "import "):
				block = "package page\n\n" + block
			default:
				block = around + block + "\n\t}\n\treturn nil\n}\n"
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, name, block, 0)
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, block)
				continue
			}
			conf := types.Config{Importer: from, Error: func(err error) {
				// A soft error is a name that the block does not go on to use.
				if wrong, ok := errors.AsType[types.Error](err); !ok || !wrong.Soft {
					t.Errorf("%s: %v\n%s", name, err, block)
				}
			}}
			_, _ = conf.Check("page", fset, []*ast.File{file}, nil) // reported one by one above
		}
	}
	if count < 8 {
		t.Errorf("there are %d blocks", count)
	}
}

func TestEachStatementOfThePagesRunsOrIsRefusedAsTheySay(t *testing.T) {
	runs, refused := 0, 0
	for name, page := range pages(t) {
		for _, block := range blocks(page, "sql") {
			db := openEmpty(t)
			for statement := range statements(block) {
				runs++
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Errorf("%s: %s: %v", name, statement, err)
				}
			}
		}
		for _, block := range blocks(page, "sql refused") {
			db := openEmpty(t)
			// The table of the statements that need one.
			if _, err := db.ExecContext(t.Context(), "CREATE TABLE b (id INTEGER PRIMARY KEY, name VARCHAR(100))"); err != nil {
				t.Fatal(err)
			}
			for statement := range statements(block) {
				refused++
				_, err := db.ExecContext(t.Context(), statement)
				if !errors.Is(err, immudb.ErrSyntax) && !errors.Is(err, immudb.ErrUnsupported) {
					t.Errorf("%s: %s is not refused: %v", name, statement, err)
				}
			}
		}
	}
	if runs < 5 || refused < 5 {
		t.Errorf("%d statements run, %d are refused", runs, refused)
	}
}

func openEmpty(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("immudb", testserver.Shared(t).NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// statements are those of a block, which end where a line ends with a semicolon.
func statements(block string) iter.Seq[string] {
	return strings.SplitSeq(strings.TrimSuffix(block, ";\n"), ";\n")
}

// The server accepts these words and does not do what they mean elsewhere.
func TestWhatIsAcceptedAndDoesNothingIsAsThePageSays(t *testing.T) {
	db := openEmpty(t)
	exec := func(statement string) error {
		_, err := db.ExecContext(t.Context(), statement)
		return err
	}
	for _, statement := range []string{
		"CREATE TABLE counted (id SERIAL PRIMARY KEY, n INTEGER)",
		"CREATE TABLE parents (id INTEGER PRIMARY KEY, v INTEGER)",
		"CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER, FOREIGN KEY (parent) REFERENCES parents(id))",
		"INSERT INTO children (id, parent) VALUES (1, 99)", // nobody's child
		"INSERT INTO parents (id, v) VALUES (1, 1)",
		"UPSERT INTO parents (id) VALUES (1)",
	} {
		if err := exec(statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if err := exec("INSERT INTO counted (n) VALUES (1)"); !errors.Is(err, immudb.ErrNotNull) {
		t.Errorf("SERIAL: %v", err)
	}
	var v sql.NullInt64
	if err := db.QueryRowContext(t.Context(), "SELECT v FROM parents WHERE id = 1").Scan(&v); err != nil || v.Valid {
		t.Errorf("UPSERT left v as %v, %v", v, err)
	}
}

func TestTheProgramOfTheReadmeRuns(t *testing.T) {
	program := blocks(pages(t)["README.md"], "go")[0]
	dsn := testserver.Shared(t).NewDatabase(t)
	const written = "immudb://user:password@localhost:3322/defaultdb"
	if !strings.Contains(program, written) {
		t.Fatal("the program has another DSN")
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(strings.Replace(program, written, dsn, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", file).CombinedOutput()
	if err != nil || string(out) != "0 tables\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// A link leads to a file that is there, and to a heading of it.
func TestTheLinksOfThePagesLeadSomewhere(t *testing.T) {
	texts := pages(t)
	for name, page := range texts {
		for _, match := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(page, -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := filepath.Join(filepath.Dir(name), target)
			if target == "" {
				path = name
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if text, ok := texts[path]; ok && anchor != "" && !hasHeading(text, anchor) {
				t.Errorf("%s: %s has no heading %s", name, path, anchor)
			}
		}
	}
	if lines := strings.Count(texts["README.md"], "\n"); lines > 200 {
		t.Errorf("README.md has %d lines; details belong into docs/", lines)
	}
}

// A reader who opens README.md finds every page, every command and every module that can be imported.
func TestTheReadmeNamesEveryPageAndEveryModule(t *testing.T) {
	texts := pages(t)
	readme := texts["README.md"]
	for name := range texts {
		if name != "README.md" && !strings.Contains(readme, "]("+name+")") {
			t.Errorf("README.md has no link to %s", name)
		}
	}
	for _, pattern := range []string{"*/go.mod", "cmd/*", "*/cmd/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, found, err)
		}
		for _, name := range found {
			module := filepath.ToSlash(strings.TrimSuffix(name, "/go.mod"))
			if !strings.Contains(readme, module+"`") && module != "bench" && module != "tools" && module != "examples" {
				t.Errorf("README.md does not name %s", module)
			}
		}
	}
}

// hasHeading reports whether a heading of the page has this anchor.
func hasHeading(page, anchor string) bool {
	for _, match := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		kept := regexp.MustCompile(`[^\pL\pN -]`).ReplaceAllString(strings.ToLower(match[1]), "")
		if strings.ReplaceAll(kept, " ", "-") == anchor {
			return true
		}
	}
	return false
}
