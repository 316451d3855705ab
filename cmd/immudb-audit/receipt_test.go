package main

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// receiptRun runs "immudb-audit receipt" and returns what it writes.
func receiptRun(t *testing.T, want int, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(t.Context(), append([]string{"receipt"}, args...), "", &stdout, &stderr, false); got != want {
		t.Fatalf("receipt %v: status %d, want %d: %s%s", args, got, want, &stdout, &stderr)
	}
	if want != statusOK {
		return stderr.String()
	}
	return stdout.String()
}

func TestAReceiptIsMadeShownVerifiedAndExtended(t *testing.T) {
	dsn := dbtest.FreshDSN(t, "verify=trust-first-use")
	db := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE t (name VARCHAR[20], n INTEGER, PRIMARY KEY (name, n))")
	dbtest.Exec(t, db, "INSERT INTO t (name, n) VALUES ('it''s', 42)")
	s, err := immudb.NewVerifier(db).State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	save := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := receiptRun(t, statusOK, "get", "-table", "t", "-pk", "it's", "-pk", "42", dsn)
	file := save("receipt", text)
	dbtest.Exec(t, db, "INSERT INTO t (name, n) VALUES ('b', 1)")
	newer := save("newer", receiptRun(t, statusOK, "extend", "-in", file, dsn))
	now, err := immudb.NewVerifier(dbtest.OpenDSN(t, dsn)).State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{
		receiptRun(t, statusOK, "verify", "-database", s.Database, "-state", pinOf(t, db, 2), file),
		receiptRun(t, statusOK, "verify", "-database", s.Database, "-state", now.Pin(), newer),
		receiptRun(t, statusOK, "show", file),
	} {
		if !strings.Contains(out, "transaction 2 of database "+s.Database) || !strings.Contains(out, "'it''s'") || !strings.Contains(out, "42") {
			t.Errorf("it says:\n%s", out)
		}
	}
	if out := receiptRun(t, statusOK, "show", file); !strings.Contains(out, "NOT VERIFIED") {
		t.Errorf("show does not say that it does not verify:\n%s", out)
	}

	receiptRun(t, statusTampered, "verify", "-database", "another", "-state", pinOf(t, db, 2), file)
	receiptRun(t, statusTampered, "verify", "-database", s.Database, "-state", "2:"+strings.Repeat("0", 64), file)
	receiptRun(t, statusTampered, "verify", "-database", s.Database, "-state", pinOf(t, db, 2), save("cut", text[:len(text)-2]))
	receiptRun(t, statusUnchecked, "verify", "-database", s.Database, "-state", now.Pin(), file)
	receiptRun(t, statusUnchecked, "get", "-table", "t", "-pk", "nobody", "-pk", "1", dsn)
	for _, args := range [][]string{
		{}, {"frobnicate"}, {"get"}, {"get", "-table", "t", dsn}, {"get", "-table", "t", "-pk", "1"}, {"get", "-nosuch"}, {"extend", dsn},
		{"verify", file}, {"verify", "-database", "x", file}, {"verify", "-database", "x", "-state", "1", file},
		{"verify", "-database", "x", "-key", filepath.Join(dir, "nosuch"), file}, {"show"}, {"show", filepath.Join(dir, "nosuch")},
	} {
		receiptRun(t, statusUsage, args...)
	}
}

// pinOf is the state right after a transaction.
func pinOf(t *testing.T, db *sql.DB, tx uint64) string {
	t.Helper()
	s, err := immudb.NewVerifier(db).Tx(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	return s.Pin()
}

func TestKeysAreReadAsSQLWritesThem(t *testing.T) {
	for text, want := range map[string]any{"42": int64(42), "-1": int64(-1), "1.5": 1.5, "true": true, "'42'": "42", "'it''s'": "it's", "ann": "ann", "nan": "nan"} {
		if got, err := keyValue(text); err != nil || got != want {
			t.Errorf("%s is %#v (%v), not %#v", text, got, err, want)
		}
	}
	if got, err := keyValue("x'00ff'"); err != nil || string(got.([]byte)) != "\x00\xff" {
		t.Errorf("x'00ff' is %v, %v", got, err)
	}
	if _, err := keyValue("x'0'"); err == nil {
		t.Error("x'0' is a blob")
	}
}
