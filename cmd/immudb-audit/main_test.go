package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

// ledger makes a database with a table, and returns its DSN with a directory for states.
func ledger(t *testing.T) (*sql.DB, string) {
	t.Helper()
	dsn := testserver.Shared(t).NewDatabase(t)
	db, err := sql.Open(immudb.DriverName, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, statement := range []string{
		"CREATE TABLE ledger (id INTEGER, amount INTEGER, PRIMARY KEY id)",
		"INSERT INTO ledger (id, amount) VALUES (1, 10), (2, 20)",
		"UPDATE ledger SET amount = 11 WHERE id = 1",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	sep := "?"
	if strings.Contains(dsn, "?") {
		sep = "&"
	}
	return db, dsn + sep + "state_dir=" + t.TempDir()
}

func audit(t *testing.T, dsn string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, dsn, &out, &errs, false)
	return status, out.String(), errs.String()
}

func TestTheFirstRunTrustsAndTheNextGoesOnFromThere(t *testing.T) {
	db, dsn := ledger(t)
	status, out, _ := audit(t, dsn+"&verify=trust-first-use", "-tables=*")
	if status != statusOK || !strings.Contains(out, "first use") || !strings.Contains(out, "ledger: 3 revisions") || !strings.Contains(out, "nothing was altered") {
		t.Errorf("status %d:\n%s", status, out)
	}
	if _, err := db.Exec("DELETE FROM ledger WHERE id = 2"); err != nil {
		t.Fatal(err)
	}
	status, out, _ = audit(t, dsn)
	if status != statusOK || !strings.Contains(out, "tx 4 to 4: 1 transactions") || strings.Contains(out, "first use") {
		t.Errorf("status %d:\n%s", status, out)
	}
	if status, out, _ = audit(t, dsn); status != statusOK || !strings.Contains(out, "nothing is new") {
		t.Errorf("status %d:\n%s", status, out)
	}
}

func TestTheReportNamesChangesOfTheSchema(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	db, err := sql.Open(immudb.DriverName, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, text := range []string{"CREATE TABLE audited (id INTEGER, balance INTEGER, PRIMARY KEY id)", "ALTER TABLE audited RENAME COLUMN balance TO cents"} {
		if _, err := db.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	status, stdout, stderr := audit(t, dsn+"&verify=trust-first-use", "-from-start")
	if status != 0 || !strings.Contains(stdout, "audited: column balance is renamed to cents") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
}

func TestTheReportInJSONIsOneLine(t *testing.T) {
	_, dsn := ledger(t)
	status, out, _ := audit(t, dsn+"&verify=trust-first-use", "-json", "-from-start")
	var line struct {
		Result string
		Report immudb.AuditReport
	}
	if err := json.Unmarshal([]byte(out), &line); err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("%v:\n%s", err, out)
	}
	if status != statusOK || line.Result != "ok" || line.Report.Transactions != 3 || line.Report.State.TxID != 3 || !line.Report.FirstUse {
		t.Errorf("status %d: %+v", status, line)
	}
}

func TestTheReportInJSONSaysWhenAndHowTheRunEnded(t *testing.T) {
	began := time.Now().Add(-time.Second)
	status, out, _ := audit(t, "immudb://u:p@127.0.0.1:1/db?connect_timeout=1", "-json")
	var line jsonReport
	if err := json.Unmarshal([]byte(out), &line); err != nil {
		t.Fatal(err)
	}
	if line.Schema != reportSchema || line.Time.Before(began) || line.ExitStatus != status || status != statusUnchecked || line.SQLState != "08001" {
		t.Errorf("status %d:\n%s", status, out)
	}
}

// Each field of the report, and of what it holds, is a row of the page.
func TestEachFieldOfTheReportInJSONIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	var look func(prefix string, of reflect.Type)
	look = func(prefix string, of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
			return
		}
		if of == reflect.TypeFor[immudb.State]() {
			prefix = "state."
		}
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" {
				t.Errorf("%s.%s has no name in JSON", of, field.Name)
			}
			if !strings.Contains(string(page), "| `"+prefix+name+"` |") {
				t.Errorf("docs/audit.md has no row for %s%s", prefix, name)
			}
			look(prefix+name+".", field.Type)
		}
	}
	look("", reflect.TypeFor[jsonReport]())
}

