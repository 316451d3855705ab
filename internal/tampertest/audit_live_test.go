package tampertest

import (
	"bytes"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

var live = immudb.AuditOptions{Live: true}

// mustServeWhatWasWritten audits an honest server.
func mustServeWhatWasWritten(t *testing.T, db *sql.DB, opts immudb.AuditOptions, served map[string]int64) {
	t.Helper()
	r, err := immudb.Audit(t.Context(), db, opts)
	if err != nil || len(r.Findings) > 0 {
		t.Fatalf("an honest server: %v, %+v", err, r.Findings)
	}
	for table, n := range served {
		if r.Served[table] != n {
			t.Errorf("%d rows of %s were compared, want %d", r.Served[table], table, n)
		}
	}
}

// served returns a table behind a proxy, of which rows were changed and deleted.
func served(t *testing.T) (*tamperproxy.Proxy, *sql.DB) {
	t.Helper()
	p, db := lyingServer(t)
	for _, sql := range []string{
		"INSERT INTO accounts (id, owner, balance) VALUES (4, 'old', 40), (5, 'dan', 50)",
		"UPDATE accounts SET owner = 'new' WHERE id = 4",
		"DELETE FROM accounts WHERE id = 5",
		"CREATE TABLE accounts2 (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)",
		"INSERT INTO accounts2 (id, owner, balance) VALUES (1, 'ann', 10), (2, 'bob', 20), (3, 'eve', 30), (4, 'new', 40), (6, 'joe', 60)",
	} {
		dbtest.Exec(t, db, sql)
	}
	return p, db
}

func TestLiveAuditFindsWhatIsServedFalsely(t *testing.T) {
	accounts := []byte("SELECT * FROM \"accounts\"")
	// instead asks for other rows than those of the table.
	instead := func(answered string) func(*testing.T, *tamperproxy.Proxy) {
		return func(t *testing.T, p *tamperproxy.Proxy) {
			p.Answer(func(method string, req []byte, call func([]byte) ([]byte, error)) ([]byte, bool, error) {
				if method != "SQLQuery" || !bytes.Contains(req, accounts) {
					return nil, false, nil
				}
				// The text is field 1, with a length of one byte.
				at := bytes.Index(req, accounts)
				other := slices.Concat(req[:at-1], []byte{byte(len(answered))}, []byte(answered), req[at+len(accounts):])
				answer, err := call(other)
				return answer, true, err
			})
		}
	}
	for _, lie := range []struct {
		name string
		tell func(*testing.T, *tamperproxy.Proxy)
		what string
	}{
		{"a row is hidden", instead("SELECT * FROM accounts WHERE id <> 2"), "SELECT does not serve a row that the history has"},
		{"all rows are hidden", instead("SELECT * FROM accounts WHERE id > 99"), "SELECT does not serve a row that the history has"},
		{"a value is changed", func(t *testing.T, p *tamperproxy.Proxy) {
			p.Tamper(nil, on("SQLQuery", func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte("bob"), []byte("eve")) }))
		}, "SELECT serves other values of a row than the history has"},
		{"an older revision is served", instead("SELECT * FROM accounts BEFORE TX 5"), "SELECT serves other values of a row than the history has"},
		{"a row that was deleted is served", instead("SELECT * FROM accounts BEFORE TX 6"), "SELECT serves a row that was deleted"},
		{"a row that was never written is served", func(t *testing.T, p *tamperproxy.Proxy) {
			instead("SELECT * FROM accounts2")(t, p)
			p.Tamper(nil, on("SQLQuery", func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte("accounts2."), []byte("accounts.")) }))
		}, "SELECT serves a row that was never written"},
		{"a row is served twice", func(t *testing.T, p *tamperproxy.Proxy) { p.Tamper(nil, on("SQLQuery", twice)) }, "SELECT serves a row twice"},
	} {
		t.Run(lie.name, func(t *testing.T) {
			p, db := served(t)
			mustServeWhatWasWritten(t, db, live, map[string]int64{"accounts": 4, "accounts2": 5})
			before := stateOf(t, db)
			lie.tell(t, p)
			r, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{Live: true, Tables: []string{"accounts"}})
			mustBeTampering(t, err)
			if !slices.ContainsFunc(r.Findings, func(f immudb.AuditFinding) bool { return f.Table == "accounts" && f.What == lie.what }) {
				t.Errorf("%v, %+v, want %q", err, r.Findings, lie.what)
			}
			if err != nil && !strings.Contains(err.Error(), r.Findings[0].What) {
				t.Errorf("err = %v, want one that says %s", err, r.Findings[0].What)
			}
			p.Answer(nil)
			p.Tamper(nil, nil)
			if after := stateOf(t, db); after.Pin() != before.Pin() {
				t.Errorf("the trusted state is %s, was %s", after.Pin(), before.Pin())
			}
			mustServeWhatWasWritten(t, db, live, nil)
		})
	}
}

