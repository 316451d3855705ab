//go:build !js && !wasip1

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.js
	pageJS string
)

const packagePath = "github.com/immudb-go/immudb/internal/receiptpage"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	page, err := build(ctx)
	if err == nil {
		_, err = os.Stdout.Write(page)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "receiptpage:", err)
		os.Exit(1)
	}
}

// build compiles this package to WebAssembly, and puts it into the page with the glue
// of the Go installation that compiled it: the two must be of one version.
func build(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "receiptpage-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "receipt.wasm")
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, packagePath)
	compile.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "GOFLAGS=-buildvcs=false")
	if out, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	glue, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		return nil, err
	}
	return assemble(string(glue), wasm)
}

// assemble makes the page. Its policy lets these two scripts run and nothing else, and
// no script load or send anything.
func assemble(glue string, wasm []byte) ([]byte, error) {
	glue, script := lines(glue), lines(pageJS)
	for _, s := range []string{glue, script} {
		if strings.Contains(strings.ToLower(s), "</script") {
			return nil, errors.New("a script holds the end of a script")
		}
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(wasm); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	policy := fmt.Sprintf("default-src 'none'; script-src %s %s 'wasm-unsafe-eval'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'", source(glue), source(script))
	return []byte(strings.NewReplacer("{{policy}}", policy, "{{glue}}", glue, "{{script}}", script,
		"{{wasm}}", base64.StdEncoding.EncodeToString(packed.Bytes())).Replace(pageHTML)), nil
}

// lines ends lines as a browser does before it hashes a script.
func lines(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

// source names a script in a policy.
func source(script string) string {
	sum := sha256.Sum256([]byte(script))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
