package main

import (
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestReloadMakesReplicasSeeTheMigrations(t *testing.T) {
	a, b := testserver.Start(t, "-synced=false"), testserver.Start(t, "-synced=false")
	d := dbtest.NewFollowed(t, "shop", a.DSN(), b.DSN())
	d.Outdate(t)
	hosts, err := immudb.ParseDSN(d.Primary)
	if err != nil {
		t.Fatal(err)
	}
	replica, err := immudb.ParseDSN(d.Replica)
	if err != nil {
		t.Fatal(err)
	}
	if hosts.Password != replica.Password {
		t.Fatal("the servers have two passwords")
	}
	hosts.Hosts = append(hosts.Hosts, replica.Hosts...)
	sees := func() string { return dbtest.WireTo(t, d.Replica).Told(t, "SELECT v FROM u") }

	got := call(t, "", "-database", hosts.FormatDSN()+"&x-lock-timeout=3", "reload")
	if got.status != statusOK || !strings.Contains(got.errOut, a.Addr()+" is a primary, it is left as it is") ||
		!strings.Contains(got.errOut, b.Addr()+", a replica, has unloaded and loaded shop") {
		t.Errorf("%+v", got)
	}
	if v := sees(); v != "a" {
		t.Errorf("the replica's new table: %s, want a", v)
	}

	if got := call(t, "", "-database", d.Primary, "reload"); got.status != statusFailed || !strings.Contains(got.errOut, "no host is a replica") {
		t.Errorf("of a primary: %+v", got)
	}
	if got := call(t, "", "-database", d.Primary, "reload", "-primary"); got.status != statusOK {
		t.Errorf("of a primary with -primary: %+v", got)
	}
	if got := call(t, "", "-database", b.DSN(), "reload", "-primary"); got.status != statusFailed || !strings.Contains(got.errOut, "restart the server") {
		t.Errorf("of defaultdb: %+v", got)
	}
	for _, args := range [][]string{{"reload", "now"}, {"reload", "-all"}} {
		if got := call(t, "", append([]string{"-database", d.Primary}, args...)...); got.status != statusUsage {
			t.Errorf("%q: %+v", args, got)
		}
	}
}
