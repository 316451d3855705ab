package immudbtest_test

import (
	"testing"

	"github.com/immudb-go/immudb/immudbtest"
)

// The cost of WithSynced for a test and for a server.

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		srv, err := immudbtest.New()
		if err != nil {
			b.Fatal(err)
		}
		if err := srv.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInsert(b *testing.B) {
	for _, c := range []struct {
		name   string
		synced bool
	}{{"unsynced", false}, {"synced", true}} {
		b.Run(c.name, func(b *testing.B) {
			c := connect(b, immudbtest.Start(b, immudbtest.WithSynced(c.synced)).DSN())
			c.must(b, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v VARCHAR, PRIMARY KEY id)")
			for b.Loop() {
				c.must(b, "INSERT INTO t (v) VALUES ('one')")
			}
		})
	}
}
