package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immudb-go/immudb/internal/tamperproxy"
)

func TestTheReportSaysWhatIsServedFalsely(t *testing.T) {
	db, dsn := ledger(t)
	proxy, dsn := tamperproxy.Start(t, dsn)
	if status, out, _ := audit(t, dsn+"&verify=trust-first-use", "-live"); status != statusOK || !strings.Contains(out, "ledger: 2 rows were compared") {
		t.Errorf("status %d:\n%s", status, out)
	}
	if _, err := db.Exec("UPSERT INTO ledger (id, amount) VALUES (2, 77)"); err != nil {
		t.Fatal(err)
	}
	var old []byte
	proxy.Tamper(nil, func(method string, msg []byte) []byte {
		if method == "SQLQuery" && old == nil {
			old = bytes.Clone(msg)
		}
		return msg
	})
	page := filepath.Join(t.TempDir(), "page.html")
	if status, out, _ := audit(t, dsn, "-live", "-tables=ledger"); status != statusOK || old == nil {
		t.Fatalf("status %d:\n%s", status, out)
	}
	if _, err := db.Exec("UPSERT INTO ledger (id, amount) VALUES (2, 78)"); err != nil {
		t.Fatal(err)
	}
	proxy.Tamper(nil, func(method string, msg []byte) []byte {
		if method == "SQLQuery" {
			return old
		}
		return msg
	})
	status, out, _ := audit(t, dsn, "-live", "-html="+page)
	const finding = "SELECT serves other values of a row than the history has"
	if status != statusTampered || !strings.Contains(out, "finding") || strings.Count(out, finding) != 2 {
		t.Errorf("status %d:\n%s", status, out)
	}
	if text, err := os.ReadFile(page); err != nil || strings.Count(string(text), finding) != 2 {
		t.Errorf("%v:\n%s", err, text)
	}
}
