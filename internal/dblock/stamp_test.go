package dblock

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
)

// readOn runs SELECTs side by side until the test ends.
func readOn(t *testing.T, db *sql.DB, query string) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if rows, err := db.QueryContext(ctx, query); err == nil {
					_ = rows.Close()
				}
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// Without the stamp, about one in seven of these tables is overwritten by the
// one created after it.
func TestNoTableCreatedWhileOthersReadIsLost(t *testing.T) {
	db, dsn := openDB(t)
	l := acquire(t, db, 20*time.Second, 0)
	readOn(t, openDSN(t, dsn), `SELECT "id" FROM "the_lock" WHERE "id" = 1`)
	const tables = 60
	for i := range tables {
		err := Work{DB: db, Lock: l, ChangesCatalog: true}.Run(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), fmt.Sprintf("CREATE TABLE t%d (id INTEGER, PRIMARY KEY id)", i))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		exec(t, db, fmt.Sprintf("INSERT INTO t%d (id) VALUES (%d)", i, i))
	}
	for i := range tables {
		var n, id int
		if err := db.QueryRow(fmt.Sprintf("SELECT COUNT(*), MAX(id) FROM t%d", i)).Scan(&n, &id); err != nil || n != 1 || id != i {
			t.Errorf("t%d has %d rows, the last is %d (%v)", i, n, id, err)
		}
	}
	release(t, l)
}

// outdate makes the catalog look older than the rows.
func outdate(t *testing.T, db *sql.DB) {
	t.Helper()
	exec(t, db, `UPDATE "the_lock" SET "stamp" = 7 WHERE "id" = 1`)
}

func TestOutdatedCatalogIsRefreshedBeforeWorkRuns(t *testing.T) {
	db, _ := openDB(t)
	l := acquire(t, db, 5*time.Second, 0)
	outdate(t, db)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if err := l.Fence(t.Context(), tx); !errors.Is(err, ErrStale) {
		t.Errorf("Fence: %v, want ErrStale", err)
	}
	tries := 0
	if err := (Work{DB: db, Lock: l}).Run(t.Context(), func(*sql.Tx) error { tries++; return nil }); err != nil || tries != 1 {
		t.Errorf("the work was done %d times (%v), want 1", tries, err)
	}
	release(t, l)

	outdate(t, db)
	l = acquire(t, db, 5*time.Second, 0) // which mends it, too
	if err := (Work{DB: db, Lock: l, ChangesCatalog: true}).Run(t.Context(), func(*sql.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
	if column, err := l.stampColumn(t.Context(), db); err != nil || column != "stamp_8" {
		t.Errorf("the stamp's column is %s (%v), want stamp_8", column, err)
	}
	release(t, l)
}

// It is as if the server had an outdated catalog: a table that this process has made is not there.
func TestATableThatIsGoneWhileAProcessWaitsIsMadeAgain(t *testing.T) {
	for _, others := range []bool{true, false} {
		db, dsn := openDB(t)
		if others {
			exec(t, db, "CREATE TABLE other (id INTEGER, PRIMARY KEY id)")
			exec(t, db, "INSERT INTO other (id) VALUES (1)")
		}
		held := acquire(t, db, time.Minute, 0)
		waiting := openDSN(t, dsn)
		taken := make(chan error)
		go func() {
			l, err := Acquire(t.Context(), waiting, Config{Table: "the_lock", Lease: time.Minute, Wait: time.Minute})
			if err == nil {
				err = l.Release(t.Context())
			}
			taken <- err
		}()
		for s := waiting.Stats(); s.OpenConnections == 0 || s.InUse > 0; s = waiting.Stats() {
			time.Sleep(time.Millisecond) // until it has made the table, or found it
		}
		held.Forget()
		for dropped := false; !dropped; time.Sleep(time.Millisecond) { // the waiting process reads it
			_, err := db.Exec("DROP TABLE the_lock")
			if dropped = err == nil; !dropped && !errors.Is(err, immudb.ErrConflict) {
				t.Fatal(err)
			}
		}
		if err := <-taken; err != nil {
			t.Errorf("beside another table %v: %v", others, err)
		}
		if others {
			exec(t, db, "INSERT INTO other (id) VALUES (1) ON CONFLICT DO NOTHING")
			var n int
			if err := db.QueryRow("SELECT COUNT(*) FROM other").Scan(&n); err != nil || n != 1 {
				t.Errorf("the other table has %d rows: %v", n, err)
			}
		}
	}
}
