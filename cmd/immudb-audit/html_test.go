package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// wellFormed reads the page as XML: every element is closed, every attribute quoted.
// It returns the names of the elements.
func wellFormed(t *testing.T, text string) map[string]int {
	t.Helper()
	elements := map[string]int{}
	// meta has no end tag in HTML.
	text = regexp.MustCompile(`(<meta [^>]*)>`).ReplaceAllString(text, "$1/>")
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return elements
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v\n%s", err, text)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
			for _, a := range start.Attr {
				if a.Name.Local == "src" || a.Name.Local == "href" || strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("<%s %s=%q>: the page refers to something else", start.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
}

func pageOf(t *testing.T, dsn string, args ...string) (status int, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	status, _, stderr := audit(t, dsn, append([]string{"-html", path}, args...)...)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	wellFormed(t, string(b))
	return status, string(b)
}

func expect(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("the page lacks %q:\n%s", w, text)
		}
	}
}

func TestThePageShowsEachRun(t *testing.T) {
	db, dsn := ledger(t)
	_, text := pageOf(t, dsn+"&verify=trust-first-use", "-tables=*")
	expect(t, text, "Nothing was altered", "First use", "1 to 3: 3, with ", "<td>ledger</td>", "is created", "<rect", "<polyline")
	if _, err := db.Exec("DELETE FROM ledger WHERE id = 2"); err != nil {
		t.Fatal(err)
	}
	_, text = pageOf(t, dsn)
	expect(t, text, "4 to 4: 1, with ", "Trusted before", "None in what was checked.")
	_, text = pageOf(t, dsn)
	expect(t, text, "nothing is new")
	if strings.Contains(text, "<svg") {
		t.Error("nothing is new, but there is a plot")
	}
	_, dsn = ledger(t)
	status, text := pageOf(t, dsn+"&trusted_state=1:"+strings.Repeat("0", 64))
	expect(t, text, "TAMPERED", "Failed check", "Expected", "Found", "Do not trust the server any more.")
	if status != statusTampered {
		t.Errorf("status %d", status)
	}
}

func TestThePageOfAnEmptyDatabase(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	_, text := pageOf(t, dsn+"&verify=trust-first-use&state_dir="+t.TempDir())
	expect(t, text, "Nothing was altered", "the database is empty")
}

func TestThePageOfEachFailureSaysWhatToDo(t *testing.T) {
	for err, want := range map[error]string{
		immudb.ErrTampered: "Do not trust the server", immudb.ErrSignature: "Do not trust the server", immudb.ErrServerOlder: "restored from a backup",
		immudb.ErrStateMissing: "trust-first-use", errors.New("x"): "run the command again",
	} {
		text := render(t, &immudb.AuditReport{}, err)
		wellFormed(t, text)
		expect(t, text, "What to do", want, "did not come to its end")
	}
}

func render(t *testing.T, r *immudb.AuditReport, err error) string {
	t.Helper()
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, newPage(time.Now(), r, err)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// No text of the server becomes an element of the page, or ends an attribute.
func TestAServerCannotWriteElementsOfThePage(t *testing.T) {
	const hostile = "\x1b</title></style></td>\"'><script>alert(1)</script><img src=x onerror=alert(1)><!--{{.}}\x00\u202e"
	report := func(text string) *immudb.AuditReport {
		return &immudb.AuditReport{
			ServerUUID: text, Database: text, Host: text, First: 1, Transactions: 1, Rows: map[string]int64{text: 1},
			Trusted: immudb.State{TxID: 1, Database: text}, State: immudb.State{TxID: 1, Host: text},
			SchemaChanges: []immudb.SchemaChange{{TxID: 1, Table: text, What: text}},
			Activity:      []immudb.AuditPeriod{{Length: time.Second, Transactions: 1 << 62, Entries: -1}},
		}
	}
	for _, failure := range []func(string) error{
		func(string) error { return nil },
		func(s string) error { return errors.New(s) },
		func(s string) error { return &immudb.Tampering{Check: s, TxID: 1, Expected: s, Found: s} },
	} {
		text := render(t, report(hostile), failure(hostile))
		got, want := wellFormed(t, text), wellFormed(t, render(t, report("x"), failure("x")))
		for name := range got {
			if got[name] != want[name] {
				t.Errorf("%d elements <%s>, want %d:\n%s", got[name], name, want[name], text)
			}
		}
		if strings.ContainsAny(text, "\x00\x1b\u202e") || strings.Contains(text, "<script") || strings.Contains(text, "<!--") {
			t.Errorf("not escaped:\n%q", text)
		}
	}
}

func TestThePageReplacesAFileOrLeavesItWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.html")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := writePage(path, time.Now(), &immudb.AuditReport{}, nil); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(old); err != nil || string(b) != "old" {
		t.Errorf("a reader of the old page reads %q, %v", b, err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	// A directory cannot be replaced by a file.
	if err := writePage(dir, time.Now(), &immudb.AuditReport{}, nil); err == nil {
		t.Error("a directory was replaced")
	}
}

func TestAPageThatCannotBeWrittenIsNotStatusZero(t *testing.T) {
	_, dsn := ledger(t)
	path := filepath.Join(t.TempDir(), "nosuch", "report.html")
	status, out, errs := audit(t, dsn+"&verify=trust-first-use", "-html", path)
	if status != statusUnchecked || !strings.Contains(out, "nothing was altered") || !strings.Contains(errs, "page was not written") {
		t.Errorf("status %d:\n%s%s", status, out, errs)
	}
}

func TestNumbersAndPeriodsOfThePageAreReadable(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1: "-1", -123456: "-123,456"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is written %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{time.Second: "1 second", 15 * time.Minute: "15 minutes", time.Hour: "1 hour", 6 * time.Hour: "6 hours", 240 * time.Hour: "10 days", 90 * time.Second: "90 seconds"} {
		if got := periodText(d); got != want {
			t.Errorf("%d ns is written %q, want %q", d, got, want)
		}
	}
}
