// Package liartest is a fuzzer of verification: random sessions of one or two clients, in one
// process or two, against a real server, behind a proxy that lies at a random call. A model in memory
// knows what is true. What the driver returns as proven must be true, as far as
// docs/proof.md promises it, and nothing that is honest may be refused.
package liartest

import (
	"fmt"
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// A session whose opening is answered with a lie stays open on the server: sessions are
// not counted at the end.
func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		if err := beProgram(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(testserver.Main(m, dbtest.NoGoroutines))
}
