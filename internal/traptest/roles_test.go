package traptest

import (
	"database/sql"
	"errors"
	"net/url"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// dsnOfHosts is a DSN of both servers, the first one's user and database.
func dsnOfHosts(t *testing.T, first, second, target string) string {
	t.Helper()
	a, err := url.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := url.Parse(second)
	if err != nil {
		t.Fatal(err)
	}
	a.Host += "," + b.Host
	q := a.Query()
	if target != "" {
		q.Set("target_session_attrs", target)
	}
	a.RawQuery = q.Encode()
	return a.String()
}

func TestTheHostOfTheRoleAskedForIsUsed(t *testing.T) {
	primary := testserver.Start(t)
	replica := testserver.Start(t, "-replica-of="+primary.DSN())
	db := dbtest.OpenDSN(t, dsnOfHosts(t, replica.DSN(), primary.DSN(), ""))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
	err := immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO t (id) VALUES (2)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}

	standby := dbtest.OpenDSN(t, dsnOfHosts(t, primary.DSN(), replica.DSN(), "standby"))
	if _, err := standby.Exec("CREATE TABLE u (id INTEGER, PRIMARY KEY id)"); !errors.Is(err, immudb.ErrReplica) {
		t.Errorf("a write with target_session_attrs=standby: %v, want ErrReplica", err)
	}

	if err := primary.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO t (id) VALUES (3)"); err == nil || !errors.Is(err, immudb.ErrReplica) && !errors.Is(err, immudb.ErrOutcomeUnknown) {
		t.Errorf("a write without a primary: %v, want an error that tells of the replica", err)
	}
	if err := primary.Restart(); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, db, "UPSERT INTO t (id) VALUES (4)")
}
