package outagetest

import (
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// expectTold fails unless table t holds exactly the rows that are committed according to n
// and err, and at most the unknown rows in addition. The ids of the rows begin with 0.
func expectTold(t *testing.T, db *sql.DB, n int64, err error, total int) {
	t.Helper()
	var e *immudb.CopyError
	if err != nil && !errors.As(err, &e) {
		if n != 0 {
			t.Fatalf("%d rows with an error that is no *CopyError: %v", n, err)
		}
		e = &immudb.CopyError{}
	}
	if err == nil {
		e = &immudb.CopyError{Committed: n}
	}
	there := map[int]bool{}
	for _, id := range dbtest.List[int](t, db, "SELECT id FROM t") {
		there[id] = true
	}
	for id := range total {
		if told, unknown := int64(id) < e.Committed, int64(id) < e.Committed+e.Unknown; told != there[id] && (told || !unknown) {
			t.Fatalf("row %d: acknowledged %v, stored %v (%v)", id, told, there[id], err)
		}
	}
}

func TestCopyFromOutcomeIsTrueWhenTheServerIsKilled(t *testing.T) {
	server := testserver.Start(t)
	db := dbtest.OpenDSN(t, server.DSN())
	for i, row := range []struct {
		reason  string
		writers int
		after   int64         // rows committed
		delay   time.Duration // from then on
	}{
		{"before the first batch", 1, 0, 0},
		{"while the next batch is run", 1, 200, 0},
		{"while the next batch is run, later", 1, 400, 4 * time.Millisecond},
		{"while the next batch is committed", 1, 200, 9 * time.Millisecond},
		{"with three writers", 3, 200, 0},
		{"with three writers, later", 3, 400, 7 * time.Millisecond},
	} {
		t.Run(row.reason, func(t *testing.T) {
			if i > 0 {
				dbtest.Exec(t, db, "DROP TABLE t")
			}
			dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
			kill := sync.OnceFunc(func() {
				go func() {
					time.Sleep(row.delay)
					if err := server.Kill(); err != nil {
						t.Error(err)
					}
				}()
			})
			rows := dbtest.NumberedRows(0, 100000)
			if row.after == 0 {
				rows = dbtest.ChainRows(dbtest.NumberedRows(0, 50), func(func([]any, error) bool) {
					kill()
					time.Sleep(200 * time.Millisecond)
				}, dbtest.NumberedRows(50, 100000-50))
			}
			n, err := immudb.CopyFrom(t.Context(), db, "t", nil, rows, &immudb.CopyOptions{BatchRows: 100, Writers: row.writers, Progress: func(p immudb.CopyProgress) {
				if row.after > 0 && p.Rows >= row.after {
					kill()
				}
			}})
			if err == nil {
				t.Fatal("the server was killed and CopyFrom did not fail")
			}
			if err := server.Restart(); err != nil {
				t.Fatal(err)
			}
			expectTold(t, db, n, err, 100000)
		})
	}
}
