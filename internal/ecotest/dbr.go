package ecotest

import (
	"database/sql"

	"github.com/gocraft/dbr/v2"
	"github.com/gocraft/dbr/v2/dialect"

	_ "github.com/immudb-go/immudb"
)

func openDbr(dsn string) (*dbr.Session, error) {
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		return nil, err
	}
	c := &dbr.Connection{DB: db, Dialect: dialect.PostgreSQL, EventReceiver: &dbr.NullEventReceiver{}}
	return c.NewSession(nil), nil
}
