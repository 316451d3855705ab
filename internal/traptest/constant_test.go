package traptest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// A replica never has all that the primary has now while others write without a pause.
func TestAProgramThatOnlyReadsUsesAReplicaBesideAConstantWriter(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	dbtest.AwaitReplica(t, r.primary, r.replica)
	other := dbtest.OpenDSN(t, r.primary.DSN())
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for v := 1; ; v++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := other.Exec("UPDATE t SET v = ? WHERE id = 1", v); err != nil {
				t.Errorf("the constant writer: %v", err)
				return
			}
		}
	})
	defer writer.Wait()
	defer close(stop)

	newest := 0
	read := func(ctx context.Context) (routed bool) {
		before := r.stats().Routed
		var v int
		if err := r.QueryRowContext(ctx, "SELECT v FROM t WHERE id = 1").Scan(&v); err != nil {
			t.Fatal(err)
		}
		if v < newest {
			t.Fatalf("a read returned %d after one that returned %d", v, newest)
		}
		newest = v
		return r.stats().Routed > before
	}
	all := func() {
		t.Helper()
		for range 100 {
			if !read(t.Context()) {
				t.Fatalf("the primary has answered a read, although the replica serves the program: %+v", r.stats())
			}
		}
	}
	eventually(t, "the first read of a program on the replica", func() error {
		must(t, r.Close())
		newest = 0 // another program
		r.open(t)
		must(t, r.Ping())
		if !read(t.Context()) {
			return fmt.Errorf("the primary answered: %+v", r.stats())
		}
		return nil
	})
	all()

	if read(immudb.WithPrimary(t.Context())) {
		t.Error("a replica has answered a read of the primary")
	}
	pause := 50 * time.Millisecond
	eventually(t, "reads with a pause between them on the replica", func() error {
		time.Sleep(pause)
		pause = min(2*pause, 5*time.Second)
		if !read(t.Context()) {
			return fmt.Errorf("the primary answered: %+v", r.stats())
		}
		return nil
	})
	all()
}
