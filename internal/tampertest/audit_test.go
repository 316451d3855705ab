package tampertest

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

func TestAuditContinuesFromWhereTrustBegan(t *testing.T) {
	db := openAccounts(t)
	before := stateOf(t, db)
	for range 7 {
		dbtest.Exec(t, db, "INSERT INTO accounts (owner, balance) VALUES ('bob', 1)")
	}
	var last immudb.AuditProgress
	r, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{Progress: func(p immudb.AuditProgress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Trusted.Pin() != before.Pin() || r.First != before.TxID+1 || r.Transactions != 7 || r.State.TxID != before.TxID+7 || r.FirstUse {
		t.Errorf("got %+v after %s", r, before.Pin())
	}
	if last.TxID != r.State.TxID || last.Last != r.State.TxID {
		t.Errorf("the last progress is %+v", last)
	}
	if now := stateOf(t, db); now.Pin() != r.State.Pin() {
		t.Errorf("trusted is %s, the report says %s", now.Pin(), r.State.Pin())
	}
}

func TestAuditReadsEveryRevisionOfTheChosenTables(t *testing.T) {
	db := openAccounts(t)
	dbtest.Exec(t, db, "CREATE TABLE other (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO other (id) VALUES (1), (2)")
	dbtest.Exec(t, db, "UPDATE accounts SET balance = 2 WHERE id = 1")
	dbtest.Exec(t, db, "ALTER TABLE accounts ADD COLUMN note VARCHAR")
	dbtest.Exec(t, db, "UPDATE accounts SET note = 'n' WHERE id = 1")
	dbtest.Exec(t, db, "DELETE FROM accounts WHERE id = 1")
	dbtest.Exec(t, db, "DROP TABLE other")
	for _, tables := range [][]string{{"Accounts"}, {"other"}, {"*"}} {
		r, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{Tables: tables})
		if err != nil {
			t.Fatalf("%v: %v", tables, err)
		}
		want := map[string]int64{"accounts": 4, "other": 2}
		for name, n := range r.Rows {
			if n != want[name] {
				t.Errorf("%v: %d revisions of %s, want %d", tables, n, name, want[name])
			}
		}
		if len(r.Rows) == 0 || tables[0] == "*" && len(r.Rows) != 2 || r.First != 1 {
			t.Errorf("%v: got %+v", tables, r)
		}
	}
	if _, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{Tables: []string{"nosuch"}}); !errors.Is(err, immudb.ErrNoSuchTable) {
		t.Errorf("err = %v, want ErrNoSuchTable", err)
	}
}

func TestAuditOfAnEmptyDatabaseFindsNothingAmiss(t *testing.T) {
	if r, err := immudb.Audit(t.Context(), dbtest.Open(t, trustFirstUse), immudb.AuditOptions{Tables: []string{"*"}}); err != nil || r.Transactions != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestAuditNeedsATrustedState(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	if _, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{FromStart: true}); !errors.Is(err, immudb.ErrStateMissing) {
		t.Errorf("err = %v, want ErrStateMissing", err)
	}
}

func TestAuditNoticesTamperingAndMovesNothing(t *testing.T) {
	for name, lie := range map[string]struct {
		method string
		change func(msg []byte) []byte
	}{
		"a value":                 {"TxScan", func(msg []byte) []byte { return bytes.Replace(msg, []byte("bob"), []byte("eve"), 1) }},
		"a transaction left out":  {"TxScan", func([]byte) []byte { return nil }},
		"a bit of a hash":         {"TxScan", func(msg []byte) []byte { msg[len(msg)/3] ^= 1; return msg }},
		"the end of the history":  {"CurrentState", func(msg []byte) []byte { msg[len(msg)/2] ^= 1; return msg }},
		"a proof of another kind": {"VerifiableTxById", func(msg []byte) []byte { msg[len(msg)*2/3] ^= 1; return msg }},
	} {
		p, db := lyingServer(t)
		before := stateOf(t, db)
		dbtest.Exec(t, db, "INSERT INTO accounts (id, owner, balance) VALUES (9, 'x', 9)")
		p.Tamper(nil, on(lie.method, lie.change))
		_, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{Tables: []string{"*"}})
		if mustBeTampering(t, err); t.Failed() {
			t.Fatal(name)
		}
		p.Tamper(nil, nil)
		if after := stateOf(t, db); after.Pin() != before.Pin() {
			t.Errorf("%s: the trusted state is %s, was %s", name, after.Pin(), before.Pin())
		}
		if _, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{Tables: []string{"*"}}); err != nil {
			t.Errorf("%s: after that, the truth: %v", name, err)
		}
	}
}

