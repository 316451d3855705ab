package tampertest

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

const proveCommits = "verify=trust-first-use,commits"

func TestEveryWayToCommitMovesTheTrustedState(t *testing.T) {
	for _, option := range []string{"group_commit=0", "group_commit=8"} {
		db := dbtest.Open(t, proveCommits, option)
		dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
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
			dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (3)")
			return tx.Commit()
		})
		moved("CopyFrom", func(ctx context.Context) error {
			_, err := immudb.CopyFrom(ctx, db, "t", nil, dbtest.Rows([]any{4}, []any{5}, []any{6}), &immudb.CopyOptions{BatchRows: 2, Writers: 1})
			return err
		})
	}
}

func TestALoneWritersCommitsAreProvenWithoutACall(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, proveCommits))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	before := p.Count("VerifiableTxById") + p.Count("CurrentState")
	for i := range 10 {
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (?)", i)
	}
	if n := p.Count("VerifiableTxById") + p.Count("CurrentState") - before; n != 0 {
		t.Errorf("10 commits took %d calls to prove", n)
	}
	// After a write by another client one more call is needed, and then none again.
	dbtest.Exec(t, dbtest.OpenDSN(t, dbtest.WithOptions(dsn)), "INSERT INTO t (id) VALUES (100)")
	for i := range 10 {
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (?)", 200+i)
	}
	if n := p.Count("VerifiableTxById") + p.Count("CurrentState") - before; n != 1 {
		t.Errorf("10 commits after somebody else's took %d calls to prove, want 1", n)
	}
	if _, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{FromStart: true}); err != nil {
		t.Error(err)
	}
}

func TestParallelCommitsAreAllProven(t *testing.T) {
	dsn := dbtest.WithOptions(dbtest.FreshDSN(t), "state_dir="+t.TempDir(), proveCommits)
	dbs := []*sql.DB{dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dsn)} // as two processes would share the directory
	dbtest.Exec(t, dbs[0], "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
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
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	dir := "state_dir=" + t.TempDir()
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, proveCommits, dir))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	before := stateOf(t, db)
	sent := p.Count("SQLExec")
	p.Tamper(nil, on("SQLExec", func(msg []byte) []byte {
		return bytes.Replace(msg, before.Hash[:], make([]byte, len(before.Hash)), 1) // the hash of the transaction before
	}))
	_, err := db.Exec("INSERT INTO t (id) VALUES (1)")
	mustBeTampering(t, err)
	if errors.Is(err, driver.ErrBadConn) {
		t.Error("the pool would run it again")
	}
	if n := p.Count("SQLExec") - sent; n != 1 {
		t.Errorf("it was sent %d times", n)
	}
	if after := stateOf(t, dbtest.OpenDSN(t, dbtest.WithOptions(dsn, dir))); after.Pin() != before.Pin() {
		t.Errorf("the trusted state is %s, was %s", after.Pin(), before.Pin())
	}
	// Now the answer to the proof is lost.
	p.Tamper(nil, nil)
	dbtest.Exec(t, dbtest.OpenDSN(t, dsn), "INSERT INTO t (id) VALUES (2)")
	p.Tamper(on("VerifiableTxById", func([]byte) []byte { return []byte{8, 255, 255, 255, 15} }), nil) // a transaction that does not exist
	sent = p.Count("SQLExec")
	_, err = db.Exec("INSERT INTO t (id) VALUES (3)")
	var e *immudb.Error
	if !errors.Is(err, immudb.ErrOutcomeUnknown) || !errors.As(err, &e) || e.Retryable() {
		t.Errorf("err = %v, want ErrOutcomeUnknown, not to be retried", err)
	}
	if n := p.Count("SQLExec") - sent; n != 1 {
		t.Errorf("it was sent %d times", n)
	}
	p.Tamper(nil, nil)
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (4)")
	if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); n != 4 {
		t.Errorf("%d rows, want 4", n)
	}
}

// An error of the proof is not an error of the commit: for no error of the server may the
// committed work run again.
func TestFailedProofOfACommitDoesNotRunItAgain(t *testing.T) {
	for _, text := range []string{"read tx pool exhausted", "tx read conflict", "session not found"} {
		p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
		db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, proveCommits))
		dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, n INTEGER, PRIMARY KEY id)")
		for what, write := range map[string]func() error{
			"Exec": func() error {
				_, err := db.Exec("INSERT INTO t (n) VALUES (1)")
				return err
			},
			"Query":  func() error { return db.QueryRow("INSERT INTO t (n) VALUES (1) RETURNING id").Err() },
			"Commit": func() error { return inOneTx(db, "INSERT INTO t (n) VALUES (1)") },
			"RunTx": func() error {
				return immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error {
					_, err := tx.Exec("INSERT INTO t (n) VALUES (1)")
					return err
				})
			},
		} {
			dbtest.Exec(t, dbtest.OpenDSN(t, dsn), "INSERT INTO t (n) VALUES (0)") // so that the proof needs a call
			before := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t")
			p.Refuse("VerifiableTxById", status.Error(codes.Unknown, text))
			err := write()
			p.Refuse("VerifiableTxById", nil)
			if !errors.Is(err, immudb.ErrOutcomeUnknown) || errors.Is(err, driver.ErrBadConn) {
				t.Errorf("%s, %q: err = %v, want ErrOutcomeUnknown", what, text, err)
			}
			if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t") - before; n != 1 {
				t.Errorf("%s, %q: %d rows were written, want 1", what, text, n)
			}
		}
	}
}

