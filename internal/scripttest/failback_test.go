package scripttest

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// target is a Change of target_session_attrs.
func target(role string) Change {
	return func(c *immudb.Config) { c.TargetSessionAttrs = role }
}

// lookPause is a little longer than the driver's pause between two looks at a better
// host.
const lookPause = 2*time.Second + time.Second/2

func TestSessionsReturnToTheFirstHost(t *testing.T) {
	for _, role := range []string{"any", "primary", "standby"} {
		t.Run(role, func(t *testing.T) {
			script := fakeserver.Script{Replica: role == "standby"}
			cluster(t, []fakeserver.Script{script, script}, func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
				hosts[0].Down()
				dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
				tx, err := db.Begin()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Exec("INSERT INTO t (id) VALUES (2)"); err != nil {
					t.Fatal(err)
				}
				hosts[0].Up()
				time.Sleep(lookPause)
				synctest.Wait()
				dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (3)")
				if err := tx.Commit(); err != nil {
					t.Errorf("a transaction begun before the move: %v", err)
				}
				ExpectCommitted(t, hosts[0], "INSERT INTO t (id) VALUES (3)")
				if got := hosts[1].Committed(); len(got) != 2 {
					t.Errorf("committed on the second host: %q, want the two texts from before the move", got)
				}
			}, target(role))
		})
	}
}

// While the first host was away, another session was asked for on the second host. It comes when the work has returned.
func TestASessionThatComesLateOnAWorseHostIsLeft(t *testing.T) {
	slow := Rule("OpenSession", 2, fakeserver.Fault{Delay: 10 * time.Second})
	cluster(t, []fakeserver.Script{{}, slow}, func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
		hosts[0].Down()
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
		time.Sleep(lookPause)
		two := func(f func(conn *sql.Conn)) {
			for range 2 {
				conn, err := db.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				f(conn)
			}
		}
		two(func(*sql.Conn) {}) // the second one shares the session, so another is opened
		hosts[0].Up()
		time.Sleep(lookPause)
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (2)")
		time.Sleep(10*time.Second + lookPause)
		if n := len(hosts[1].Log("OpenSession")); n != 2 {
			t.Fatalf("%d logins on the second host, want 2", n)
		}
		two(func(conn *sql.Conn) {
			if _, err := conn.ExecContext(t.Context(), "INSERT INTO t (id) VALUES (3)"); err != nil {
				t.Error(err)
			}
		})
		ExpectCommitted(t, hosts[1], "INSERT INTO t (id) VALUES (1)")
	}, target("any"), func(c *immudb.Config) { c.ConnectTimeout = time.Minute })
}

func TestAReplicaPromotedBeforeTheUsedPrimaryIsUsedWithinSeconds(t *testing.T) {
	cluster(t, []fakeserver.Script{{Replica: true}, {}}, func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
		for range 10 {
			time.Sleep(lookPause)
		}
		if n := len(hosts[0].Log("OpenSession")); n > 2 {
			t.Errorf("%d logins on the replica in 25 s, want no more than the first question and one to keep asking", n)
		}
		hosts[0].SetReplica(false)
		time.Sleep(lookPause)
		synctest.Wait()
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (2)")
		ExpectCommitted(t, hosts[0], "INSERT INTO t (id) VALUES (2)")
		ExpectCommitted(t, hosts[1], "INSERT INTO t (id) VALUES (1)")
	})
}

// The old primary has all that the program has seen, and says that it is a primary too.
func TestAnOldPrimaryDoesNotTakeThePlaceOfTheOneInUse(t *testing.T) {
	cluster(t, []fakeserver.Script{{TellsState: true}, {TellsState: true, Replica: true}}, func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
		query := func() { dbtest.Get[int](t, db, "SELECT id FROM t") }
		query()
		hosts[0].Down()
		hosts[0].Forget()
		hosts[1].SetReplica(false)
		synctest.Wait()
		query()
		hosts[0].Up()
		for range 3 {
			time.Sleep(lookPause)
			synctest.Wait()
			query()
		}
		if a, b := hosts[0].Log("SQLQuery"), hosts[1].Log("SQLQuery"); len(a) != 1 || len(b) != 4 {
			t.Errorf("%d queries of the old primary and %d of the new one, want 1 and 4", len(a), len(b))
		}
		hosts[1].SetReplica(true) // the operator has gone back to the old one
		time.Sleep(lookPause)
		synctest.Wait()
		query()
		if a := hosts[0].Log("SQLQuery"); len(a) != 2 {
			t.Errorf("%d queries of the old primary, want 2: the new one is a replica now", len(a))
		}
	})
}

