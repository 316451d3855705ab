package dbtest

import (
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// replicaPatience is how long a replica may need on a busy machine.
const replicaPatience = time.Minute

// AwaitReplica waits until the replica has what the primary has now. A test does so
// before its first query of the replica: a server that is asked for its tables before
// they have arrived does not see them until it is restarted.
func AwaitReplica(tb testing.TB, primary, replica *testserver.Server) {
	tb.Helper()
	want := NewestTx(tb, primary)
	for deadline := time.Now().Add(replicaPatience); ; time.Sleep(20 * time.Millisecond) {
		got := NewestTx(tb, replica)
		if got >= want {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("the replica has tx %d, its primary tx %d", got, want)
		}
	}
}

// NewestTx returns the newest transaction of the server's database. It makes no query.
func NewestTx(tb testing.TB, s *testserver.Server) uint64 {
	tb.Helper()
	db := OpenDSN(tb, WithOptions(s.DSN(), "verify=trust-first-use"))
	defer db.Close()
	state, err := immudb.NewVerifier(db).State(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return state.TxID
}
