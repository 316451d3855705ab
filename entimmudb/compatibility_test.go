package entimmudb_test

import (
	"database/sql"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestServerAnswersAsCompatibilityTells(t *testing.T) {
	t.Parallel()
	dbtest.AnswersAsToldIn(t, "COMPATIBILITY.md", 9, func(t *testing.T) *sql.DB {
		return got(sql.Open(immudb.DriverName, testserver.Shared(t).NewDatabase(t)))(t)
	})
}
