package scripttest

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

const hour = time.Hour // longer than the driver may wait for anything

const insert = "INSERT INTO t (id) VALUES (1)"

func isBadConn(err error) bool { return errors.Is(err, driver.ErrBadConn) }

func TestFirstQueryIsOneOpenSessionAndTheQuery(t *testing.T) {
	Faulty(t, fakeserver.Script{}, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		if got := dbtest.List[int64](t, db, "SELECT id FROM t"); !slices.Equal(got, []int64{1}) {
			t.Errorf("rows %v", got)
		}
		ExpectLog(t, fake, "OpenSession user defaultdb", "SQLQuery s1 SELECT id FROM t")
	})
}