// A server that describes a table with swapped columns is trusted at first use. An audit
// detects it.
func TestAuditFindsATableThatWasDescribedFalsely(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, debit INTEGER, money INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id, debit, money) VALUES (1, 10, 20)")
	swap := strings.NewReplacer("debit", "money", "money", "debit")
	p.Tamper(nil, on("VerifiableSQLGet", func(msg []byte) []byte { return []byte(swap.Replace(string(msg))) }))
	row := mustVerify(t, db)
	if debit, _ := row.Value("debit"); debit != int64(20) {
		t.Fatalf("the proxy did not lie: %+v", row)
	}
	p.Tamper(nil, nil)
	_, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{FromStart: true})
	mustBeTampering(t, err)
}

// A failed first audit must not store a state, from which the next audit would start and
// succeed.
func TestAFirstAuditThatFailsTrustsNothing(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	plain := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, plain, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], PRIMARY KEY id)")
	dbtest.Exec(t, plain, "INSERT INTO accounts (id, owner) VALUES (1, 'ann')")
	dsn = dbtest.WithOptions(dsn, "state_dir="+t.TempDir())
	p.Tamper(nil, on("TxScan", func(msg []byte) []byte { return bytes.Replace(msg, []byte("ann"), []byte("eve"), 1) }))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	r, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{Tables: []string{"*"}})
	mustBeTampering(t, err)
	if !r.FirstUse {
		t.Errorf("got %+v", r)
	}
	if _, err := immudb.Audit(t.Context(), dbtest.OpenDSN(t, dsn), immudb.AuditOptions{}); !errors.Is(err, immudb.ErrStateMissing) {
		t.Errorf("after that: err = %v, want ErrStateMissing", err)
	}
	p.Tamper(nil, nil)
	r, err = immudb.Audit(t.Context(), db, immudb.AuditOptions{Tables: []string{"*"}})
	if err != nil || !r.FirstUse || r.State.TxID != 2 || r.State.Pin() != stateOf(t, dbtest.OpenDSN(t, dsn)).Pin() {
		t.Errorf("the truth: %+v, %v", r, err)
	}
}

// Verified reads move the trusted state past transactions that no audit has read. The next
// audit reads these transactions, in each process.
func TestAuditReadsWhatVerifiedReadsHavePassed(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	dsn = dbtest.WithOptions(dsn, trustFirstUse, "state_dir="+t.TempDir())
	db := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, balance INTEGER, PRIMARY KEY id)")
	first, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{FromStart: true})
	if err != nil {
		t.Fatal(err)
	}
	const writes = 20
	for i := range writes {
		dbtest.Exec(t, db, "INSERT INTO accounts (id, balance) VALUES (?, ?)", i, i)
	}
	mustVerify(t, db)
	catchUp(t, db)
	audited := stateOf(t, db)
	if audited.TxID != first.State.TxID+writes || audited.AuditedTxID != first.State.TxID {
		t.Fatalf("trusted is tx %d and audited %d after %d writes behind tx %d", audited.TxID, audited.AuditedTxID, writes, first.State.TxID)
	}

	again := dbtest.OpenDSN(t, dsn)
	flipped := false
	p.Tamper(nil, on("TxScan", func(msg []byte) []byte { // the key of a row
		if at := bytes.Index(msg, []byte("\x02R.")); at >= 0 {
			msg[at+2] ^= 1
			flipped = true
		}
		return msg
	}))
	_, err = immudb.Audit(t.Context(), again, immudb.AuditOptions{})
	mustBeTampering(t, err)
	if !flipped {
		t.Error("the audit has read no row")
	}
	p.Tamper(nil, nil)
	r, err := immudb.Audit(t.Context(), again, immudb.AuditOptions{}) // an honest answer is accepted
	if err != nil || r.First != first.State.TxID+1 || r.Transactions != writes || r.State.AuditedTxID != r.State.TxID {
		t.Errorf("got %+v, %v, want %d transactions from tx %d on", r, err, writes, first.State.TxID+1)
	}
	if r, err := immudb.Audit(t.Context(), again, immudb.AuditOptions{}); err != nil || r.Transactions != 0 {
		t.Errorf("the next one: got %+v, %v, want nothing new", r, err)
	}
}
