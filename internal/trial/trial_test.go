package trial_test

import (
	"database/sql/driver"
	"errors"
	"os"
	"testing"

	"github.com/DATA-DOG/go-sqlmock"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func TestAStatementThatIsTriedChangesNothing(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER, CONSTRAINT positive CHECK n > 0, PRIMARY KEY id)")
	for range 2 {
		if err := trial.Run(t.Context(), db, "ALTER TABLE t DROP CONSTRAINT positive"); err != nil {
			t.Error(err)
		}
	}
	var e *immudb.Error
	if err := trial.Run(t.Context(), db, "ALTER TABLE t DROP CONSTRAINT negative"); !errors.As(err, &e) || e.SQLState != "42704" {
		t.Errorf("err = %v, want that there is no such constraint", err)
	}
}

// Another process changes the catalog at the same time.
func TestAConflictIsNotTheErrorOfTheStatement(t *testing.T) {
	db, mock, err := sqlmock.New()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const query = "ALTER TABLE t DROP CONSTRAINT c"
	mock.ExpectBegin()
	mock.ExpectExec(query).WillReturnError(immudb.ErrConflict)
	mock.ExpectRollback()
	mock.ExpectBegin()
	mock.ExpectExec(query).WillReturnResult(driver.ResultNoRows)
	mock.ExpectRollback()
	if err := trial.Run(t.Context(), db, query); err != nil {
		t.Error(err)
	}
	if err := mock.ExpectationsWereMet(); err != nil {
		t.Error(err)
	}
}
