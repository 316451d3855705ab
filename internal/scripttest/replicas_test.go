package scripttest

import (
	"database/sql"
	"testing"
	"testing/synctest"
	"time"

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
