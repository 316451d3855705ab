package ecotest

import (
	"xorm.io/xorm"
	"xorm.io/xorm/core"
	"xorm.io/xorm/dialects"
	"xorm.io/xorm/schemas"

	_ "github.com/immudb-go/immudb"
)

func init() { dialects.RegisterDriver("immudb", dialects.QueryDriver("postgres")) }

func openXorm(dsn string) (*xorm.Engine, error) {
	db, err := core.Open("immudb", dsn)
	if err != nil {
		return nil, err
	}
	dialect := dialects.QueryDialect(schemas.POSTGRES)
	if err := dialect.Init(&dialects.URI{DBType: schemas.POSTGRES, DBName: "app"}); err != nil {
		return nil, err
	}
	return xorm.NewEngineWithDialectAndDB("immudb", dsn, dialect, db)
}
