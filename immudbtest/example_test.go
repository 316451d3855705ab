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
