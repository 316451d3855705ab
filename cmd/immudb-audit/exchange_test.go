package main

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
)

// auditor is a party with a key of its own.
type auditor struct {
	file, key string
	dir       string // where it publishes
}

func newAuditor(t *testing.T, name string) auditor {
	t.Helper()
	dir := t.TempDir()
	a := auditor{file: filepath.Join(dir, "key"), dir: filepath.Join(dir, "public")}
	status, out, errs := audit(t, "", "key", "-out", a.file, name)
	if status != statusOK {
		t.Fatalf("status %d: %s", status, errs)
	}
	a.key = strings.TrimSpace(out)
	return a
}

// publish audits the database as the auditor, who publishes a checkpoint.
func (a auditor) publish(t *testing.T, dsn string, more ...string) (status int, out string) {
	t.Helper()
	status, out, errs := audit(t, dsn+"&verify=trust-first-use", append([]string{"-key", a.file, "-publish", a.dir}, more...)...)
	if errs != "" {
		t.Errorf("standard error: %s", errs)
	}
	return status, out
}

func (a auditor) asPeer() string { return a.dir + "," + a.key }

func (a auditor) published(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(a.dir, checkpointName))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write commits transactions.
func write(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	for range n {
		if _, err := db.Exec("UPDATE ledger SET amount = amount + 1 WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAuditorsOfOneHistoryAgree(t *testing.T) {
	db, dsn := ledger(t)
	a, b := newAuditor(t, "a.example.com/ledger"), newAuditor(t, "b.example.com/ledger")
	if status, out := a.publish(t, dsn); status != statusOK || !strings.Contains(out, "published") {
		t.Fatalf("status %d: %s", status, out)
	}
	for _, more := range []int{0, 1, 2, 5} { // after the other's checkpoint
		write(t, db, more)
		status, out := b.publish(t, dsn, "-compare", a.asPeer())
		if status != statusOK || !strings.Contains(out, "agrees with") || !strings.Contains(out, "a.example.com/ledger") {
			t.Errorf("%d transactions later: status %d: %s", more, status, out)
		}
	}
	status, out := a.publish(t, dsn, "-json", "-compare", b.asPeer())
	if status != statusOK || !strings.Contains(out, `"compared":["b.example.com/ledger"]`) {
		t.Errorf("status %d: %s", status, out)
	}
}

func TestAuditorsThatAreShownDifferentHistoriesFindIt(t *testing.T) {
	for name, more := range map[string]int{"as long": 0, "longer": 3} {
		t.Run(name, func(t *testing.T) {
			_, theirs := ledger(t)
			db, dsn := ledger(t)
			write(t, db, 1) // the same seconds and statements may make the same hashes
			a, b := newAuditor(t, "a.example.com/ledger"), newAuditor(t, "b.example.com/ledger")
			otherDB, err := sql.Open("immudb", theirs)
			if err != nil {
				t.Fatal(err)
			}
			defer otherDB.Close()
			if _, err := otherDB.Exec("UPDATE ledger SET amount = 99 WHERE id = 2"); err != nil {
				t.Fatal(err)
			}
			write(t, db, more)
			if status, out := a.publish(t, theirs); status != statusOK {
				t.Fatalf("status %d: %s", status, out)
			}
			status, out := b.publish(t, dsn, "-compare", a.asPeer())
			if status != statusTampered || !strings.Contains(out, "TAMPERED") || strings.Count(out, "— ") < 2 {
				t.Errorf("status %d: %s", status, out)
			}
			if own, other := evidenceOf(t, out, b), evidenceOf(t, out, a); own.Size != other.Size || string(own.Hash) == string(other.Hash) {
				t.Errorf("%+v and %+v do not contradict each other", own, other)
			}
			if _, err := os.Stat(b.dir); err == nil {
				t.Error("a checkpoint of one of two histories is published")
			}
		})
	}
}

// evidenceOf is the checkpoint in a report that the auditor has signed.
func evidenceOf(t *testing.T, report string, by auditor) *log.Checkpoint {
	t.Helper()
	key, err := note.NewVerifier(by.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range strings.Split(report, "which is evidence:\n")[1:] {
		var signed strings.Builder
		for line := range strings.Lines(text) {
			line, ok := strings.CutPrefix(line, "    ")
			if !ok {
				break
			}
			signed.WriteString(line)
		}
		if c, _, _, err := log.ParseCheckpoint([]byte(signed.String()), key.Name(), key); err == nil {
			return c
		}
	}
	t.Fatalf("%s has signed no checkpoint in\n%s", key.Name(), report)
	return nil
}

func TestSplitViewIsFoundBehindACheckpointThatCannotBeRead(t *testing.T) {
	db, dsn := ledger(t)
	write(t, db, 3)
	_, theirs := ledger(t)
	a, b, silent := newAuditor(t, "a.example.com/ledger"), newAuditor(t, "b.example.com/ledger"), newAuditor(t, "c.example.com/ledger")
	otherDB, err := sql.Open("immudb", theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer otherDB.Close()
	if _, err := otherDB.Exec("UPDATE ledger SET amount = 99 WHERE id = 2"); err != nil {
		t.Fatal(err)
	}
	if status, out := a.publish(t, theirs); status != statusOK {
		t.Fatalf("status %d: %s", status, out)
	}
	for _, order := range [][]string{{silent.asPeer(), a.asPeer()}, {a.asPeer(), silent.asPeer()}} {
		if status, out := b.publish(t, dsn, "-compare", order[0], "-compare", order[1]); status != statusTampered {
			t.Errorf("status %d: %s", status, out)
		}
	}
}

// The auditor's own checkpoint guards against the loss of state_dir.
func TestHistoryThatIsNotTheOnePublishedBeforeIsTampering(t *testing.T) {
	a := newAuditor(t, "a.example.com/ledger")
	db, dsn := ledger(t)
	write(t, db, 1)
	_, another := ledger(t)
	if status, out := a.publish(t, dsn); status != statusOK {
		t.Fatalf("status %d: %s", status, out)
	}
	before := a.published(t)
	if status, out := a.publish(t, another); status != statusOlder {
		t.Errorf("fewer transactions: status %d: %s", status, out)
	}
	odb, err := sql.Open("immudb", another)
	if err != nil {
		t.Fatal(err)
	}
	defer odb.Close()
	if _, err := odb.Exec("UPDATE ledger SET amount = 5 WHERE id = 2"); err != nil {
		t.Fatal(err)
	}
	if status, out := a.publish(t, another); status != statusTampered {
		t.Errorf("other transactions: status %d: %s", status, out)
	}
	if a.published(t) != before {
		t.Error("the published checkpoint has changed")
	}
}

func TestCheckpointThatCannotBeReadIsNoAgreement(t *testing.T) {
	_, dsn := ledger(t)
	a, b, c := newAuditor(t, "a.example.com/ledger"), newAuditor(t, "b.example.com/ledger"), newAuditor(t, "c.example.com/ledger")
	if status, out := a.publish(t, dsn); status != statusOK {
		t.Fatalf("status %d: %s", status, out)
	}
	good := a.published(t)
	signer, _, err := readKey(a.file)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(text string) string {
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			t.Fatal(err)
		}
		return string(signed)
	}
	for name, text := range map[string]string{
		"nothing": "", "no note": "hello\n", "no checkpoint": sign("hello\n"), "more than a checkpoint": sign(strings.SplitN(good, "\n\n", 2)[0] + "\nmore\n"),
		"a changed size": strings.Replace(good, "\n3\n", "\n2\n", 1), "no signature": strings.SplitN(good, "—", 2)[0],
	} {
		if err := os.WriteFile(filepath.Join(a.dir, checkpointName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, out := b.publish(t, dsn, "-compare", a.asPeer()); status != statusUnchecked {
			t.Errorf("%s: status %d: %s", name, status, out)
		}
	}
	for name, place := range map[string]string{"the key of another": c.key, "no checkpoint there": ""} {
		peer := a.dir + "," + place
		if place == "" {
			peer = c.asPeer()
		}
		if status, out := b.publish(t, dsn, "-compare", peer); status != statusUnchecked {
			t.Errorf("%s: status %d: %s", name, status, out)
		}
		b.published(t) // or two parties that begin at once would wait for each other
	}
}

func TestCheckpointsArePublishedAndReadByHTTP(t *testing.T) {
	_, dsn := ledger(t)
	var mu sync.Mutex
	var stored []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.URL.Path != "/ledger/checkpoint", r.Method == http.MethodGet && stored == nil:
			http.NotFound(w, r)
		case r.Method == http.MethodPut:
			stored, _ = io.ReadAll(r.Body)
		default:
			_, _ = w.Write(stored)
		}
	}))
	defer server.Close()
	a, b := newAuditor(t, "a.example.com/ledger"), newAuditor(t, "b.example.com/ledger")
	a.dir = server.URL + "/ledger"
	if status, out := a.publish(t, dsn); status != statusOK || len(stored) == 0 {
		t.Fatalf("status %d: %s", status, out)
	}
	if status, out := b.publish(t, dsn, "-compare", a.asPeer()); status != statusOK {
		t.Errorf("status %d: %s", status, out)
	}
	a.dir = strings.Replace(a.dir, "//", "//a:hunter2@", 1)
	for _, dir := range []string{a.dir, a.dir + "/nosuch"} {
		a.dir = dir
		for _, more := range [][]string{nil, {"-json"}, {"-compare", a.asPeer()}, {"-compare", a.dir + ",x"}} {
			if status, out, errs := audit(t, dsn, append(more, "-key", a.file, "-publish", a.dir)...); strings.Contains(out+errs, "hunter2") {
				t.Errorf("status %d: the password is shown: %s%s", status, out, errs)
			}
		}
	}
	a.dir = server.URL + "/ledger"
	server.Close()
	if status, out := b.publish(t, dsn, "-compare", a.asPeer()); status != statusUnchecked {
		t.Errorf("a server that is away: status %d: %s", status, out)
	}
}

// A witness may be wrong, or lie. What it answers is never published unless it is its
// signature of this checkpoint, and the checkpoint is published without it.
func TestWitnessThatDoesNotCosignIsNoCosignature(t *testing.T) {
	_, dsn := ledger(t)
	a, other := newAuditor(t, "a.example.com/ledger"), newAuditor(t, "w.example.com")
	key := newAuditor(t, "w.example.com").key
	forged := func(t *testing.T) []byte {
		signer, _, err := readKey(other.file)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := note.Sign(&note.Note{Text: "another text\n"}, signer)
		if err != nil {
			t.Fatal(err)
		}
		return []byte("— " + strings.SplitN(string(signed), "— ", 2)[1])
	}(t)
	for _, row := range []struct {
		name, kind string
		status     int
		body       []byte
		want       int
	}{
		{"nothing", "", 200, nil, statusUnchecked},
		{"a signature of another key", "", 200, forged, statusUnchecked},
		{"more than anybody reads", "", 200, make([]byte, maxNote+10), statusUnchecked},
		{"always another size", "text/x.tlog.size", 409, []byte("2\n"), statusUnchecked},
		{"always another size, with a parameter", "text/x.tlog.size; charset=utf-8", 409, []byte("2\n"), statusUnchecked},
		{"no size", "text/x.tlog.size", 409, []byte("many\n"), statusUnchecked},
		{"a newer size", "text/x.tlog.size", 409, []byte("9999\n"), statusOlder},
		{"another root", "text/plain", 409, nil, statusTampered},
		{"a proof that fails", "", 422, nil, statusTampered},
		{"an unknown history", "", 404, nil, statusUnchecked},
		{"an unknown key", "", 403, nil, statusUnchecked},
		{"overloaded", "", 500, nil, statusUnchecked},
	} {
		t.Run(row.name, func(t *testing.T) {
			witness := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", row.kind)
				w.WriteHeader(row.status)
				_, _ = w.Write(row.body)
			}))
			defer witness.Close()
			_ = os.RemoveAll(a.dir)
			status, out := a.publish(t, dsn, "-witness", witness.URL+","+key)
			if status != row.want || strings.Contains(out, "cosigned by") {
				t.Errorf("status %d, want %d: %s", status, row.want, out)
			}
			_, err := os.Stat(filepath.Join(a.dir, checkpointName))
			if published := err == nil; published != (row.want == statusUnchecked) {
				t.Errorf("published: %v", published)
			}
		})
	}
}

