package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
)

func TestChangesInJSONGoOnAfterACursor(t *testing.T) {
	db, dsn := ledger(t)
	status, out, errs := audit(t, dsn+"&verify=trust-first-use", "changes", "-json")
	if status != statusOK || errs != "" {
		t.Fatalf("status %d: %s", status, errs)
	}
	var cursors, kinds []string
	for line := range strings.Lines(out) {
		var c struct {
			Kind   immudb.ChangeKind
			Table  string
			Cursor immudb.Cursor
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		kinds, cursors = append(kinds, string(c.Kind)+" "+c.Table), append(cursors, c.Cursor.String())
	}
	if want := []string{"schema ledger", "upsert ledger", "upsert ledger", "upsert ledger"}; !slices.Equal(kinds, want) {
		t.Fatalf("got %q, want %q:\n%s", kinds, want, out)
	}
	if !strings.Contains(out, `"key":{"id":2},"row":{"id":2,"amount":20}`) {
		t.Errorf("no row 2:\n%s", out)
	}
	if _, err := db.Exec("DELETE FROM ledger WHERE id = 2"); err != nil {
		t.Fatal(err)
	}
	status, out, errs = audit(t, dsn, "changes", "-after", cursors[3])
	if status != statusOK || !strings.Contains(out, "delete ledger id=2 amount=20\n") || strings.Count(out, "\n") != 1 || !strings.Contains(errs, "-after 4:") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	status, out, _ = audit(t, dsn, "changes", "-tables=other")
	if status != statusOK || out != "" {
		t.Errorf("of another table: status %d: %s", status, out)
	}
}

func TestChangesThatCannotBeReadHaveTheStatusOfAnAudit(t *testing.T) {
	_, dsn := ledger(t)
	_, other := ledger(t)
	_, out, _ := audit(t, dsn+"&verify=trust-first-use", "changes", "-json")
	var last struct{ Cursor immudb.Cursor }
	if err := json.Unmarshal([]byte(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]), &last); err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(strings.Join(strings.Split(last.Cursor.String(), ":")[:2], ":"), ":", ":00", 1)
	forged = forged[:len(forged)-2]
	for name, c := range map[string]struct {
		dsn  string
		args []string
		want int
	}{
		"nothing is trusted":      {other, nil, statusMissing},
		"a cursor that is none":   {dsn, []string{"-after", last.Cursor.String()[:30]}, statusUsage},
		"a cursor that never was": {dsn, []string{"-after", forged}, statusTampered},
		"no such flag":            {dsn, []string{"-nosuch"}, statusUsage},
	} {
		if status, out, errs := audit(t, c.dsn, append([]string{"changes"}, c.args...)...); status != c.want || out != "" || errs == "" {
			t.Errorf("%s: status %d, want %d: %s%s", name, status, c.want, out, errs)
		}
	}
	if b := new(bytes.Buffer); runChanges(t.Context(), nil, "", b, b) != statusUsage || !strings.Contains(b.String(), "DSN") {
		t.Errorf("without a DSN: %s", b)
	}
}
