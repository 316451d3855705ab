package tampertest

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

// A server that denies a table to the proof, and answers the query without one, must not
// end the proofs of a table of which rows were proven before.
func TestATableThatWasProvenCannotBeDenied(t *testing.T) {
	const query = "SELECT owner FROM accounts WHERE balance > 5"
	lie := func(p *tamperproxy.Proxy) {
		p.Refuse("VerifiableSQLGet", status.Error(codes.Unknown, "table does not exist (accounts)"))
		p.Tamper(nil, on("SQLQuery", func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte("ann"), []byte("eve")) }))
	}
	honest := func(p *tamperproxy.Proxy) {
		p.Refuse("VerifiableSQLGet", nil)
		p.Tamper(nil, nil)
	}
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	withAccount(t, dsn, "ann")
	dsn = dbtest.WithOptions(dsn, verifyReads, "state_dir="+t.TempDir())
	db := dbtest.OpenDSN(t, dsn)

	// Nothing is known of the table yet: it may be a view, and the answer is no proof.
	var info immudb.ReadProof
	lie(p)
	if _, err := answerOf(t, db, &info, query); err != nil || info.Unproven != 1 {
		t.Fatalf("a table that was never proven: %+v, %v, want an answer that is told to be unproven", info, err)
	}
	honest(p)
	mustVerify(t, db)

	// A program that begins anew knows it by its state_dir.
	for range 2 {
		lie(p)
		info = immudb.ReadProof{}
		if answer, err := answerOf(t, db, &info, query); !errors.Is(err, immudb.ErrNoSuchTable) {
			t.Errorf("a table that was proven is denied: %q, %+v, %v, want ErrNoSuchTable", answer, info, err)
		}
		honest(p)
		info = immudb.ReadProof{}
		if _, err := answerOf(t, db, &info, query); err != nil || info.Proven != 1 {
			t.Errorf("the honest answer: %+v, %v, want a proof", info, err)
		}
		db = dbtest.OpenDSN(t, dsn)
	}
}
