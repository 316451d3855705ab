package witnesstest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"

	_ "github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

// program builds immudb-audit.
func program(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "immudb-audit.exe")
	if out, err := exec.Command("go", "build", "-o", file, "github.com/immudb-go/immudb/cmd/immudb-audit").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

// run runs immudb-audit and returns its exit status and what it says.
func run(t *testing.T, program string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// startWitness starts a witness that knows one auditor, and returns its URL and key.
func startWitness(t *testing.T, auditor note.Verifier) (url string, key note.Verifier, text string) {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, "witness.example.com")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := fnote.NewSignerForCosignatureV1(private)
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.New(t.Context(), witness.Opts{
		Persistence: inmemory.New(),
		Signers:     []note.Signer{signer},
		VerifierForLog: func(_ context.Context, origin string) (note.Verifier, bool, error) {
			return auditor, origin == auditor.Name(), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, signer.Verifier(), public
}

// history makes a database with a few transactions, and returns its DSN.
func history(t *testing.T, transactions int) (*sql.DB, string) {
	t.Helper()
	dsn := testserver.Shared(t).NewDatabase(t)
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec("CREATE TABLE t (id INTEGER AUTO_INCREMENT, n INTEGER, PRIMARY KEY id)"); err != nil {
		t.Fatal(err)
	}
	write(t, db, transactions-1)
	return db, dsn + "&verify=trust-first-use&state_dir=" + t.TempDir()
}

func write(t *testing.T, db *sql.DB, transactions int) {
	t.Helper()
	for range transactions {
		if _, err := db.Exec("INSERT INTO t (n) VALUES (1)"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWitnessCosignsAHistoryThatGrowsAndNoOther(t *testing.T) {
	audit := program(t)
	keyFile, public := filepath.Join(t.TempDir(), "key"), t.TempDir()
	status, text := run(t, audit, "key", "-out", keyFile, "auditor.example.com/ledger")
	if status != 0 {
		t.Fatal(text)
	}
	auditor, err := note.NewVerifier(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	url, key, vkey := startWitness(t, auditor)
	flags := []string{"-key", keyFile, "-publish", public, "-witness", url + "," + vkey}

	db, dsn := history(t, 1)
	for _, more := range []int{0, 0, 1, 2, 3, 9} { // powers of two and what lies between
		write(t, db, more)
		status, text := run(t, audit, append(flags, dsn)...)
		if status != 0 || !strings.Contains(text, "cosigned by     witness.example.com") {
			t.Fatalf("%d transactions more: status %d: %s", more, status, text)
		}
		signed, err := os.ReadFile(filepath.Join(public, "checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := note.Open(signed, note.VerifierList(auditor, key))
		if err != nil || len(n.Sigs) != 2 {
			t.Fatalf("%d transactions more: %v\n%s", more, err, signed)
		}
	}

	// The witness keeps what the auditor has lost: its state_dir and what it published.
	flags[3] = t.TempDir()
	_, shorter := history(t, 4)
	if status, text := run(t, audit, append(flags, shorter)...); status != 4 {
		t.Errorf("a shorter history: status %d: %s", status, text)
	}
	_, another := history(t, 40)
	if status, text := run(t, audit, append(flags, another)...); status != 1 || !strings.Contains(text, "TAMPERED") {
		t.Errorf("another history: status %d: %s", status, text)
	}
	if _, err := os.Stat(filepath.Join(flags[3], "checkpoint")); err == nil {
		t.Error("the checkpoint of a history that the witness refused is published")
	}
}
