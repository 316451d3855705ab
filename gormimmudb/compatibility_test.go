package gormimmudb_test

import (
	"database/sql"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestServerAnswersAsCompatibilityTells(t *testing.T) {
	dbtest.AnswersAsToldIn(t, "COMPATIBILITY.md", 11, func(t *testing.T) *sql.DB {
		db, err := sql.Open("immudb", testserver.Shared(t).NewDatabase(t))
		must(t, err)
		return db
	})
}
