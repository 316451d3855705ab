// Package copytest shows what [immudb.CopyFrom] writes to a real server, what it counts and refuses, and how its errors
// tell which rows are there. Its faults are in internal/scripttest and internal/outagetest.
package copytest

import (
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
