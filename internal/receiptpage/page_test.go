//go:build !js && !wasip1

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func fixture(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "receipt", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAReceiptIsValidForWhatTheReaderTrustsOnly(t *testing.T) {
	signed, key := []byte(fixture(t, "signed.receipt")), fixture(t, "signed.pem")
	older, state := []byte(fixture(t, "v1.11.1-older.receipt")), fixture(t, "v1.11.1-older.state")
	for name, row := range map[string]struct {
		q    question
		want verdict
		say  string
	}{
		"the right key":                {question{signed, " defaultdb\n", key, ""}, valid, "the public key that"},
		"the right state":              {question{older, "defaultdb", "", state}, valid, "the state that"},
		"nothing":                      {question{Receipt: signed}, unchecked, "of itself"},
		"a key without a database":     {question{signed, "", key, ""}, unchecked, "of itself"},
		"a database without a key":     {question{signed, "defaultdb", " \n", ""}, unchecked, "of itself"},
		"another key":                  {question{signed, "defaultdb", fixture(t, "other.pem"), ""}, refused, ""},
		"a key, and no signature":      {question{older, "defaultdb", key, ""}, refused, ""},
		"another database":             {question{signed, "other", key, ""}, refused, ""},
		"another history":              {question{older, "defaultdb", "", "12:" + strings.Repeat("0", 64)}, refused, ""},
		"another anchor":               {question{older, "defaultdb", "", "13:" + strings.Repeat("0", 64)}, unchecked, "anchor"},
		"a damaged key":                {question{signed, "defaultdb", "key", ""}, mistaken, "public key"},
		"a damaged state":              {question{older, "defaultdb", "", "12"}, mistaken, "state"},
		"a damaged key but no state":   {question{older, "defaultdb", "key", state}, mistaken, "public key"},
		"the right key, a wrong state": {question{signed, "defaultdb", key, "1:" + strings.Repeat("0", 64)}, unchecked, "anchor"},
		"no receipt":                   {question{[]byte("hello"), "defaultdb", key, ""}, refused, ""},
		"an empty file":                {question{nil, "defaultdb", key, ""}, refused, ""},
	} {
		a := check(row.q)
		if a.Verdict != row.want || !strings.Contains(a.Text, row.say) || a.Text == "" {
			t.Errorf("%s: %+v", name, a)
		}
		if shown := len(a.Row) > 0; shown != (row.want == valid || row.want == unchecked) {
			t.Errorf("%s: a row is shown: %v", name, shown)
		}
	}
}

func TestThePageIsOneFileThatLoadsNothing(t *testing.T) {
	page, err := build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	if strings.Contains(text, "{{") && regexp.MustCompile(`\{\{(policy|glue|script|wasm)\}\}`).MatchString(text) {
		t.Error("a place in the page is not filled")
	}
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(text)
	if policy == nil || !strings.HasPrefix(policy[1], "default-src 'none'; script-src 'sha256-") || strings.Contains(policy[1], "http") {
		t.Fatalf("the policy is %q", policy)
	}
	scripts := regexp.MustCompile(`(?s)<script([^>]*)>(.*?)</script>`).FindAllStringSubmatch(text, -1)
	if len(scripts) != 3 {
		t.Fatalf("%d scripts", len(scripts))
	}
	for _, s := range scripts {
		if strings.Contains(s[1], "src") {
			t.Errorf("a script is loaded: %s", s[1])
		}
		if strings.Contains(s[1], `id="wasm"`) {
			packed, err := base64.StdEncoding.DecodeString(s[2])
			if err != nil {
				t.Fatal(err)
			}
			z, err := gzip.NewReader(bytes.NewReader(packed))
			if err != nil {
				t.Fatal(err)
			}
			if wasm, err := io.ReadAll(z); err != nil || !bytes.HasPrefix(wasm, []byte("\x00asm\x01")) {
				t.Errorf("the program is no WebAssembly (%v)", err)
			}
		} else if !strings.Contains(policy[1], source(s[2])) {
			t.Errorf("the policy does not let a script run: %.80s", s[2])
		}
	}
	for _, id := range regexp.MustCompile(`\$\("(\w+)"\)`).FindAllStringSubmatch(pageJS, -1) {
		if !strings.Contains(pageHTML, `id="`+id[1]+`"`) {
			t.Errorf("the page has no element %s", id[1])
		}
	}
	if strings.Contains(pageJS, "innerHTML") {
		t.Error("what a receipt holds may become HTML")
	}
}
