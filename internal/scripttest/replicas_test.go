package scripttest

import (
	"database/sql"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

func TestAReplicaThatDoesNotAnswerIsNotAskedByReads(t *testing.T) {
	for _, method := range []string{"OpenSession", "CurrentState"} {
		t.Run(method, func(t *testing.T) {
			silent := Rule(method, 0, fakeserver.Fault{Delay: time.Hour})
			silent.Replica = true
			observed(t, []fakeserver.Script{{}, silent}, func(t *testing.T, hosts []*fakeserver.Server, connector *immudb.Connector, db *sql.DB) {
				dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
				for range 3 {
					began := time.Now()
					rows, err := db.Query("SELECT id FROM t")
					if err != nil {
						t.Fatal(err)
					}
					rows.Close()
					if waited := time.Since(began); waited != 0 {
						t.Errorf("a read waited for %v", waited)
					}
					synctest.Wait()
				}
				if s := connector.Stats().Replicas; s.Routed != 0 || s.FellBack != 3 {
					t.Errorf("%+v, want 3 reads that fell back", s)
				}
			}, func(c *immudb.Config) { c.ReadRouting = "replica" })
		})
	}
}

// A replica keeps the catalog that it has read. If it read that between two migrations, it would
// be of no use until it is restarted.
func TestAReplicaIsNotAskedForItsCatalogWhileTheProgramMigrates(t *testing.T) {
	newest := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1000)
	ahead := Rule("CurrentState", 0, fakeserver.Fault{Messages: [][]byte{newest}})
	ahead.Replica, ahead.TellsState = true, true
	observed(t, []fakeserver.Script{{TellsState: true}, ahead}, func(t *testing.T, hosts []*fakeserver.Server, connector *immudb.Connector, db *sql.DB) {
		readFor := func(d time.Duration) {
			for range d / (100 * time.Millisecond) {
				dbtest.Get[int](t, db, "SELECT id FROM t")
				time.Sleep(100 * time.Millisecond)
			}
		}
		for range 5 {
			dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
			readFor(2 * time.Second)
			if asked := hosts[1].Log("SQLQuery"); len(asked) > 0 {
				t.Errorf("the replica was asked %q", asked)
			}
		}
		readFor(5 * time.Second)
		if s := connector.Stats().Replicas; s.Routed == 0 {
			t.Errorf("%+v, want reads on the replica", s)
		}
	}, func(c *immudb.Config) { c.ReadRouting = "replica" })
}
