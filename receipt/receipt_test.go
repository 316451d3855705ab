package receipt_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb/receipt"
)

// kept is a receipt in testdata, made by a test of internal/tampertest, with what
// its reader trusts.
type kept struct {
	name   string
	text   []byte
	policy receipt.Policy
	row    *receipt.Row
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func publicKey(t testing.TB, name string) *ecdsa.PublicKey {
	t.Helper()
	block, _ := pem.Decode(read(t, name))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PublicKey)
}

func all(t testing.TB) []kept {
	t.Helper()
	list := []kept{{name: "signed", policy: receipt.Policy{Database: "defaultdb", PublicKey: publicKey(t, "signed.pem")}}}
	for _, version := range []string{"v1.9.5", "v1.10.0", "v1.11.1"} {
		for _, when := range []string{"newest", "older"} {
			name := version + "-" + when
			state, err := receipt.ParseState(strings.TrimSpace(string(read(t, name+".state"))))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, kept{name: name, policy: receipt.Policy{Database: "defaultdb", State: state}})
		}
	}
	for i := range list {
		k := &list[i]
		k.text = read(t, k.name+".receipt")
		r, err := receipt.Parse(k.text)
		if err == nil {
			k.row, err = r.Verify(k.policy)
		}
		if err != nil {
			t.Fatal(k.name, err)
		}
	}
	return list
}

func TestReceiptsOfReleasedServersSayWhatTheyAlwaysSaid(t *testing.T) {
	for _, k := range all(t) {
		r, err := receipt.Parse(k.text)
		if err != nil {
			t.Fatal(k.name, err)
		}
		row := k.row
		columns, values := []string{"id"}, []any{int64(1)}
		if k.name != "signed" {
			columns = []string{"id", "owner", "balance", "active", "at", "note"}
			values = []any{int64(42), "ann", 12.5, true, time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), []byte{1, 2}}
		}
		if !reflect.DeepEqual(row.Columns, columns) || !reflect.DeepEqual(row.Values, values) || row.Deleted || row.Database != "defaultdb" {
			t.Errorf("%s: %+v", k.name, row)
		}
		if r.Signed() != (k.policy.PublicKey != nil) {
			t.Errorf("%s: signed: %v", k.name, r.Signed())
		}
	}
}

func TestAReceiptWithAnyBitFlippedOrByteMissingIsRefused(t *testing.T) {
	for _, k := range all(t)[:3] {
		check := func(text []byte, what string, at int) {
			r, err := receipt.Parse(text)
			if err == nil {
				_, err = r.Verify(k.policy)
			}
			if !errors.Is(err, receipt.ErrInvalid) && !errors.Is(err, receipt.ErrAnchor) {
				t.Errorf("%s, %s at %d: %v", k.name, what, at, err)
			}
		}
		for i := range k.text {
			for bit := range 8 {
				forged := bytes.Clone(k.text)
				forged[i] ^= 1 << bit
				check(forged, fmt.Sprint("bit ", bit), i)
			}
			check(append(bytes.Clone(k.text[:i]), k.text[i+1:]...), "missing byte", i)
			check(k.text[:i], "cut", i)
		}
		check(append(bytes.Clone(k.text), '\n'), "one line more", len(k.text))
	}
}

func TestAReceiptIsRefusedByEveryPolicyButItsOwn(t *testing.T) {
	receipts := all(t)
	for _, k := range receipts {
		r, err := receipt.Parse(k.text)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range receipts {
			if _, err := r.Verify(other.policy); (err == nil) != (k.name == other.name) {
				t.Errorf("%s by the policy of %s: %v", k.name, other.name, err)
			}
		}
		for name, c := range map[string]struct {
			change func(p *receipt.Policy)
			err    error
		}{
			"nothing trusted":      {func(p *receipt.Policy) { p.PublicKey, p.State = nil, receipt.State{} }, receipt.ErrPolicy},
			"no database":          {func(p *receipt.Policy) { p.Database = "" }, receipt.ErrPolicy},
			"another database":     {func(p *receipt.Policy) { p.Database = "ledger" }, receipt.ErrInvalid},
			"another key":          {func(p *receipt.Policy) { p.PublicKey = publicKey(t, "other.pem") }, receipt.ErrInvalid},
			"another hash":         {func(p *receipt.Policy) { p.State = r.Anchor(); p.State.Hash[31] ^= 1 }, receipt.ErrInvalid},
			"a later transaction":  {func(p *receipt.Policy) { p.State = r.Anchor(); p.State.TxID++ }, receipt.ErrAnchor},
			"a transaction before": {func(p *receipt.Policy) { p.State = r.Anchor(); p.State.TxID-- }, receipt.ErrAnchor},
		} {
			p := k.policy
			c.change(&p)
			if _, err := r.Verify(p); !errors.Is(err, c.err) {
				t.Errorf("%s, %s: %v", k.name, name, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	receipts := all(f)
	for _, k := range receipts {
		f.Add(k.text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := receipt.Parse(text)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Bytes(), text) {
			t.Error("a receipt has two forms")
		}
		for _, k := range receipts {
			row, err := r.Verify(k.policy)
			if err != nil {
				continue
			}
			if !reflect.DeepEqual(row, k.row) {
				t.Errorf("accepted with another meaning than %s: %+v", k.name, row)
			}
		}
	})
}

func TestAReceiptIsCheckedWithTheStandardLibraryAlone(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{.ImportPath}} {{.Standard}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		name, standard, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "database/sql" || standard == "false" && !strings.HasPrefix(name, "github.com/immudb-go/immudb/") {
			t.Errorf("package receipt needs %s", name)
		}
	}
}
