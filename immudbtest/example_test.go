package immudbtest_test

import (
	"database/sql"
	"fmt"
	"log"
	"net/url"
	"testing"

	"github.com/immudb-go/immudb/immudbtest"
)

// A program that is not a test must close the server.
func ExampleNew() {
	srv, err := immudbtest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := srv.Close(); err != nil {
			log.Print(err)
		}
	}()
	u, err := url.Parse(srv.DSN())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(u.Scheme, u.Hostname(), u.Path)
	// Output: immudb 127.0.0.1 /defaultdb
}

// In a test the server need not be closed: it ends with the test. The driver is github.com/immudb-go/immudb.
func ExampleStart() {
	_ = func(t *testing.T) {
		srv := immudbtest.Start(t)
		db, err := sql.Open("immudb", srv.DSN())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (id INTEGER, PRIMARY KEY id)"); err != nil {
			t.Fatal(err)
		}
	}
}

// Tests of a driver can stop the server and start it again.
func ExampleServer_Restart() {
	srv, err := immudbtest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := srv.Close(); err != nil {
			log.Print(err)
		}
	}()
	before := srv.Addr()
	if err := srv.Stop(); err != nil { // connections break, and the port refuses
		log.Fatal(err)
	}
	if err := srv.Restart(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(srv.Addr() == before)
	// Output: true
}

// A replica is promoted after the loss of its primary, and the old primary follows it.
func ExampleServer_Promote() {
	_ = func(t *testing.T) {
		first := immudbtest.Start(t)
		second := immudbtest.Start(t, immudbtest.WithReplicaOf(first.DSN()))
		// … write to first …
		if err := first.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := second.Promote(); err != nil { // it takes writes, with what it has of first
			t.Fatal(err)
		}
		if err := first.Follow(second.DSN()); err != nil { // it starts again, as a replica
			t.Fatal(err)
		}
	}
}

// Follow makes a server a replica of a primary, with the data that it has.
func ExampleServer_Follow() {
	primary, err := immudbtest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer primary.Close()
	other, err := immudbtest.New(immudbtest.WithReplicaOf(primary.DSN()))
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	fmt.Println(other.Follow(primary.DSN()))
	// Output: <nil>
}

// A test shows what a program does while its replica is behind.
func ExampleServer_PauseReplication() {
	_ = func(t *testing.T) {
		primary := immudbtest.Start(t)
		replica := immudbtest.Start(t, immudbtest.WithReplicaOf(primary.DSN()))
		if err := replica.PauseReplication(); err != nil {
			t.Fatal(err)
		}
		// … what is committed on the primary now, the replica does not have …
		if err := replica.ResumeReplication(); err != nil {
			t.Fatal(err)
		}
	}
}
