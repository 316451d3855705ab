package crashtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

var eight = []string{
	"CREATE TABLE t (id INTEGER, PRIMARY KEY id)",
	"INSERT INTO t (id) VALUES (1), (2), (3), (4), (5), (6), (7), (8)",
}

// theOne is a query with WITH of one name that answers id.
func theOne(id int) string {
	return fmt.Sprintf("WITH c AS (SELECT id FROM t WHERE id = %d) SELECT id FROM c", id)
}

// The server keeps the names of WITH in a map that all sessions share without a lock. It
// crashes when two queries use the map at once.
func TestTwoQueriesWithWITHCrashTheServer(t *testing.T) {
	server, err := testserver.New("-synced=false")
	if err != nil {
		t.Fatal(err)
	}
	raw := open(t, server)
	for _, query := range eight {
		if err := raw.Exec(t.Context(), query); err != nil {
			t.Fatal(query, err)
		}
	}
	raw.Close(t)
	ended := make(chan bool)
	var sessions []*dbtest.Wire
	for range 8 { // before the first query: the server dies soon after
		sessions = append(sessions, open(t, server))
	}
	for i, session := range sessions {
		go func() {
			met := false
			for deadline := time.Now().Add(2 * time.Minute); !met && time.Now().Before(deadline); {
				_, err := session.Query(t.Context(), theOne(i+1))
				met = died(err)
			}
			session.Close(t) // before the test can end
			ended <- met
		}()
	}
	for range 8 {
		if !<-ended {
			t.Error("a session did not meet the end of the server within 2 minutes")
		}
	}
	_ = server.Close() // its error says that the server died
}

func TestQueriesWithWITHRunConcurrently(t *testing.T) {
	server := testserver.Start(t, "-synced=false")
	db := dbtest.OpenDSN(t, server.DSN())
	for _, query := range eight {
		dbtest.Exec(t, db, query)
	}
	rounds := testserver.Rounds(t, 200, 600)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range rounds {
				var got int
				if err := db.QueryRow(theOne(i + 1)).Scan(&got); err != nil || got != i+1 {
					t.Errorf("got %d (%v), want %d", got, err, i+1)
					return
				}
			}
		})
	}
	wg.Wait()
}
