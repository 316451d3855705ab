package receipttest

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

type question struct {
	Receipt  []byte `json:"receipt"`
	Database string `json:"database"`
	Key      string `json:"key"`
	State    string `json:"state"`
}

// The page for browsers is package receipt, compiled to WebAssembly. Here the same code
// runs on another implementation of WebAssembly than a browser's.
func TestReceiptsAreCheckedInWebAssembly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "check.wasm")
	build := exec.Command("go", "build", "-o", file, "./internal/receiptpage")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("..", "..", "receipt", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}

	var in bytes.Buffer
	var want []string
	ask := func(verdict string, q question) {
		if err := json.NewEncoder(&in).Encode(q); err != nil {
			t.Fatal(err)
		}
		want = append(want, verdict)
	}
	signed, key := read("signed.receipt"), read("signed.pem")
	ask("valid", question{[]byte(signed), "defaultdb", key, ""})
	ask("refused", question{[]byte(signed), "defaultdb", read("other.pem"), ""})
	for _, name := range []string{"v1.9.5-older", "v1.9.5-newest", "v1.10.0-older", "v1.10.0-newest", "v1.11.1-older", "v1.11.1-newest"} {
		text, state := read(name+".receipt"), read(name+".state")
		ask("valid", question{[]byte(text), "defaultdb", "", state})
		ask("unchecked", question{Receipt: []byte(text)})
		ask("refused", question{[]byte(text), "another", key, ""})
	}
	for at := 0; at < len(signed); at += len(signed)/200 + 1 {
		flipped := []byte(signed)
		flipped[at] ^= 1 << (at % 7)
		ask("refused", question{flipped, "defaultdb", key, ""})
	}

	r := wazero.NewRuntime(t.Context())
	defer r.Close(t.Context())
	wasi_snapshot_preview1.MustInstantiate(t.Context(), r)
	var out, errs bytes.Buffer
	config := wazero.NewModuleConfig().WithStdin(&in).WithStdout(&out).WithStderr(&errs)
	if _, err := r.InstantiateWithConfig(t.Context(), program, config); err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	answers := json.NewDecoder(&out)
	for i, verdict := range want {
		var a struct{ Verdict, Text string }
		if err := answers.Decode(&a); err != nil {
			t.Fatalf("question %d: %v", i, err)
		}
		if a.Verdict != verdict {
			t.Errorf("question %d: %s (%s), want %s", i, a.Verdict, a.Text, verdict)
		}
	}
	if err := answers.Decode(&struct{}{}); err != io.EOF || len(want) < 200 || strings.TrimSpace(errs.String()) != "" {
		t.Errorf("%d questions, then %v: %s", len(want), err, &errs)
	}
}
