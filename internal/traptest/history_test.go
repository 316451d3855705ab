package traptest

import (
	"errors"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

const commitsProven = "verify=trust-first-use,commits"

// A connector trusts one history, whichever host shows it. A host that shows another
// one must not be written to: what it answers to a commit comes too late.
func TestAHostOfAnotherHistoryGetsNoWritesWhenCommitsAreProven(t *testing.T) {
	a, b := testserver.Start(t), testserver.Start(t)
	dsn := dbtest.WithOptions(dsnOfHosts(t, a.DSN(), b.DSN(), ""), commitsProven)
	for _, row := range []struct {
		history string
		want    error
	}{
		{"shorter", immudb.ErrServerOlder},
		{"longer", immudb.ErrTampered},
	} {
		t.Run(row.history, func(t *testing.T) {
			must(t, a.Restart())
			if row.history == "longer" {
				other := dbtest.OpenDSN(t, b.DSN())
				dbtest.Exec(t, other, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
				for range 10 {
					dbtest.Exec(t, other, "UPSERT INTO t (id, v) VALUES (1, 1)")
				}
			}
			before := dbtest.NewestTx(t, b)
			for _, write := range []string{"Exec", "transaction"} {
				must(t, a.Restart())
				db := dbtest.OpenDSN(t, dsn)
				dbtest.Exec(t, db, "CREATE TABLE IF NOT EXISTS t (id INTEGER, PRIMARY KEY id)")
				dbtest.Exec(t, db, "UPSERT INTO t (id) VALUES (1)")
				must(t, a.Stop())
				var err error
				if write == "Exec" {
					_, err = db.Exec("UPSERT INTO t (id) VALUES (2)")
				} else {
					_, err = db.Begin()
				}
				if !errors.Is(err, row.want) || !strings.Contains(err.Error(), b.Addr()) {
					t.Errorf("%s: %v, want %v that names %s", write, err, row.want, b.Addr())
				}
			}
			if after := dbtest.NewestTx(t, b); after != before {
				t.Errorf("the other host went from tx %d to %d, want no write", before, after)
			}
		})
	}
}

func TestAHostThatIsBehindIsPassedOverForProofs(t *testing.T) {
	a, behind := testserver.Start(t), testserver.Start(t)
	db := dbtest.OpenDSN(t, dbtest.WithOptions(a.DSN(), "verify=trust-first-use"))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
	state, err := immudb.NewVerifier(db).State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hosts := dbtest.OpenDSN(t, dbtest.WithOptions(dsnOfHosts(t, behind.DSN(), a.DSN(), "any"), "trusted_state="+state.Pin()))
	if _, err := immudb.VerifiedRow(t.Context(), hosts, "t", 1); err != nil {
		t.Errorf("with a first host that is behind: %v, want the row of the second", err)
	}
	must(t, a.Stop())
	if _, err := immudb.VerifiedRow(t.Context(), hosts, "t", 1); !errors.Is(err, immudb.ErrServerOlder) || !strings.Contains(err.Error(), behind.Addr()) {
		t.Errorf("with that host alone: %v, want ErrServerOlder that names it", err)
	}
}
