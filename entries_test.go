package immudb_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestInsertOfMoreRowsThanATransactionHoldsIsRefusedAtOnce(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY (id))")
	insert := func(from, to int) string {
		var b strings.Builder
		b.WriteString("INSERT INTO t (id) VALUES ")
		for i := from; i < to; i++ {
			if i > from {
				b.WriteString(", ")
			}
			b.WriteString("(" + strconv.Itoa(i) + ")")
		}
		return b.String()
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	dbtest.Exec(t, tx, insert(0, 1000))
	for _, text := range []string{insert(1000, 1025), insert(1000, 1025) + " RETURNING id"} {
		if _, err := tx.Query(text); !errors.Is(err, immudb.ErrTooManyEntries) || !strings.Contains(err.Error(), "CopyFrom") {
			t.Errorf("err = %v, want ErrTooManyEntries naming CopyFrom", err)
		}
	}
	dbtest.Exec(t, tx, insert(1000, 1024))
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	if n := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); n != 1024 {
		t.Errorf("%d rows, want 1024", n)
	}
}
