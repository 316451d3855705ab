package dbtest

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/immudb-go/immudb"
)

// Followed is a database of the user's own on a server, and on another one that follows it: not defaultdb, which
// alone a server of testserver follows by itself.
type Followed struct {
	Name             string
	Primary, Replica string // DSNs
	on               *Wire
}

// NewFollowed makes the database on the servers with the DSNs.
func NewFollowed(t testing.TB, name, primary, replica string) *Followed {
	t.Helper()
	Exec(t, OpenDSN(t, primary), "CREATE DATABASE "+name)
	from, err := immudb.ParseDSN(primary)
	if err != nil {
		t.Fatal(err)
	}
	host, text, err := net.SplitHostPort(from.Hosts[0])
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	f := &Followed{Name: name, Primary: inDatabase(t, primary, name), Replica: inDatabase(t, replica, name), on: WireTo(t, replica)}
	f.set(t, "CreateDatabaseV2", number(1), words(name), words(host), number(port), words(from.User), words(from.Password))
	return f
}

// Outdate makes table t, has the replica read its catalog, and makes table u with one row (1, "a"), which the replica
// then has and does not see.
func (f *Followed) Outdate(t testing.TB) {
	t.Helper()
	primary, replica := OpenDSN(t, f.Primary), WireTo(t, f.Replica)
	Exec(t, primary, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	f.Await(t)
	if got := replica.Told(t, "SELECT COUNT(*) FROM t"); got != "0" {
		t.Fatalf("table t of the replica: %s", got)
	}
	Exec(t, primary, "CREATE TABLE u (id INTEGER, v VARCHAR[10], PRIMARY KEY id)")
	Exec(t, primary, "INSERT INTO u (id, v) VALUES (1, 'a')")
	f.Await(t)
	if got := replica.Told(t, "SELECT COUNT(*) FROM u"); !strings.Contains(got, "table does not exist") {
		t.Fatalf("table u of a replica that has read its catalog before: %s, want that it is not there", got)
	}
}

// Promote makes the replica a primary, while it runs.
func (f *Followed) Promote(t testing.TB) {
	t.Helper()
	f.set(t, "UpdateDatabaseV2", number(0))
}

// set calls a method of the replica's server that sets how the database replicates: the fields from the first on.
func (f *Followed) set(t testing.TB, method string, settings ...[]byte) {
	t.Helper()
	var replication []byte
	for i, s := range settings {
		replication = sub(replication, protowire.Number(i+1), s)
	}
	req := sub(nil, 1, []byte(f.Name))
	if err := f.on.Call(t.Context(), "/immudb.schema.ImmuService/"+method, sub(req, 2, sub(nil, 2, replication))); err != nil {
		t.Fatal(err)
	}
}

// Await waits until the replica has what the primary has now.
func (f *Followed) Await(t testing.TB) {
	t.Helper()
	newest := func(dsn string) uint64 {
		db := OpenDSN(t, WithOptions(dsn, "verify=trust-first-use"))
		defer db.Close()
		state, err := immudb.NewVerifier(db).State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return state.TxID
	}
	want := newest(f.Primary)
	for deadline := time.Now().Add(time.Minute); newest(f.Replica) < want; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the replica has not had tx %d in a minute", want)
		}
	}
}

func inDatabase(t testing.TB, dsn, name string) string {
	t.Helper()
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Database = name
	return cfg.FormatDSN()
}

func sub(b []byte, num protowire.Number, msg []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), msg)
}

// number and words are the messages of the server that hold a value so that it can be left out.
func number(n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), n)
}

func words(s string) []byte { return sub(nil, 1, []byte(s)) }
