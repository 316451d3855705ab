package immudb_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"testing"

	"github.com/immudb-go/immudb"
)

const proveCommits = "verify=trust-first-use,commits"

func TestEveryWayToCommitMovesTheTrustedState(t *testing.T) {
	for _, option := range []string{"group_commit=0", "group_commit=8"} {
		db := openDB(t, proveCommits, option)
		mustExec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
		v := immudb.NewVerifier(db)
		moved := func(what string, f func(ctx context.Context) error) {
			t.Helper()
			var commit immudb.CommitInfo
			if err := f(immudb.WithCommitInfo(t.Context(), &commit)); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if s := stateOf(t, db); s.TxID != commit.TxID {
				t.Errorf("%s with %s: committed tx %d, trusted is %d", what, option, commit.TxID, s.TxID)
			}
			if s, err := v.Tx(t.Context(), commit.TxID); err != nil || s.Hash != stateOf(t, db).Hash {
				t.Errorf("%s: tx %d is not the one trusted: %v", what, commit.TxID, err)
			}
		}
		moved("Exec", func(ctx context.Context) error {
			_, err := db.ExecContext(ctx, "INSERT INTO t (id) VALUES (1)")
			return err
		})
		moved("Query", func(ctx context.Context) error {
			return db.QueryRowContext(ctx, "INSERT INTO t (id) VALUES (2) RETURNING id").Err()
		})
		moved("Commit", func(ctx context.Context) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			mustExec(t, tx, "INSERT INTO t (id) VALUES (3)")
			return tx.Commit()
		})
	}
}

func TestALoneWritersCommitsAreProvenWithoutACall(t *testing.T) {
	p, dsn := startProxy(t, freshDSN(t))
	db := openDSN(t, dsnWith(dsn, proveCommits))
	mustExec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	before := p.count("VerifiableTxById") + p.count("CurrentState")
	for i := range 10 {
		mustExec(t, db, "INSERT INTO t (id) VALUES (?)", i)
	}
	if n := p.count("VerifiableTxById") + p.count("CurrentState") - before; n != 0 {
		t.Errorf("10 commits took %d calls to prove", n)
	}
	// Somebody else writes: one call, and then none again.
	mustExec(t, openDSN(t, dsnWith(dsn)), "INSERT INTO t (id) VALUES (100)")
	for i := range 10 {
		mustExec(t, db, "INSERT INTO t (id) VALUES (?)", 200+i)
	}
	if n := p.count("VerifiableTxById") + p.count("CurrentState") - before; n != 1 {
		t.Errorf("10 commits after somebody else's took %d calls to prove, want 1", n)
	}
	if _, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{FromStart: true}); err != nil {
		t.Error(err)
	}
}

func TestParallelCommitsAreAllProven(t *testing.T) {
	dsn := dsnWith(freshDSN(t), "state_dir="+t.TempDir(), proveCommits)
	dbs := []*sql.DB{openDSN(t, dsn), openDSN(t, dsn)} // as two processes would share the directory
	mustExec(t, dbs[0], "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 10 {
				if _, err := dbs[w%2].Exec("INSERT INTO t (id) VALUES (?)", 100*w+i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := immudb.Audit(t.Context(), dbs[0], immudb.AuditOptions{FromStart: true}); err != nil {
		t.Error(err)
	}
}

func TestACommitThatIsNotProvenIsNeverRunAgain(t *testing.T) {
	p, dsn := startProxy(t, freshDSN(t))
	dir := "state_dir=" + t.TempDir()
	db := openDSN(t, dsnWith(dsn, proveCommits, dir))
	mustExec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	before := stateOf(t, db)
	sent := p.count("SQLExec")
	p.tamper(nil, on("SQLExec", func(msg []byte) []byte {
		return bytes.Replace(msg, before.Hash[:], make([]byte, len(before.Hash)), 1) // the hash of the transaction before
	}))
	_, err := db.Exec("INSERT INTO t (id) VALUES (1)")
	mustBeTampering(t, err)
	if errors.Is(err, driver.ErrBadConn) {
		t.Error("the pool would run it again")
	}
	if n := p.count("SQLExec") - sent; n != 1 {
		t.Errorf("it was sent %d times", n)
	}
	if after := stateOf(t, openDSN(t, dsnWith(dsn, dir))); after.Pin() != before.Pin() {
		t.Errorf("the trusted state is %s, was %s", after.Pin(), before.Pin())
	}
	// Now the answer to the proof is lost.
	p.tamper(nil, nil)
	mustExec(t, openDSN(t, dsn), "INSERT INTO t (id) VALUES (2)")
	p.tamper(on("VerifiableTxById", func([]byte) []byte { return []byte{8, 255, 255, 255, 15} }), nil) // a tx that is not there
	sent = p.count("SQLExec")
	_, err = db.Exec("INSERT INTO t (id) VALUES (3)")
	var e *immudb.Error
	if !errors.Is(err, immudb.ErrOutcomeUnknown) || !errors.As(err, &e) || e.Retryable() {
		t.Errorf("err = %v, want ErrOutcomeUnknown, not to be retried", err)
	}
	if n := p.count("SQLExec") - sent; n != 1 {
		t.Errorf("it was sent %d times", n)
	}
	p.tamper(nil, nil)
	mustExec(t, db, "INSERT INTO t (id) VALUES (4)")
	if n := get[int](t, db, "SELECT COUNT(*) FROM t"); n != 4 {
		t.Errorf("%d rows, want 4", n)
	}
}

// What a commit was answered with is what is trusted, so that the server cannot
// take it back.
func TestAForgedCommitIsNoticedByTheNext(t *testing.T) {
	p, dsn := startProxy(t, freshDSN(t))
	db := openDSN(t, dsnWith(dsn, proveCommits))
	mustExec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	p.tamper(nil, on("SQLExec", func(msg []byte) []byte { msg[len(msg)/2] ^= 1; return msg })) // within the header
	_, err := db.Exec("INSERT INTO t (id) VALUES (1)")
	p.tamper(nil, nil)
	if err == nil {
		_, err = db.Exec("INSERT INTO t (id) VALUES (2)")
	}
	mustBeTampering(t, err)
}

func TestWithoutATrustedStateNothingIsWritten(t *testing.T) {
	dsn := freshDSN(t)
	plain := openDSN(t, dsn)
	mustExec(t, plain, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	db := openDSN(t, dsnWith(dsn, "verify=commits"))
	if _, err := db.Exec("INSERT INTO t (id) VALUES (1)"); !errors.Is(err, immudb.ErrStateMissing) {
		t.Errorf("Exec: err = %v, want ErrStateMissing", err)
	}
	if _, err := db.Begin(); !errors.Is(err, immudb.ErrStateMissing) {
		t.Errorf("Begin: err = %v, want ErrStateMissing", err)
	}
	if n := get[int](t, db, "SELECT COUNT(*) FROM t"); n != 0 {
		t.Errorf("%d rows were written", n)
	}
}
