package ecotest

import (
	"database/sql"

	"github.com/go-gorp/gorp/v3"

	_ "github.com/immudb-go/immudb"
)

func openGorp(dsn string) (*gorp.DbMap, error) {
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		return nil, err
	}
	return &gorp.DbMap{Db: db, Dialect: gorpDialect{}}, nil
}

type gorpDialect struct{ gorp.PostgresDialect }

func (gorpDialect) AutoIncrBindValue() string { return "" }
func (gorpDialect) TruncateClause() string    { return "truncate table" }
