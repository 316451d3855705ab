// Package outagetest kills, restarts, fills and cuts off real servers, and holds what callers were told against what is
// in the tables afterwards.
package outagetest

import (
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
