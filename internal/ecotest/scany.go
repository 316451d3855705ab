package ecotest

import (
	"context"
	"database/sql"

	"github.com/georgysavva/scany/v2/sqlscan"

	_ "github.com/immudb-go/immudb"
)

func selectWithScany(ctx context.Context, db *sql.DB, accounts any, id int64) error {
	return sqlscan.Select(ctx, db, accounts, "SELECT * FROM accounts WHERE id >= $1", id)
}
