package tampertest

import (
	"errors"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// A change of a table that one program has accepted is accepted for all programs that
// share its state_dir, also for one that runs and has read the table before.
func TestAChangeThatOneProgramAcceptsIsAcceptedForAllOfAStateDir(t *testing.T) {
	dsn := dbtest.WithOptions(dbtest.FreshDSN(t), trustFirstUse, "state_dir="+t.TempDir())
	withAccount(t, dsn, "ann")
	one, two := dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dsn)
	mustVerify(t, one)
	mustVerify(t, two)
	dbtest.Exec(t, one, "ALTER TABLE accounts RENAME COLUMN balance TO cents")
	if _, err := immudb.VerifiedRow(t.Context(), two, "accounts", 1); !errors.Is(err, immudb.ErrSchemaChanged) {
		t.Errorf("before it is accepted: err = %v, want ErrSchemaChanged", err)
	}
	if err := immudb.NewVerifier(one).AcceptSchema(t.Context(), "accounts"); err != nil {
		t.Fatal(err)
	}
	if cents, _ := mustVerify(t, two).Value("cents"); cents != int64(10) {
		t.Errorf("cents is %v, want 10", cents)
	}
}
