package traptest

import (
	"errors"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// The server cannot read the JSON value null back: a row that holds it can never be changed or deleted.
func TestStatementsThatMayStoreTheJSONValueNullAreRefused(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db, server := dbtest.OpenDSN(t, dsn), dbtest.WireTo(t, dsn)
	for _, query := range []string{
		"CREATE TABLE t (id INTEGER, s VARCHAR, j JSON, PRIMARY KEY id)", "CREATE TABLE o (id INTEGER, s VARCHAR, j JSON, PRIMARY KEY id)",
		"INSERT INTO o (id, s, j) VALUES (1, 'null', '{\"a\":\"null\"}')", "INSERT INTO t (id, s) VALUES (1, 'null')",
	} {
		dbtest.Exec(t, db, query)
	}
	for _, query := range []string{
		"UPDATE t SET j = 'null'",
		"UPDATE t SET j = s",
		"UPDATE t SET j = CONCAT('nu', 'll')",
		"UPDATE t SET j = COALESCE(NULL, 'null')",
		"UPSERT INTO t (id, j) SELECT 1, 'null' FROM o",
		"UPSERT INTO t (id, j) SELECT id, s FROM o",
	} {
		if _, err := db.Exec(query); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s: err = %v, want ErrUnsupported", query, err)
		}
		dbtest.Exec(t, db, "UPDATE t SET j = '{}'") // the row is as it was
		if err := server.Exec(t.Context(), query); err != nil {
			t.Fatalf("%s: the server refuses it: %v", query, err)
		}
		if _, err := db.Exec("DELETE FROM t"); !errors.Is(err, immudb.ErrInvalidValue) {
			t.Errorf("%s: the row can be deleted (%v)", query, err)
		}
		dbtest.Exec(t, db, "UPSERT INTO t (id, s, j) VALUES (1, 'null', NULL)")
	}
	// Such a cast fails, and leaves the row as it was.
	if _, err := db.Exec("UPDATE t SET j = CAST(s AS JSON)"); !errors.Is(err, immudb.ErrInvalidValue) {
		t.Errorf("a cast of null: err = %v, want ErrInvalidValue", err)
	}
	dbtest.Exec(t, db, "UPDATE t SET s = '[1]'")
	dbtest.Exec(t, db, "UPDATE t SET j = CAST(s AS JSON)")
	if got, err := told(db.Query("SELECT j FROM t")); strings.ReplaceAll(got, " ", "") != "[1]" || err != nil {
		t.Errorf("got %s (%v)", got, err)
	}
}