// Every type, NULL, and what happens to tables.
func TestLiveAuditAcceptsEveryHonestTable(t *testing.T) {
	_, proven, plain := reader(t, verifyReads)
	mustServeWhatWasWritten(t, proven, live, map[string]int64{"accounts": 3})
	want := int64(3)
	for _, sql := range []string{
		"ALTER TABLE accounts ADD COLUMN more INTEGER",
		"UPSERT INTO accounts (branch, id, more, note, rate) VALUES ('ulm', 3, 5, '{\"b\": [1, 2.50], \"a\": null}', 0.1)",
		"ALTER TABLE accounts ADD COLUMN five INTEGER DEFAULT 5",
		"CREATE INDEX ON accounts(owner)",
		"ALTER TABLE accounts RENAME COLUMN owner TO holder",
		"ALTER TABLE accounts DROP COLUMN mark",
		"ALTER TABLE accounts RENAME TO ledger",
		"UPDATE ledger SET holder = NULL WHERE id = 3",
		"DELETE FROM ledger WHERE branch = 'bonn'",
		"CREATE TABLE accounts (id INTEGER, PRIMARY KEY id)",
		"INSERT INTO accounts (id) VALUES (1)",
		"DROP TABLE accounts",
		"TRUNCATE TABLE ledger",
		"UPSERT INTO ledger (branch, id) VALUES ('ulm', 3)",
	} {
		dbtest.Exec(t, plain, sql)
		switch {
		case strings.HasPrefix(sql, "UPSERT"):
			want++
		case strings.HasPrefix(sql, "DELETE"):
			want--
		case strings.HasPrefix(sql, "TRUNCATE"):
			want = 0
		}
		served := map[string]int64{"accounts": want}
		if strings.Contains(sql, "ledger") {
			served = map[string]int64{"ledger": want}
		}
		if strings.Contains(sql, "TABLE accounts (") || strings.Contains(sql, "INTO accounts (id)") || strings.Contains(sql, "DROP TABLE") {
			served = map[string]int64{"ledger": want}
		}
		r, err := immudb.Audit(t.Context(), proven, live)
		if err != nil {
			t.Fatalf("after %s: %v, %+v", sql, err, r.Findings)
		}
		for table, n := range served {
			if r.Served[table] != n {
				t.Errorf("after %s: %d rows of %s, want %d", sql, r.Served[table], table, n)
			}
		}
		// A table alone, which had another name before.
		for table := range served {
			if r, err := immudb.Audit(t.Context(), proven, immudb.AuditOptions{Live: true, Tables: []string{table}}); err != nil {
				t.Fatalf("%s alone, after %s: %v, %+v", table, sql, err, r.Findings)
			}
		}
	}
}

func TestLiveAuditFindsNothingBesideWriters(t *testing.T) {
	_, db := served(t)
	var writers sync.WaitGroup
	done := make(chan struct{})
	for w := range 2 {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				statement := [...]string{
					fmt.Sprintf("UPSERT INTO accounts (id, owner, balance) VALUES (%d, 'w', %d)", 100+10*w+n%7, n),
					fmt.Sprintf("DELETE FROM accounts WHERE id = %d", 100+10*w+(n+3)%7),
					fmt.Sprintf("UPDATE accounts SET balance = %d WHERE id = %d", n, 1+w),
				}[n%3]
				if n%50 == 49 {
					statement = fmt.Sprintf("CREATE TABLE more%d_%d (id INTEGER, PRIMARY KEY id)", w, n)
				}
				if _, err := db.Exec(statement); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 12 {
		if r, err := immudb.Audit(t.Context(), db, live); err != nil {
			t.Errorf("%v, %+v", err, r.Findings)
		}
	}
	close(done)
	writers.Wait()
	mustServeWhatWasWritten(t, db, live, nil)
}
