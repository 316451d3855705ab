// Package tampertest tests that the driver detects tampering: messages that a proxy alters between the driver and a real
// server, and flipped bits in the files of a server. It also tests that honest servers are accepted, and how many calls
// verification needs.
package tampertest

import (
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
