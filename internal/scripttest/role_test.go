package scripttest

import (
	"database/sql"
	"errors"
	"slices"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// demoted is a server that has become a replica since its sessions were opened.
func demoted(method string) fakeserver.Script {
	return Rule(method, 0, fakeserver.Fault{Fail: &fakeserver.Failure{Message: "database is read-only because it's a replica", SQLState: "XX000"}})
}

func TestAWriteRefusedByAReplicaRunsOnceOnThePrimary(t *testing.T) {
	for _, method := range []string{"SQLExec", "NewTx", "TxSQLQuery", "Commit"} {
		t.Run(method, func(t *testing.T) {
			cluster(t, []fakeserver.Script{demoted(method), {}}, func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
				var err error
				if method == "SQLExec" {
					_, err = db.Exec("INSERT INTO t (id) VALUES (1)")
				} else {
					err = immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error {
						_, err := tx.Exec("INSERT INTO t (id) VALUES (1)")
						return err
					})
				}
				if err != nil {
					t.Error(err)
				}
				if a, b := hosts[0].Committed(), hosts[1].Committed(); len(a) != 0 || len(b) != 1 {
					t.Errorf("committed %q on the replica and %q on the primary, want the write once on the primary", a, b)
				}
			})
		})
	}
}

func TestAReplicaAskedForOrAloneIsNotLeft(t *testing.T) {
	for _, target := range []string{"any", "standby"} {
		refuses := demoted("SQLExec")
		refuses.Replica = true
		cluster(t, []fakeserver.Script{refuses, {}}, func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
			if _, err := db.Exec("INSERT INTO t (id) VALUES (1)"); !errors.Is(err, immudb.ErrReplica) {
				t.Errorf("%s: %v, want ErrReplica", target, err)
			}
			if got := hosts[1].Committed(); len(got) != 0 {
				t.Errorf("%s: committed %q on the other host", target, got)
			}
		}, func(c *immudb.Config) { c.TargetSessionAttrs = target })
	}
}

func TestASingleHostIsNotAskedForItsRole(t *testing.T) {
	cluster(t, []fakeserver.Script{{}}, func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
		if _, err := db.Exec("INSERT INTO t (id) VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		if got := hosts[0].Log(); len(got) != 2 || slices.ContainsFunc(hosts[0].Calls(), func(c fakeserver.Call) bool { return c.Method == "GetDatabaseSettingsV2" }) {
			t.Errorf("calls %q, want OpenSession and SQLExec alone", got)
		}
	})
}
