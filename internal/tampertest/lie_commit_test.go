package tampertest

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

// provenCommits makes a table t with an integer key behind a proxy, with proven commits.
func provenCommits(t *testing.T, options ...string) (*tamperproxy.Proxy, *sql.DB) {
	t.Helper()
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, append([]string{proveCommits}, options...)...))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY id)")
	return p, db
}

// answerWith returns the same bytes for each call of the methods.
func answerWith(answers map[string][]byte) tamperproxy.Instead {
	return func(method string, _ []byte, _ func([]byte) ([]byte, error)) ([]byte, bool, error) {
		answer, ok := answers[method]
		return answer, ok, nil
	}
}

// If the answer to a commit names a transaction that existed before the commit was sent, the
// commit was not made. This is tested for each way to commit.
func TestCommitAnsweredWithOlderTransactionIsRefused(t *testing.T) {
	for _, option := range []string{"group_commit=0", "group_commit=8"} {
		p, db := provenCommits(t, option)
		recorded := make(map[string][]byte)
		p.Tamper(nil, func(method string, msg []byte) []byte {
			if method == "SQLExec" || method == "Commit" {
				recorded[method] = bytes.Clone(msg)
			}
			return msg
		})
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
		if err := inOneTx(db, "INSERT INTO t (id) VALUES (2)"); err != nil {
			t.Fatal(err)
		}
		p.Tamper(nil, nil)
		copyRows := func(first int) (int64, error) {
			return immudb.CopyFrom(t.Context(), db, "t", []string{"id"}, dbtest.Rows([]any{first}, []any{first + 1}), nil)
		}
		writes := map[string]func(id int) error{
			"Exec": func(id int) error {
				_, err := db.Exec("INSERT INTO t (id) VALUES (?)", id)
				return err
			},
			"Commit":   func(id int) error { return inOneTx(db, fmt.Sprintf("INSERT INTO t (id) VALUES (%d)", id)) },
			"CopyFrom": func(id int) error { _, err := copyRows(id); return err },
			"DDL": func(id int) error {
				_, err := db.Exec(fmt.Sprintf("CREATE TABLE t%d (id INTEGER, PRIMARY KEY id)", id))
				return err
			},
		}
		for what, write := range writes {
			before := stateOf(t, db)
			p.Answer(answerWith(recorded))
			err := write(100)
			p.Answer(nil)
			if mustBeTampering(t, err); t.Failed() {
				t.Fatalf("%s, %s: a lie is accepted", option, what)
			}
			if after := stateOf(t, db); after.Pin() != before.Pin() {
				t.Errorf("%s: the trusted state has moved to %s", what, after.Pin())
			}
			dbtest.Exec(t, db, "DELETE FROM t WHERE id >= 100") // CopyFrom may have staged its rows
			if err := write(200); err != nil {                  // an honest answer is accepted
				t.Errorf("%s, %s: %v", option, what, err)
			}
			dbtest.Exec(t, db, "DELETE FROM t WHERE id >= 200")
		}
	}
}