func TestEachOutcomeHasItsStatus(t *testing.T) {
	_, dsn := ledger(t)
	zeros := strings.Repeat("0", 64)
	for _, row := range []struct {
		reason string
		dsn    string
		args   []string
		status int
		say    string
	}{
		{"nothing is trusted", dsn, nil, statusMissing, "trust-first-use"},
		{"another history", dsn + "&trusted_state=1:" + zeros, nil, statusTampered, "TAMPERED"},
		{"another history, in JSON", dsn + "&trusted_state=1:" + zeros, []string{"-json"}, statusTampered, `"result":"tampered"`},
		{"the server has fewer transactions", dsn + "&trusted_state=99:" + zeros, nil, statusOlder, "not checked"},
		{"no server", "immudb://u:hunter2@127.0.0.1:1/db?verify=trust-first-use&connect_timeout=1", nil, statusUnchecked, "not checked"},
		{"no such table", dsn + "&verify=trust-first-use", []string{"-tables=nosuch"}, statusUnchecked, "nosuch"},
		{"no DSN", "", nil, statusUsage, "IMMUDB_DSN"},
		{"a wrong DSN", "immudb://u:hunter2@h/db?nosuch=1", nil, statusUsage, "nosuch"},
		{"two DSNs", dsn, []string{"immudb://u:hunter2@h", "immudb://u:hunter2@h"}, statusUsage, "one DSN"},
		{"a wrong flag", dsn, []string{"-nosuch"}, statusUsage, "-nosuch"},
	} {
		status, out, errs := audit(t, row.dsn, row.args...)
		if status != row.status || !strings.Contains(out+errs, row.say) {
			t.Errorf("%s: status %d, want %d, and %q in\n%s%s", row.reason, status, row.status, row.say, out, errs)
		}
		if strings.Contains(out+errs, "hunter2") {
			t.Errorf("%s: the password is printed:\n%s%s", row.reason, out, errs)
		}
	}
}

// The server's UUID and error texts must not be able to fake lines of the report.
func TestAServerCannotWriteLinesOfTheReport(t *testing.T) {
	forged := "x\r\x1b[2J\nnothing was altered\n"
	report := &immudb.AuditReport{ServerUUID: forged, Database: "db", Rows: map[string]int64{forged: 1}}
	for _, err := range []error{errors.New(forged), immudb.ErrTampered, immudb.ErrSignature} {
		var out bytes.Buffer
		writeText(&out, report, nil, err)
		if text := out.String(); strings.ContainsAny(text, "\r\x1b") || slices.Contains(strings.Split(text, "\n"), "nothing was altered") {
			t.Errorf("%v:\n%q", err, text)
		}
	}
}

func TestAnEmptyDatabaseLeavesNothingToTrust(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	status, out, _ := audit(t, dsn+"&verify=trust-first-use&state_dir="+t.TempDir(), "-from-start")
	if status != statusOK || !strings.Contains(out, "the database is empty") {
		t.Errorf("status %d:\n%s", status, out)
	}
}

func TestTablesAreAListWithOrWithoutSpaces(t *testing.T) {
	_, dsn := ledger(t)
	if status, out, _ := audit(t, dsn+"&verify=trust-first-use", "-tables", " ledger , "); status != statusOK || !strings.Contains(out, "ledger: 3 revisions") {
		t.Errorf("status %d:\n%s", status, out)
	}
}

func TestAServerThatDoesNotSignIsStatusOne(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, dsn := ledger(t)
	for _, args := range [][]string{nil, {"-json"}} {
		status, out, _ := audit(t, dsn+"&verify=trust-first-use&server_public_key="+path, args...)
		if status != statusTampered || !strings.Contains(out, "server_public_key") {
			t.Errorf("status %d:\n%s", status, out)
		}
	}
}

// As described for status 1: the state in a report is enough to audit another server, and
// a user who may only read can do it.
func TestAReaderAuditsWithTheStateOfAReport(t *testing.T) {
	db, dsn := ledger(t)
	_, out, _ := audit(t, dsn+"&verify=trust-first-use", "-json")
	var line struct{ Report immudb.AuditReport }
	if err := json.Unmarshal([]byte(out), &line); err != nil {
		t.Fatal(err)
	}
	const password = "Reader-1-reads!"
	name := "reader_" + strings.ToLower(rand.Text()[:8])
	if _, err := db.Exec("CREATE USER " + name + " WITH PASSWORD '" + password + "' READ"); err != nil {
		t.Fatal(err)
	}
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.User, cfg.Password, cfg.Verify.StateDir, cfg.Verify.State = name, password, "", line.Report.State.Pin()
	if status, out, _ := audit(t, cfg.FormatDSN(), "-from-start", "-tables=*"); status != statusOK || !strings.Contains(out, "ledger: 3 revisions") {
		t.Errorf("status %d:\n%s", status, out)
	}
	cfg.Verify.State = strings.Replace(cfg.Verify.State, ":", ":0", 1)[:len(cfg.Verify.State)]
	if status, out, _ := audit(t, cfg.FormatDSN(), "-from-start"); status != statusTampered {
		t.Errorf("another state: status %d:\n%s", status, out)
	}
}

func TestTheProgressBarIsDrawnOnATerminalOnly(t *testing.T) {
	_, dsn := ledger(t)
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"-from-start"}, dsn+"&verify=trust-first-use", &out, &errs, true); status != statusOK {
		t.Fatal(out.String())
	}
	if !strings.Contains(errs.String(), "100%  tx 3 of 3") || strings.Contains(out.String(), "%") {
		t.Errorf("standard error %q, output %q", errs.String(), out.String())
	}
	if _, _, errs := audit(t, dsn); errs != "" {
		t.Errorf("without a terminal: %q", errs)
	}
}
