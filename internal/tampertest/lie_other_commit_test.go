package tampertest

import (
	"bytes"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

// The limit of verify=commits: another client's commit, which this one has not seen, is
// new to it. What it wrote tells the lie. Once it was seen it is an old one.
func TestACommitAnsweredWithThatOfAnotherClientIsToldByWhatItWrote(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, proveCommits))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	var theirs []byte
	p.Tamper(nil, on("SQLExec", func(msg []byte) []byte { theirs = bytes.Clone(msg); return msg }))
	dbtest.Exec(t, dbtest.OpenDSN(t, dsn), "INSERT INTO t (id) VALUES (100)")
	p.Tamper(nil, nil)

	p.Answer(answerWith(map[string][]byte{"SQLExec": theirs}))
	var commit immudb.CommitInfo
	if _, err := db.ExecContext(immudb.WithCommitInfo(t.Context(), &commit), "INSERT INTO t (id) VALUES (1)"); err != nil {
		t.Fatalf("err = %v; docs/proof.md says that this is not caught", err)
	}
	rows, err := immudb.NewVerifier(db).Written(t.Context(), commit.TxID)
	if err != nil || len(rows) != 1 || rows[0].Values[0] != int64(100) {
		t.Errorf("written are %v, %v, want the row of the other client", rows, err)
	}
	_, err = db.Exec("INSERT INTO t (id) VALUES (2)")
	mustBeTampering(t, err)
	p.Answer(nil)
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (3)") // the honest twin
}
