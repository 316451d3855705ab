// Package traptest tests the driver with statements that a real server accepts but does not run, or runs wrongly:
// RETURNING, SAVEPOINT, USE, counts and keys of written rows.
package traptest

import (
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
