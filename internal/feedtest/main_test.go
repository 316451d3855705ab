// Package feedtest shows that a change feed gives what was committed, once and in order, over restarts of the program
// and the server, and that it ends with an error before it gives anything that is not proven.
package feedtest

import (
	"database/sql"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

const trustFirstUse = "verify=trust-first-use"

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// all reads a feed to its end, which must not be an error.
func all(t testing.TB, db *sql.DB, opts immudb.ChangesOptions) []immudb.Change {
	t.Helper()
	var list []immudb.Change
	for c, err := range immudb.Changes(t.Context(), db, opts) {
		if err != nil {
			t.Fatalf("after %d changes: %v", len(list), err)
		}
		list = append(list, c)
	}
	return list
}

// inWords is what a change says, without its transaction.
func inWords(c *immudb.Change) string {
	if c.Kind == immudb.ChangeSchema {
		return fmt.Sprintf("%s: %s", c.Table, c.Schema)
	}
	return fmt.Sprintf("%s %s %v%v=%v of %v", c.Kind, c.Table, c.PrimaryKey, c.Key(), c.Row.Values, c.Row.Columns)
}

// fill commits n transactions of one row each.
func fill(t testing.TB, db *sql.DB, n int) {
	t.Helper()
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
	const writers = 8
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for id := w; id < n; id += writers {
				if _, err := db.ExecContext(t.Context(), "UPSERT INTO accounts (id, owner, balance) VALUES (?, 'somebody', ?)", id, id); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Fatal(err)
	}
}