func TestWitnessThatNeverAnswersKeepsNothingFromBeingPublished(t *testing.T) {
	client.Timeout = 100 * time.Millisecond
	defer func() { client.Timeout = maxWait }()
	stop := make(chan struct{})
	witness := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer witness.Close()
	defer close(stop)
	_, dsn := ledger(t)
	a := newAuditor(t, "a.example.com/ledger")
	status, out := a.publish(t, dsn, "-witness", witness.URL+","+newAuditor(t, "w.example.com").key)
	if status != statusUnchecked || !strings.Contains(out, "published") {
		t.Errorf("status %d: %s", status, out)
	}
	a.published(t)
}

// Each command of docs/witnesses.md for two auditors, in its order, by the one whose machine it names.
func TestThePageForTwoAuditorsWorks(t *testing.T) {
	page, err := os.ReadFile("../../docs/witnesses.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "## Two auditors")
	text, _, _ = strings.Cut(text, "\n## ")
	db, dsn := ledger(t)
	server, _, _ := strings.Cut(dsn, "state_dir=")
	etc, www := t.TempDir(), t.TempDir()
	web := httptest.NewServer(http.FileServer(http.Dir(www)))
	defer web.Close()
	keys := map[string]string{}
	who, runs := "", 0
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "")) {
		switch {
		case strings.Contains(line, "The bank"):
			who = "bank"
		case strings.Contains(line, "The auditor"):
			who = "auditor"
		}
		if !strings.HasPrefix(line, "immudb-audit ") {
			continue
		}
		line = strings.NewReplacer("/etc/immudb-audit/", filepath.Join(etc, who)+"-", "/var/www/", filepath.Join(www, who)+"/",
			"https://bank.example.com/", web.URL+"/bank/", "https://auditor.example.org/", web.URL+"/auditor/",
			"$BANK", keys["bank"], "$AUDITOR", keys["auditor"], `"$IMMUDB_DSN`, server+"state_dir="+filepath.Join(etc, who), `"`, "").Replace(line)
		args := strings.Fields(line)[1:]
		status, out, errs := audit(t, server+"state_dir="+filepath.Join(etc, who), args...)
		if status != statusOK {
			t.Fatalf("%s: %q: status %d: %s%s", who, args, status, out, errs)
		}
		if args[0] == "key" {
			keys[who] = strings.TrimSpace(out)
		}
		runs++
		write(t, db, 1)
	}
	if runs < 6 || len(keys) != 2 {
		t.Errorf("the page has %d commands, which made %d keys", runs, len(keys))
	}
}

