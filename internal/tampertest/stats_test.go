package tampertest

import (
	"bytes"
	"database/sql"
	"log/slog"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

// Proofs, reads with and without one, and a contradiction are counted; the contradiction is logged as an error,
// without the value.
func TestProofsAndContradictionsAreCountedAndLogged(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	withAccount(t, dsn, "ann")
	cfg, err := immudb.ParseDSN(dbtest.WithOptions(dsn, "verify=trust-first-use,commits,reads"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	mustVerify(t, db)
	first := connector.Stats()
	if first.Proofs == 0 {
		t.Errorf("a verified row is no proof: %+v", first)
	}
	dbtest.Exec(t, db, "INSERT INTO accounts (id, owner, balance) VALUES (2, 'bob', 5)")
	second := connector.Stats()
	if second.Proofs <= first.Proofs {
		t.Errorf("%d proofs after a proven commit, %d before", second.Proofs, first.Proofs)
	}
	dbtest.Get[string](t, db, "SELECT owner FROM accounts WHERE id = 1")
	dbtest.Get[int](t, db, "SELECT COUNT(*) FROM accounts")
	third := connector.Stats()
	if third.ReadsProven != 1 || third.ReadsUnproven != 1 || third.Contradictions != 0 {
		t.Errorf("%d reads proven, %d not, %d contradictions, want 1, 1 and 0", third.ReadsProven, third.ReadsUnproven, third.Contradictions)
	}
	p.Tamper(nil, on("VerifiableSQLGet", func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte("ann"), []byte("zzq")) }))
	_, err = immudb.VerifiedRow(t.Context(), db, "accounts", 1)
	mustBeTampering(t, err)
	p.Tamper(nil, nil)
	if n := connector.Stats().Contradictions; n == 0 {
		t.Error("the contradiction is not counted")
	}
	if !strings.Contains(log.String(), `level=ERROR msg="immudb server contradicts what is trusted" host=`+cfg.Hosts[0]) ||
		strings.Contains(log.String(), "zzq") {
		t.Errorf("the log is %s", log.String())
	}
}
