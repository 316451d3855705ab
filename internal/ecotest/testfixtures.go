package ecotest

import (
	"database/sql"

	"github.com/go-testfixtures/testfixtures/v3"

	_ "github.com/immudb-go/immudb"
)

func loadFixtures(db *sql.DB, dir string, tables ...string) error {
	for _, table := range tables { // not in the transaction of the fixtures: there a deleted key stays taken
		if _, err := db.Exec("DELETE FROM " + table); err != nil {
			return err
		}
	}
	fixtures, err := testfixtures.New(
		testfixtures.Database(db),
		testfixtures.Dialect("clickhouse"), // the one that adds no statement of its own
		testfixtures.DangerousSkipCleanupFixtureTables(),
		testfixtures.DangerousSkipTestDatabaseCheck(), // it asks for the database's name; immudb.Conn has it
		testfixtures.Directory(dir),
	)
	if err != nil {
		return err
	}
	return fixtures.Load()
}
