// Package copytest tests which rows [immudb.CopyFrom] writes to a real server, what it counts and refuses, and whether its
// errors say which rows are committed. Tests with faults are in internal/scripttest and internal/outagetest.
package copytest

import (
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