// A program that only reads has seen what another program has written to the new primary.
func TestAnOldPrimaryThatLacksWhatWasReadIsNotUsed(t *testing.T) {
	newest := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1000)
	promoted := fakeserver.Script{TellsState: true, Replica: true, Rules: []fakeserver.Rule{
		{Method: "CurrentState", Nth: 1}, // as the old primary
		{Method: "CurrentState", Nth: 2, Do: fakeserver.Fault{Messages: [][]byte{newest}}}, // after the writes
	}}
	cluster(t, []fakeserver.Script{{TellsState: true}, promoted}, func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
		query := func() error { return db.QueryRow("SELECT id FROM t").Scan(new(int)) }
		if err := query(); err != nil {
			t.Fatal(err)
		}
		hosts[0].Down()
		hosts[0].Forget()
		hosts[1].SetReplica(false)
		synctest.Wait()
		if err := query(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookPause)
		hosts[1].Down()
		hosts[0].Up()
		synctest.Wait()
		if err := query(); !errors.Is(err, immudb.ErrSplitBrain) || !strings.Contains(err.Error(), "does not have tx 1000") {
			t.Errorf("%v, want ErrSplitBrain that names what the old primary lacks", err)
		}
		asked := len(hosts[1].Log("CurrentState"))
		hosts[1].Up()
		time.Sleep(10 * lookPause)
		if now := len(hosts[1].Log("CurrentState")); now > asked+1 {
			t.Errorf("a primary that is not used was asked %d times for its newest transaction", now-asked)
		}
	})
}

func TestAPrimaryPromotedAfterALossIsUsedByTheNextCall(t *testing.T) {
	cluster(t, []fakeserver.Script{{}, {Replica: true}}, func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
		hosts[0].Down()
		hosts[0].Forget()
		synctest.Wait()
		if _, err := db.Exec("INSERT INTO t (id) VALUES (2)"); err == nil || !strings.Contains(err.Error(), "replica") {
			t.Errorf("without a primary: %v, want an error that tells of the replica", err)
		}
		hosts[1].SetReplica(false)
		ExpectWithin(t, 5*time.Second, "the write after the promotion", func() {
			dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (3)")
		})
		ExpectCommitted(t, hosts[1], "INSERT INTO t (id) VALUES (3)")
	})
}

func TestPreferStandbyUsesThePrimaryOnlyWhileNoReplicaIsThere(t *testing.T) {
	cluster(t, []fakeserver.Script{{}, {Replica: true}}, func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
		query := func() {
			t.Helper()
			dbtest.Get[int](t, db, "SELECT id FROM t")
		}
		queries := func() []int { return []int{len(hosts[0].Log("SQLQuery")), len(hosts[1].Log("SQLQuery"))} }
		query()
		hosts[1].Down()
		hosts[1].Forget()
		synctest.Wait()
		query()
		if got := queries(); !slices.Equal(got, []int{1, 1}) {
			t.Fatalf("queries of the primary and the replica: %v, want 1 each", got)
		}
		hosts[1].Up()
		time.Sleep(lookPause)
		synctest.Wait()
		query()
		if got := queries(); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("queries of the primary and the replica: %v, want 1 and 2 after the replica came back", got)
		}
	}, target("prefer-standby"))
}

func TestRandomHostsShareTheSessions(t *testing.T) {
	used := map[int]bool{}
	for round := 0; round < 200 && len(used) < 3; round++ { // all of 200 on two of three hosts: once in 10³⁵
		cluster(t, make([]fakeserver.Script, 3), func(t *testing.T, hosts []*fakeserver.Server, db *sql.DB) {
			dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
			time.Sleep(lookPause)
			synctest.Wait()
			dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (2)")
			for i, h := range hosts {
				switch got := len(h.Committed()); got {
				case 0:
				case 2:
					used[i] = true
				default:
					t.Errorf("%d of 2 writes on host %d: the sessions have moved without a reason", got, i)
				}
			}
		}, func(c *immudb.Config) { c.LoadBalanceHosts = "random" })
	}
	if len(used) != 3 {
		t.Errorf("hosts %v were used in 200 rounds, want all three", used)
	}
}

// All that a read-only transaction is for has happened before its Commit.
func TestTheEndOfAReadOnlyTransactionOnALostHostIsNoError(t *testing.T) {
	cut := Rule("Rollback", 0, fakeserver.Fault{CutBefore: true})
	cut.TellsState = true
	cluster(t, []fakeserver.Script{cut, {}}, func(t *testing.T, _ []*fakeserver.Server, db *sql.DB) {
		tx, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := tx.Query("SELECT id FROM t")
		if err != nil {
			t.Fatal(err)
		}
		rows.Close()
		if err := tx.Commit(); err != nil {
			t.Errorf("Commit: %v", err)
		}
	}, target("any"))
}