func TestMistakesInTheFlagsOfAnExchangeAreFoundBeforeTheAudit(t *testing.T) {
	a := newAuditor(t, "a.example.com/ledger")
	damaged := filepath.Join(t.TempDir(), "key")
	private, err := os.ReadFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, []byte(strings.Replace(string(private), "+", "-", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"no key":                {"-publish", "x"},
		"no such key":           {"-publish", "x", "-key", "nowhere"},
		"a damaged key":         {"-publish", "x", "-key", damaged},
		"a peer without a key":  {"-key", a.file, "-compare", "x"},
		"a peer with a bad key": {"-key", a.file, "-compare", "x,y"},
		"a bad witness":         {"-key", a.file, "-witness", "http://127.0.0.1:1,y"},
	} {
		status, out, errs := audit(t, "immudb://u:p@127.0.0.1:1/x", args...)
		if status != statusUsage || out != "" {
			t.Errorf("%s: status %d: %s%s", name, status, out, errs)
		}
		if secret := strings.Fields(string(private))[0]; strings.Contains(errs, secret[len(secret)-20:]) {
			t.Errorf("%s: the private key is shown", name)
		}
	}
	for _, args := range [][]string{{}, {"-out", "x"}, {"-out", filepath.Join(t.TempDir(), "k"), "a b"}} {
		if status, _, _ := audit(t, "", append([]string{"key"}, args...)...); status != statusUsage {
			t.Errorf("key %q: status %d", args, status)
		}
	}
	if status, _, errs := audit(t, "", "key", "-out", a.file, "again"); status != statusUnchecked {
		t.Errorf("a key that exists: status %d: %s", status, errs)
	}
	if info, err := os.Stat(a.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(fmt.Sprint("the key file: ", info.Mode(), err))
	}
}
