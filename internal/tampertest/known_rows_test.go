package tampertest

import (
	"bytes"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

const allAccounts = "SELECT id, owner, balance FROM accounts ORDER BY id"

// knowing returns a database behind a proxy whose rows were all proven once, and the same database for another client.
func knowing(t *testing.T) (p *tamperproxy.Proxy, proven, other *sql.DB) {
	t.Helper()
	dsn := dbtest.FreshDSN(t)
	other = dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, other, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, note BLOB, PRIMARY KEY id)")
	for id := range 20 {
		dbtest.Exec(t, other, "INSERT INTO accounts (id, owner, balance, note) VALUES (?, 'ann', ?, x'01')", id, 10*id)
	}
	p, dsn = tamperproxy.Start(t, dsn)
	proven = dbtest.OpenDSN(t, dbtest.WithOptions(dsn, verifyReads+",strict"))
	for range 2 { // the second time from what is known
		if _, err := answerOf(t, proven, nil, allAccounts); err != nil {
			t.Fatal(err)
		}
	}
	return p, proven, other
}

// mustAgree reads all accounts with a proof and without.
func mustAgree(t *testing.T, proven, other *sql.DB) {
	t.Helper()
	got, err := answerOf(t, proven, nil, allAccounts)
	want, wantErr := answerOf(t, other, nil, allAccounts)
	if err != nil || wantErr != nil || !slices.Equal(got, want) {
		t.Errorf("with a proof %q, %v\nwithout %q, %v", got, err, want, wantErr)
	}
}

func TestRowsThatAreKnownNeedNoProofAgain(t *testing.T) {
	p, proven, other := knowing(t)
	proofs := func() int {
		t.Helper()
		before := p.Count("VerifiableSQLGet")
		mustAgree(t, proven, other)
		return p.Count("VerifiableSQLGet") - before
	}
	if n := proofs(); n != 0 {
		t.Errorf("nothing was written, and %d rows were proven again", n)
	}
	for range 3 { // the rows that are not written stay known
		dbtest.Exec(t, other, "UPDATE accounts SET balance = balance + 1 WHERE id = 7")
		dbtest.Exec(t, other, "DELETE FROM accounts WHERE id = 3")
		dbtest.Exec(t, other, "UPSERT INTO accounts (id, owner, balance) VALUES (3, 'bob', 4)")
		if n := proofs(); n < 1 || n > 2 {
			t.Errorf("2 rows were written, and %d were proven", n)
		}
	}
	dbtest.Exec(t, other, "ALTER TABLE accounts ADD COLUMN more INTEGER")
	mustAgree(t, proven, other)
	mustAgree(t, proven, other)
	dbtest.Exec(t, other, "DELETE FROM accounts")
	mustAgree(t, proven, other)
}

// A program may change what it was given, and reads the rows as they are nevertheless.
func TestKnownRowsAreNotThoseOfTheCaller(t *testing.T) {
	_, proven, _ := knowing(t)
	for range 3 {
		rows, err := immudb.VerifyRows(t.Context(), proven, "accounts", "")
		if err != nil || len(rows) != 20 {
			t.Fatal(len(rows), err)
		}
		for _, row := range rows {
			note, _ := row.Value("note")
			if !bytes.Equal(note.([]byte), []byte{1}) {
				t.Fatalf("the note of a row is %x", note)
			}
			note.([]byte)[0] = 9
		}
	}
}

// What is known makes no lie acceptable: an answer of before is refused when the rows were written since, however the
// server shows the transactions that have written them.
func TestNoLieIsAcceptedBecauseARowIsKnown(t *testing.T) {
	for _, lie := range []struct {
		name string
		scan func(old [][]byte, msg []byte) []byte
	}{
		{"the transactions as they are", nil},
		{"transactions of before", func(old [][]byte, _ []byte) []byte { return old[0] }},
		{"none", func([][]byte, []byte) []byte { return nil }},
		{"another key", func(_ [][]byte, msg []byte) []byte {
			at := bytes.LastIndex(msg, []byte{0x80, 0, 0, 0, 0, 0, 0, 7})
			if at >= 0 {
				msg[at+7] = 8
			}
			return msg
		}},
	} {
		t.Run(lie.name, func(t *testing.T) {
			p, proven, other := knowing(t)
			var mu sync.Mutex
			var selected []byte
			var scans [][]byte
			p.Tamper(nil, func(method string, msg []byte) []byte {
				mu.Lock()
				defer mu.Unlock()
				switch method {
				case "SQLQuery":
					selected = bytes.Clone(msg)
				case "TxScan":
					scans = append(scans, bytes.Clone(msg))
				}
				return msg
			})
			dbtest.Exec(t, other, "UPDATE accounts SET balance = 1000 WHERE id = 6")
			mustAgree(t, proven, other) // the honest twin
			if len(scans) != 1 {
				t.Fatalf("%d readings of what was written", len(scans))
			}
			dbtest.Exec(t, other, "UPDATE accounts SET balance = 2000 WHERE id = 7")
			p.Tamper(nil, func(method string, msg []byte) []byte {
				switch {
				case method == "SQLQuery":
					return selected
				case method == "TxScan" && lie.scan != nil:
					return lie.scan(scans, bytes.Clone(msg))
				}
				return msg
			})
			answer, err := answerOf(t, proven, nil, allAccounts)
			mustBeTampering(t, err)
			if err == nil {
				t.Errorf("accepted: %q", answer)
			}
			p.Tamper(nil, nil)
			mustAgree(t, proven, other)
		})
	}
}

// A server that refuses to show what was written makes reads slower, not impossible.
func TestReadsGoOnWhenTransactionsCannotBeRead(t *testing.T) {
	p, proven, other := knowing(t)
	p.Answer(func(method string, req []byte, call func([]byte) ([]byte, error)) ([]byte, bool, error) {
		if method != "TxScan" {
			return nil, false, nil
		}
		_, err := call([]byte{0xff}) // not a request
		return nil, true, err
	})
	dbtest.Exec(t, other, "UPDATE accounts SET balance = 1000 WHERE id = 6")
	before := p.Count("VerifiableSQLGet")
	mustAgree(t, proven, other)
	if n := p.Count("VerifiableSQLGet") - before; n != 20 {
		t.Errorf("%d rows were proven again, want all 20", n)
	}
}

func TestKnownRowsStayTrueBesideWriters(t *testing.T) {
	_, proven, other := knowing(t)
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 2 {
		writers.Go(func() {
			for n := range 40 {
				if _, err := other.Exec("UPDATE accounts SET balance = ? WHERE id = ?", 1000+n, (5*n+w)%20); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		readers.Go(func() {
			for {
				if _, err := answerOf(t, proven, nil, "SELECT * FROM accounts WHERE id < 12"); err != nil && !errors.Is(err, immudb.ErrConflict) {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	mustAgree(t, proven, other)
}
