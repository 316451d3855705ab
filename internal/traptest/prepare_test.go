package traptest

import (
	"errors"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestPrepareOfWhatCannotBeAStatementFails(t *testing.T) {
	db := employees(t)
	for query, want := range map[string]struct {
		kind error
		says string
	}{
		"invalid sql":                         {immudb.ErrSyntax, "line 1, column 1"},
		"SELECT":                              {immudb.ErrSyntax, "line 1, column 7"},
		"SELECT id FROM e\nWHERE":             {immudb.ErrSyntax, "line 2, column 6"},
		"INSERT INTO e (id)":                  {immudb.ErrSyntax, "line 1"},
		"CREATE TABLE":                        {immudb.ErrSyntax, "line 1"},
		"SELECT 'open FROM e":                 {immudb.ErrSyntax, "line 1, column 8"},
		"SELECT id FROM e WHERE id = 1\x00":   {immudb.ErrSyntax, "NUL"},
		"SELECT name || 'x' FROM e":           {immudb.ErrSyntax, "line 1, column 13: || is not an operator in immudb: write CONCAT(a, b)"},
		"SELECT id FROM e WHERE id = ?\xff":   {immudb.ErrSyntax, "UTF-8"},
		"SAVEPOINT":                           {immudb.ErrSyntax, "line 1, column 10"},
		"SELECT id FROM e WHERE id = ? OR $1": {immudb.ErrSyntax, ""},
		"CREATE TABLE f (id INTEGER, s VARCHAR[2000], PRIMARY KEY (id, s))": {immudb.ErrUnsupported, "1,024 bytes"},
	} {
		st, err := db.Prepare(query)
		if !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%q: err = %v, want %v that says %s", query, err, want.kind, want.says)
		}
		if st != nil {
			_ = st.Close()
		}
	}
	for _, query := range []string{"", "-- nothing", "SELECT id FROM nosuch", "INSERT INTO e (id) VALUES (?)"} {
		st, err := db.Prepare(query)
		if err != nil {
			t.Errorf("%q: %v", query, err)
			continue
		}
		_ = st.Close()
	}
}

// The server creates and drops views and sequences at once, and does not roll it back.
func TestViewsAndSequencesAreChangedAloneOnly(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db, server := dbtest.OpenDSN(t, dsn), dbtest.WireTo(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
	// Without the driver: a failed transaction is rolled back, except for the view and the sequence.
	if err := server.Exec(t.Context(), "CREATE VIEW undone AS SELECT id FROM t; CREATE SEQUENCE undone; INSERT INTO t (id) VALUES (1)"); err == nil {
		t.Fatal("a key is there twice")
	}
	if got := server.Told(t, "SELECT id FROM undone"); got != "1" {
		t.Errorf("the view is undone: %s", got)
	}
	if got := server.Told(t, "SELECT NEXTVAL('undone') FROM t"); got != "1" {
		t.Errorf("the sequence is undone: %s", got)
	}
	for _, query := range []string{"CREATE VIEW v AS SELECT id FROM t", "DROP VIEW v", "CREATE SEQUENCE s", "DROP SEQUENCE s"} {
		tx := dbtest.Begin(t, db, nil)
		if _, err := tx.Exec(query); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s in a transaction: err = %v, want ErrUnsupported", query, err)
		}
		if got := dbtest.Get[int](t, tx, "SELECT id FROM t"); got != 1 {
			t.Errorf("%s: the transaction is not as it was", query)
		}
		if err := tx.Commit(); err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if _, err := db.Exec(query + "; INSERT INTO t (id) VALUES (2)"); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s beside an INSERT: err = %v, want ErrUnsupported", query, err)
		}
		dbtest.Exec(t, db, query)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 1 {
		t.Errorf("%d rows, want 1", got)
	}
}

// The server may return the columns of SELECT * in another order after a TRUNCATE. Named
// columns are right.
func TestNamedColumnsAreRightAfterTruncate(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, a VARCHAR, b VARCHAR, c VARCHAR, d VARCHAR, PRIMARY KEY id)")
	for range 5 {
		dbtest.Exec(t, db, "TRUNCATE TABLE t")
		dbtest.Exec(t, db, "INSERT INTO t (id, a, b, c, d) VALUES (1, 'a', 'b', 'c', 'd')")
		if got, err := told(db.Query("SELECT a, b, c, d FROM t")); got != "a,b,c,d" || err != nil {
			t.Fatalf("got %s (%v)", got, err)
		}
		// The driver replaces t.* by names.
		if got, err := told(db.Query("SELECT d AS x, t.* FROM t JOIN t AS u ON u.id = t.id")); len(got) != len("d,1,a,b,c,d") || err != nil {
			t.Fatalf("got %s (%v)", got, err)
		}
	}
}