func inOneTx(db *sql.DB, statement string) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(statement); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func TestACommitThatIsAnsweredWithoutItsTransactionIsTampering(t *testing.T) {
	for _, option := range []string{"group_commit=0", "group_commit=8"} {
		p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
		db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, proveCommits, option))
		dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY id)")
		for lie, answers := range map[string]map[string][]byte{
			"as if nothing had been written": {"SQLExec": {5<<3 | 2, 0}, "Commit": {}},
			"with the rows alone":            {"SQLExec": {5<<3 | 2, 2, 2 << 3, 1}, "Commit": {2 << 3, 1}},
			"not at all":                     {"SQLExec": {}, "Commit": {}},
		} {
			p.Tamper(nil, func(method string, msg []byte) []byte {
				if answer, ok := answers[method]; ok {
					return answer
				}
				return msg
			})
			_, err := db.Exec("UPSERT INTO t (id, n) VALUES (1, 1)")
			if mustBeTampering(t, err); t.Failed() {
				t.Fatalf("%s, an Exec, %s", option, lie)
			}
			if mustBeTampering(t, inOneTx(db, "UPDATE t SET n = 2")); t.Failed() {
				t.Fatalf("%s, a Commit, %s", option, lie)
			}
		}
		p.Tamper(nil, nil)
		dbtest.Exec(t, db, "UPDATE t SET n = 3 WHERE id = 99") // it writes nothing, which is not tampering
		dbtest.Exec(t, db, "INSERT INTO t (id, n) VALUES (1, 1) ON CONFLICT DO NOTHING")
		dbtest.Exec(t, db, "CREATE TABLE IF NOT EXISTS t (id INTEGER, PRIMARY KEY id)")
		if err := inOneTx(db, "DELETE FROM t WHERE id = 99"); err != nil {
			t.Error(err)
		}
	}
}

func TestACopiedBatchThatIsNotProvenIsUnknown(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, proveCommits))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	batches := 0
	p.Tamper(nil, on("SQLExec", func(msg []byte) []byte {
		if batches++; batches != 2 {
			return msg
		}
		trusted := stateOf(t, db).Hash
		return bytes.Replace(msg, trusted[:], make([]byte, len(trusted)), 1) // the hash of the transaction before
	}))
	n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.Rows([]any{1}, []any{2}, []any{3}, []any{4}, []any{5}), &immudb.CopyOptions{BatchRows: 2, Writers: 1})
	var e *immudb.CopyError
	if !errors.As(err, &e) || n != 2 || e.Unknown != 2 {
		t.Fatalf("%d rows, err = %v, want two committed and two unknown", n, err)
	}
	mustBeTampering(t, err)
	if batches != 2 {
		t.Errorf("%d batches were sent, want 2", batches)
	}
}

// The state in the answer to a commit becomes the trusted state, so the server cannot revoke
// the commit.
func TestAForgedCommitIsNoticedByTheNext(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, proveCommits))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	p.Tamper(nil, on("SQLExec", func(msg []byte) []byte { msg[len(msg)/2] ^= 1; return msg })) // within the header
	_, err := db.Exec("INSERT INTO t (id) VALUES (1)")
	p.Tamper(nil, nil)
	if err == nil {
		_, err = db.Exec("INSERT INTO t (id) VALUES (2)")
	}
	mustBeTampering(t, err)
}

func TestWithoutATrustedStateNothingIsWritten(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	plain := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, plain, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, "verify=commits"))
	if _, err := db.Exec("INSERT INTO t (id) VALUES (1)"); !errors.Is(err, immudb.ErrStateMissing) {
		t.Errorf("Exec: err = %v, want ErrStateMissing", err)
	}
	if _, err := db.Begin(); !errors.Is(err, immudb.ErrStateMissing) {
		t.Errorf("Begin: err = %v, want ErrStateMissing", err)
	}
	if n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.Rows([]any{1}), nil); n != 0 || !errors.Is(err, immudb.ErrStateMissing) || errors.Is(err, immudb.ErrOutcomeUnknown) {
		t.Errorf("CopyFrom: %d rows, err = %v, want ErrStateMissing", n, err)
	}
	if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); n != 0 {
		t.Errorf("%d rows were written", n)
	}
}

func TestCopyFromProvesItsBatches(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, proveCommits))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	rows := func(yield func([]any, error) bool) {
		for id := range 30 {
			if !yield([]any{id}, nil) {
				return
			}
		}
	}
	before := stateOf(t, db)
	if _, err := immudb.CopyFrom(t.Context(), db, "t", nil, rows, &immudb.CopyOptions{Upsert: true, BatchRows: 10, Writers: 1}); err != nil {
		t.Fatal(err)
	}
	if now := stateOf(t, db); now.TxID != before.TxID+3 {
		t.Errorf("after 3 batches tx %d is trusted, before them %d", now.TxID, before.TxID)
	}

	hash := stateOf(t, db).Hash
	p.Tamper(nil, on("SQLExec", func(msg []byte) []byte { return bytes.Replace(msg, hash[:], make([]byte, len(hash)), 1) }))
	n, err := immudb.CopyFrom(t.Context(), db, "t", nil, rows, &immudb.CopyOptions{Upsert: true, BatchRows: 10, Writers: 1})
	mustBeTampering(t, err)
	var copied *immudb.CopyError
	if !errors.As(err, &copied) || n != 0 || copied.Unknown != 10 {
		t.Errorf("got %d, %+v, want the first batch as unknown", n, copied)
	}
	unpinned := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, "verify=commits"))
	n, err = immudb.CopyFrom(t.Context(), unpinned, "t", nil, rows, nil)
	if !errors.Is(err, immudb.ErrStateMissing) || errors.Is(err, immudb.ErrOutcomeUnknown) || n != 0 {
		t.Errorf("without a trusted state: %d, %v, want ErrStateMissing and nothing written", n, err)
	}
}
