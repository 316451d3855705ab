// Package tampertest shows that what is altered is noticed: by a proxy that lies between the driver and a real server, and
// by flipped bits in the files of a server. Beside it stands what must not be taken for tampering: what the driver
// verifies of an honest server, and what that costs in calls.
package tampertest

import (
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
