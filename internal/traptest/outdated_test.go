package traptest

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// A server that is promoted while it runs keeps the catalog of its time as a replica.
func TestAChangeOfTheSchemaDestroysNoTableThatAPromotedReplicaHasNotSeen(t *testing.T) {
	t.Parallel()
	a, b := testserver.Start(t, "-synced=false"), testserver.Start(t, "-synced=false")
	const create = "CREATE TABLE new (id INTEGER, n INTEGER, PRIMARY KEY id)"
	for name, change := range map[string]func(db *sql.DB) error{
		"alone": func(db *sql.DB) error {
			_, err := db.Exec(create)
			return err
		},
		"intx": func(db *sql.DB) error {
			return immudb.RunTx(t.Context(), db, nil, func(tx *sql.Tx) error {
				_, err := tx.Exec(create)
				return err
			})
		},
	} {
		d := dbtest.NewFollowed(t, name, a.DSN(), b.DSN())
		d.Outdate(t)
		d.Promote(t)
		db := dbtest.OpenDSN(t, d.Replica)
		if err := change(db); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		dbtest.Exec(t, db, "INSERT INTO new (id, n) VALUES (1, 7)")
		if v := dbtest.Get[string](t, db, "SELECT v FROM u WHERE id = 1"); v != "a" {
			t.Errorf("%s: the table that the replica had not seen has %q, want a", name, v)
		}
		if n := dbtest.Get[int](t, db, "SELECT n FROM new WHERE id = 1"); n != 7 {
			t.Errorf("%s: the new table has %d, want 7", name, n)
		}
	}
}

func TestAReplicaWhoseDatabaseIsReloadedSeesTheSchemaOfItsPrimary(t *testing.T) {
	t.Parallel()
	a, b := testserver.Start(t, "-synced=false"), testserver.Start(t, "-synced=false")
	d := dbtest.NewFollowed(t, "shop", a.DSN(), b.DSN())
	d.Outdate(t)
	db := dbtest.OpenDSN(t, d.Replica)
	inUse := dbtest.WireTo(t, d.Replica)
	if err := immudb.ReloadDatabase(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if v := dbtest.Get[string](t, db, "SELECT v FROM u WHERE id = 1"); v != "a" {
		t.Errorf("the new table has %q, want a", v)
	}
	if got := inUse.Told(t, "SELECT v FROM u"); got != "a" {
		t.Errorf("in a session from before: %s, want a", got)
	}

	// It goes on following.
	dbtest.Exec(t, dbtest.OpenDSN(t, d.Primary), "UPDATE u SET v = 'b' WHERE id = 1")
	d.Await(t)
	if v := dbtest.Get[string](t, db, "SELECT v FROM u WHERE id = 1"); v != "b" {
		t.Errorf("after a write on the primary: %q, want b", v)
	}

	if err := immudb.ReloadDatabase(t.Context(), dbtest.OpenDSN(t, b.DSN())); !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("defaultdb: %v, want ErrUnsupported", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := immudb.ReloadDatabase(ended, db); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}
