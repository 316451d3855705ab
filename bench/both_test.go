package main

import (
	"database/sql"
	"net"
	"slices"
	"testing"

	_ "github.com/codenotary/immudb/pkg/stdlib"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/immudbtest"
)

// If the vendor's driver is in the same program it registers the name "immudb". This driver is
// then registered under another name, and both work.
func TestBothDriversWorkInOneProgram(t *testing.T) {
	for _, name := range []string{"immudb", immudb.DriverName} {
		if !slices.Contains(sql.Drivers(), name) {
			t.Fatalf("no driver is registered as %q", name)
		}
	}
	server := immudbtest.Start(t)
	host, port, err := net.SplitHostPort(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for name, dsn := range map[string]string{
		"immudb":          "immudb://immudb:immudb@" + net.JoinHostPort(host, port) + "/defaultdb?sslmode=disable",
		immudb.DriverName: server.DSN(),
	} {
		db, err := sql.Open(name, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var one int
		if err := db.QueryRow("SELECT 1").Scan(&one); err != nil || one != 1 {
			t.Errorf("%s: got %d, %v", name, one, err)
		}
	}
}