// Concurrent commits must each be answered with a different transaction.
func TestCommitsAnsweredWithOneTransactionAreRefused(t *testing.T) {
	const writers = 8
	p, db := provenCommits(t, fmt.Sprintf("max_sessions=%d", writers))
	var (
		mu     sync.Mutex
		first  []byte
		others sync.WaitGroup // until all have been sent
	)
	others.Add(writers)
	p.Answer(func(method string, req []byte, call func([]byte) ([]byte, error)) ([]byte, bool, error) {
		if method != "SQLExec" {
			return nil, false, nil
		}
		others.Done()
		others.Wait()
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			var err error
			if first, err = call(req); err != nil {
				return nil, true, err
			}
		}
		return first, true, nil
	})
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { _, errs[i] = db.Exec("INSERT INTO t (id) VALUES (?)", i) })
	}
	wg.Wait()
	p.Answer(nil)
	accepted := 0
	for _, err := range errs {
		if err == nil {
			accepted++
			continue
		}
		mustBeTampering(t, err)
	}
	if accepted != 1 {
		t.Errorf("%d of %d commits answered with one transaction are accepted, want 1", accepted, writers)
	}
	for i := range writers { // honest answers are accepted
		wg.Go(func() {
			if _, err := db.Exec("INSERT INTO t (id) VALUES (?)", 100+i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A statement that cannot succeed without a write must not be answered with no transaction.
func TestStatementThatMustWriteNeedsItsTransaction(t *testing.T) {
	p, db := provenCommits(t)
	dbtest.Exec(t, db, "INSERT INTO t (id, n) VALUES (1, 1)")
	must := []string{
		"INSERT INTO t (id) VALUES (2)",
		"CREATE TABLE u (id INTEGER, m INTEGER, PRIMARY KEY id)",
		"CREATE INDEX ON t(n)",
		"CREATE UNIQUE INDEX ON u(m)",
		"ALTER TABLE t ADD COLUMN x INTEGER",
		"ALTER TABLE t RENAME COLUMN x TO y",
		"ALTER TABLE t DROP COLUMN y",
		"ALTER TABLE u RENAME TO v",
		"DROP INDEX ON t(n)",
		"TRUNCATE TABLE v",
		"DROP TABLE v",
	}
	need := []string{ // these may find nothing to do
		"CREATE TABLE IF NOT EXISTS t (id INTEGER, PRIMARY KEY id)",
		"DROP TABLE IF EXISTS nosuch",
		"DELETE FROM t WHERE id = 99",
		"UPDATE t SET n = 1 WHERE id = 99",
		"INSERT INTO t (id) SELECT id FROM t WHERE id = 99",
		"INSERT INTO t (id) VALUES (1) ON CONFLICT DO NOTHING",
	}
	for _, statement := range must {
		p.Answer(answerWith(map[string][]byte{"SQLExec": {}}))
		_, err := db.Exec(statement)
		p.Answer(nil)
		if mustBeTampering(t, err); t.Failed() {
			t.Fatal(statement)
		}
		dbtest.Exec(t, db, statement) // an honest answer is accepted
	}
	for _, statement := range need {
		dbtest.Exec(t, db, statement)
	}
	// The same at the end of a transaction.
	p.Answer(answerWith(map[string][]byte{"Commit": {}}))
	mustBeTampering(t, inOneTx(db, "CREATE TABLE w (id INTEGER, PRIMARY KEY id)"))
	p.Answer(nil)
}

// A proof that does not arrive delays only its own commit.
func TestStalledProofHoldsUpNoOtherCommit(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, proveCommits))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, dbtest.OpenDSN(t, dsn), "INSERT INTO t (id) VALUES (1000)") // so that a commit needs a call
	release, stalled := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.Answer(func(method string, _ []byte, _ func([]byte) ([]byte, error)) ([]byte, bool, error) {
		stall := false
		if method == "VerifiableTxById" {
			once.Do(func() { stall = true })
		}
		if stall {
			close(stalled)
			<-release
		}
		return nil, false, nil
	})
	done := make(chan error)
	go func() {
		_, err := db.Exec("INSERT INTO t (id) VALUES (1)")
		done <- err
	}()
	<-stalled
	for i := range 3 {
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (?)", 2+i)
	}
	close(release)
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the commit whose proof was late does not return")
	}
}

// If a database was empty at first use, its whole history is read later, and not only its
// end trusted.
func TestHistoryOfADatabaseThatWasEmptyIsRead(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	if s := stateOf(t, db); s.TxID != 0 {
		t.Fatalf("an empty database has tx %d", s.TxID)
	}
	other := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, other, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id); INSERT INTO accounts (id) VALUES (1)")
	dbtest.Exec(t, other, "INSERT INTO accounts (id) VALUES (2)")
	p.Answer(answerWith(map[string][]byte{"TxScan": {}}))
	if _, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1); !errors.Is(err, immudb.ErrTampered) {
		t.Errorf("err = %v, want ErrTampered", err)
	}
	p.Answer(nil)
	mustVerify(t, db) // an honest answer is accepted
}
