package ecotest

import (
	"database/sql"

	sqladapter "github.com/Blank-Xu/sql-adapter"
	"github.com/casbin/casbin/v2"

	_ "github.com/immudb-go/immudb"
)

func openCasbin(db *sql.DB, model string) (*casbin.Enforcer, error) {
	_, err := db.Exec(`CREATE TABLE IF NOT EXISTS casbin_rule (id INTEGER AUTO_INCREMENT, p_type VARCHAR, v0 VARCHAR,
		v1 VARCHAR, v2 VARCHAR, v3 VARCHAR, v4 VARCHAR, v5 VARCHAR, PRIMARY KEY id)`)
	if err != nil {
		return nil, err
	}
	adapter, err := sqladapter.NewAdapter(db, "postgres", "casbin_rule")
	if err != nil {
		return nil, err
	}
	return casbin.NewEnforcer(model, adapter)
}
