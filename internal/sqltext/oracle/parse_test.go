package oracle

import (
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/codenotary/immudb/embedded/sql"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
	"github.com/immudb-go/immudb/internal/testserver/rounds"
)

var seed = flag.Uint64("seed", 1, "the seed of the generated queries")

// queries is how many queries a test generates. IMMUDB_TEST_LONG=5 tries 300,000.
func queries(t *testing.T) int {
	t.Helper()
	return rounds.Of(t, 20_000, 60_000)
}

// releaseSavepoint matches RELEASE SAVEPOINT in the only form that the server accepts.
var releaseSavepoint = regexp.MustCompile(`(?is)\bSAVEPOINT\b.`)

// differences are the allowed differences between the parsers, each with its condition
// and its reason.
var differences = []struct {
	name, why string
	holds     func(text string, ours error, s *tree.Script, theirs error) bool
}{
	{"NUL", "the server takes a NUL byte for the end of the text and drops what follows",
		weRefuse("a NUL byte in the query")},
	{"open comment", "the server lets the end of the text close a comment; what was meant to run vanishes",
		weRefuse("comment is not closed")},
	{"deep", "deep nesting could exhaust the stack of the server and ours",
		weRefuse("levels deep")},
	{"argument number", "no other database takes $65536, and each number costs an argument",
		weRefuse("is too large: number the arguments")},
	{"byte order mark", "removed before the text is sent", weRewrite(tree.HasByteOrderMark)},
	{"RELEASE a", "PostgreSQL takes it; savepoints are never sent", func(_ string, ours error, s *tree.Script, _ error) bool {
		return ours == nil && slices.ContainsFunc(s.Statements, func(st tree.Statement) bool {
			c, ok := st.(*tree.Control)
			return ok && c.Kind == tree.Release && !releaseSavepoint.MatchString(c.Of(s.Text))
		})
	}},
	{"backquotes", "sent as double quotes", weRewrite(tree.HasBackquotes)},
	{"strange name", "an alias is sent under another name, any other such name is refused", weRewrite(tree.HasStrangeName)},
	{"t.*", "sent as the table's columns", weRewrite(tree.HasTableStar)},
	{"FOR UPDATE", "left out: every transaction is serializable", weRewrite(tree.HasLocking)},
	{"brackets", "sent as derived tables", weRewrite(tree.HasBrackets)},
	{"columns of WITH", "sent as aliases, in derived tables", weRewrite(tree.HasWithColumns)},
	{"SELECT without FROM", "sent with FROM (VALUES (1))", weRewrite(tree.HasNoFrom)},
	{"empty statement", "statements are sent without the empty ones between them", weRewrite(tree.HasEmptyStatement)},
}

func weRefuse(message string) func(string, error, *tree.Script, error) bool {
	return func(_ string, ours error, _ *tree.Script, theirs error) bool {
		return ours != nil && theirs == nil && strings.Contains(ours.Error(), message)
	}
}

func weRewrite(f tree.Feature) func(string, error, *tree.Script, error) bool {
	return func(_ string, ours error, s *tree.Script, theirs error) bool {
		return ours == nil && theirs != nil && s.Has.Any(f)
	}
}

// ask parses a text with the server's parser. If that panics, the error begins with
// "panic".
func ask(text string) (stmts []sql.SQLStmt, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("panic: %v", x)
		}
	}()
	return sql.ParseSQLString(text)
}

// compare returns the name of the difference that explains how the parsers differ
// on text, "" if they agree, and an error for a difference that nothing explains.
func compare(text string) (string, error) {
	theirs, theirErr := ask(text)
	s, ourErr := tree.Parse(text)
	if theirErr != nil && strings.HasPrefix(theirErr.Error(), "panic") {
		// FROM f() OVER () crashes the server's parser. Our parser accepts it, so that a
		// rule can refuse it.
		if ourErr != nil || s.Has.Any(tree.HasTableFunction) && s.Has.Any(tree.HasOver) {
			return "panic of the server's parser", nil
		}
		return "", fmt.Errorf("%q: %w; we say %v", text, theirErr, ourErr)
	}
	if (theirErr == nil) == (ourErr == nil) {
		if ourErr != nil {
			return "", nil
		}
		return "", sameStatements(text, theirs, s.Statements)
	}
	for _, d := range differences {
		if d.holds(text, ourErr, s, theirErr) {
			return d.name, nil
		}
	}
	return "", fmt.Errorf("%q:\n ours   %v\n theirs %v", text, ourErr, theirErr)
}

// sameStatements compares what the statements are.
func sameStatements(text string, theirs []sql.SQLStmt, ours []tree.Statement) error {
	if len(theirs) != len(ours) {
		return fmt.Errorf("%q: %d statements, the server has %d", text, len(ours), len(theirs))
	}
	for i, st := range ours {
		if got, want := ourKind(st), theirKind(theirs[i]); got != want {
			return fmt.Errorf("%q: statement %d is %s, for the server %s", text, i, got, want)
		}
	}
	return nil
}

func ourKind(st tree.Statement) string {
	switch st := st.(type) {
	case *tree.SetOperation:
		return strings.TrimSuffix(strings.ToLower(st.Operators[0].String()), " all")
	case *tree.Show:
		return "select"
	case *tree.Insert:
		if st.Returning != nil {
			return "returning"
		}
		return "upsertinto"
	case *tree.Update:
		if st.Returning != nil {
			return "returning"
		}
	case *tree.Delete:
		if st.Returning != nil {
			return "returning"
		}
		return "deletefrom"
	case *tree.With:
		return "cte"
	case *tree.Drop:
		return "drop" + strings.ToLower(st.What)
	case *tree.Truncate:
		return "truncatetable"
	case *tree.AlterTable:
		return [...]string{"addcolumn", "renametable", "renamecolumn", "dropcolumn", "dropconstraint", "altercolumn"}[st.Action]
	case *tree.Control:
		return [...]string{"begintransaction", "commit", "rollback", "savepoint", "rollbacktosavepoint", "releasesavepoint"}[st.Kind]
	case *tree.Use:
		if st.Snapshot {
			return "usesnapshot"
		}
		return "usedatabase"
	case *tree.Access:
		if st.What == "GRANT" || st.What == "REVOKE" {
			return "alterprivileges"
		}
		return strings.ReplaceAll(strings.ToLower(st.What), " ", "")
	}
	return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", st), "*tree."))
}

func theirKind(st sql.SQLStmt) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%T", st), "*sql."), "Stmt"))
}

// Both parsers must accept or refuse the same queries. The queries are generated from a
// grammar; most of them are mutated.
func TestParseAgreesWithTheServer(t *testing.T) {
	g := newGenerator(*seed)
	explained := map[string]int{}
	n, failures, valid := queries(t), 0, 0
	for range n {
		text := g.text()
		name, err := compare(text)
		if err != nil {
			if failures++; failures <= 20 {
				t.Error(err)
			}
			continue
		}
		if name != "" {
			explained[name]++
		} else if _, err := tree.Parse(text); err == nil {
			valid++
		}
	}
	t.Logf("%d queries: both parsers accept %d, explained differences %v, unexplained %d", n, valid, explained, failures)
	if valid < n/10 || valid > n*9/10 {
		t.Errorf("%d of %d queries are valid; the generator must make valid and invalid ones", valid, n)
	}
}
