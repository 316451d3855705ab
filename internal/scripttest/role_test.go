package scripttest

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

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

func TestAReplicaAskedForOrAloneIsNotLeftAndTheErrorSaysWhatToSet(t *testing.T) {
	for _, row := range []struct {
		target, remedy string
		hosts          int
	}{
		{"any", "a:3322 is a replica: set target_session_attrs=read-write", 2},
		{"standby", "a:3322 is a replica, and target_session_attrs=standby asks for one: write through", 2},
		{"", "a:3322 is a replica: name its primary in the DSN", 1},
	} {
		for _, method := range []string{"SQLExec", "NewTx", "TxSQLQuery", "Commit"} {
			refuses := demoted(method)
			refuses.Replica = true
			cluster(t, []fakeserver.Script{refuses, {}}[:row.hosts], func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
				var err error
				if method == "SQLExec" {
					_, err = db.Exec("INSERT INTO t (id) VALUES (1)")
				} else {
					err = immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error {
						_, err := tx.Exec("INSERT INTO t (id) VALUES (1)")
						return err
					})
				}
				if !errors.Is(err, immudb.ErrReplica) || !strings.Contains(err.Error(), row.remedy) {
					t.Errorf("%q, %s: %v, want ErrReplica with %q", row.target, method, err, row.remedy)
				}
				for _, h := range hosts {
					if got := h.Committed(); len(got) != 0 {
						t.Errorf("%q, %s: committed %q", row.target, method, got)
					}
				}
			}, func(c *immudb.Config) { c.TargetSessionAttrs = row.target })
		}
	}
}

func TestAHostOfAnyRoleThatWaitsForReplicasIsNamed(t *testing.T) {
	for hosts := range 2 {
		silent := Rule("SQLExec", 0, fakeserver.Fault{Delay: hour})
		silent.SyncAcks = 1
		cluster(t, []fakeserver.Script{silent, {}}[:hosts+1], func(t *testing.T, _ []*fakeserver.Server, db *sql.DB) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := db.ExecContext(ctx, "INSERT INTO t (id) VALUES (1)")
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, immudb.ErrOutcomeUnknown) ||
				!strings.Contains(err.Error(), "the primary a:3322 replicates synchronously") {
				t.Errorf("%v, want an unknown outcome that names the host and what it waits for", err)
			}
		}, func(c *immudb.Config) { c.TargetSessionAttrs = "any" })
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
