package immudb_test

import (
	"os"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
