// Package traptest holds the driver against what a real server answers with yes and does not do, or does otherwise:
// RETURNING, SAVEPOINT, USE, counts and keys of written rows.
package traptest

import (
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
