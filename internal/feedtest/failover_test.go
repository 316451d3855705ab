package feedtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// pair is a primary and its replica, with the DSN of both.
func pair(t *testing.T) (primary, replica *testserver.Server, both string) {
	t.Helper()
	primary = testserver.Start(t, "-synced=false")
	replica = testserver.Start(t, "-synced=false", "-replica-of="+primary.DSN())
	cfg, err := immudb.ParseDSN(primary.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Hosts = append(cfg.Hosts, replica.Addr())
	return primary, replica, dbtest.WithOptions(cfg.FormatDSN(), trustFirstUse)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The primary dies while a feed is read, and the replica is promoted: no change is skipped, none comes twice.
func TestAFeedGoesOnWithThePromotedReplica(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	primary, replica, both := pair(t)
	m := &model{Rand: rand.New(rand.NewPCG(seed, 1))}
	write := func(s *testserver.Server, statements int) {
		t.Helper()
		db := dbtest.OpenDSN(t, s.DSN())
		for range statements {
			dbtest.Exec(t, db, m.statement())
		}
	}
	write(primary, 450) // more than a feed reads ahead at first
	dbtest.AwaitReplica(t, primary, replica)
	fail := func() {
		must(t, primary.Kill())
		must(t, replica.Promote())
		write(replica, 40)
	}

	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	const middle = 20
	dir := "state_dir=" + t.TempDir()
	var got []string
	var at, end immudb.Cursor
	for c, err := range immudb.Changes(ctx, dbtest.OpenDSN(t, dbtest.WithOptions(both, dir)), immudb.ChangesOptions{Follow: true, PollInterval: 60 * time.Millisecond}) {
		if err != nil {
			t.Fatalf("after %d of %d changes: %v", len(got), len(m.want), err)
		}
		if got = append(got, inWords(&c)); len(got) == middle {
			at = c.Cursor
			fail()
		}
		if len(got) == len(m.want) {
			end = c.Cursor
			break
		}
	}
	same := func(got []string) {
		t.Helper()
		for i := range min(len(got), len(m.want)) {
			if got[i] != m.want[i] {
				t.Fatalf("change %d of %d is\n%s, want\n%s", i, len(m.want), got[i], m.want[i])
			}
		}
		if len(got) != len(m.want) {
			t.Errorf("%d changes, want %d", len(got), len(m.want))
		}
	}
	same(got)
	// Another program goes on from the middle, and from the end.
	db := dbtest.OpenDSN(t, dbtest.WithOptions(both, dir))
	rest := slices.Clone(got[:middle])
	for _, c := range all(t, db, immudb.ChangesOptions{After: at}) {
		rest = append(rest, inWords(&c))
	}
	same(rest)
	if more := all(t, db, immudb.ChangesOptions{After: end}); len(more) > 0 {
		t.Errorf("after the last change come %d more", len(more))
	}
}

// A replica that lacks transactions which a feed has given is refused, also when it has as many by others: the feed gives
// no change of another history.
func TestAFeedRefusesAPromotedReplicaThatHasLostChanges(t *testing.T) {
	primary, replica, both := pair(t)
	a := dbtest.OpenDSN(t, primary.DSN())
	dbtest.Exec(t, a, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.AwaitReplica(t, primary, replica)
	must(t, replica.Stop())
	dbtest.Exec(t, a, "INSERT INTO t (id) VALUES (1)")
	dbtest.Exec(t, a, "INSERT INTO t (id) VALUES (2)")

	db := dbtest.OpenDSN(t, dbtest.WithOptions(both, "state_dir="+t.TempDir()))
	changes := all(t, db, immudb.ChangesOptions{})
	if len(changes) != 3 {
		t.Fatalf("%d changes", len(changes))
	}
	cursor := changes[2].Cursor
	must(t, primary.Kill())
	must(t, replica.Promote())
	b := dbtest.OpenDSN(t, replica.DSN())
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for n := range 4 {
		var err error
		for c, failed := range immudb.Changes(ctx, db, immudb.ChangesOptions{After: cursor, Follow: true}) {
			if err = failed; err == nil {
				t.Errorf("with %d other transactions: %s is given", n, inWords(&c))
			}
			break
		}
		want := immudb.ErrServerOlder
		if n >= 2 { // it has the same number of transactions, then more
			want = immudb.ErrTampered
		}
		if !errors.Is(err, want) {
			t.Errorf("with %d other transactions: %v, want %v", n, err, want)
		}
		dbtest.Exec(t, b, "INSERT INTO t (id) VALUES (?)", 10+n)
	}
}
