// Package contentiontest makes many callers write at once to a real server: conflicts and refusals are retried, and group
// commit returns to each caller the result of its statement.
package contentiontest

import (
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
