package traptest

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// With synchronous replication and no replica that follows, the primary answers
// no commit.
func TestCallsToAPrimaryThatWaitsForReplicasEndWithTheirContext(t *testing.T) {
	primary := testserver.Start(t, "-sync-replicas=1")
	replica := testserver.Start(t, "-sync-replicas=1", "-replica-of="+primary.DSN())
	db := dbtest.OpenDSN(t, dsnOfHosts(t, primary.DSN(), replica.DSN(), ""))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
	must(t, replica.Stop())

	alone := dbtest.OpenDSN(t, primary.DSN()) // does not ask for roles until a call hangs
	for _, db := range []*sql.DB{db, alone} {
		must(t, db.Ping())
		// On a busy machine a second can end before the server has the write.
		var err error
		for limit := time.Second; limit < time.Minute; limit *= 3 {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			_, err = db.ExecContext(ctx, "UPSERT INTO t (id) VALUES (2)")
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "waits for its replicas") {
				break
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waits for its replicas") {
			t.Errorf("a write: %v, want the end of its context and that the primary waits for its replicas", err)
		}
	}
	must(t, replica.Restart())
	dbtest.Exec(t, db, "UPSERT INTO t (id) VALUES (3)")
}
