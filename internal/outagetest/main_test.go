// Package outagetest kills, restarts, overloads and disconnects real servers, and compares the results that callers got
// with the rows in the tables afterwards.
package outagetest

import (
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
