// Package contentiontest has many callers write at once to a real server: conflicts and refusals are retried, group
// commit gives everyone the result of its own statement.
package contentiontest

import (
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
