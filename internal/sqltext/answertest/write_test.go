package answertest

import (
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

func show(values []sql.NullFloat64) string {
	shown := make([]string, len(values))
	for i, v := range values {
		shown[i] = strconv.FormatFloat(v.Float64, 'g', -1, 64)
	}
	return strings.Join(shown, ",")
}

func TestWritesWriteAsInSQLite(t *testing.T) {
	db, lite := both(t, false)
	written := 0
	n := testserver.Rounds(t, 60, 250)
	for i := range n {
		for _, table := range []string{"t", "u"} {
			dbtest.Exec(t, lite, "DELETE FROM "+table)
			dbtest.Exec(t, db, "DELETE FROM "+table)
		}
		for _, rows := range []string{rowsOfT, rowsOfU} {
			dbtest.Exec(t, lite, "INSERT "+rows)
			dbtest.Exec(t, db, "UPSERT "+rows)
		}
		g := newGenerator(2, uint64(i))
		text := g.write()
		res, err := exec(db, i%2 == 0, text, g.args)
		if errors.Is(err, immudb.ErrUnsupported) {
			continue
		}
		if err != nil {
			t.Errorf("%s %v: %v", text, g.args, err)
			continue
		}
		got, _ := res.RowsAffected()
		want, _ := dbtest.Exec(t, lite, text, g.args...).RowsAffected()
		if got != want {
			t.Errorf("%s %v: %d rows, want %d", text, g.args, got, want)
		}
		for _, table := range []string{"t", "u"} {
			got, err := answer(db, true, "SELECT * FROM "+table+" ORDER BY id", nil)
			want, liteErr := answer(lite, true, "SELECT * FROM "+table+" ORDER BY id", nil)
			if got != want || err != nil || liteErr != nil {
				t.Errorf("%s %v\ngot  %s (%v)\nwant %s (%v)", text, g.args, got, err, want, liteErr)
			}
		}
		written++
	}
	if written < n/2 {
		t.Errorf("%d of %d writes were done", written, n)
	}
}

// exec runs a write outside or in a transaction.
func exec(db *sql.DB, inTx bool, text string, args []any) (sql.Result, error) {
	if !inTx {
		return db.Exec(text, args...)
	}
	tx, err := db.Begin()
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	res, err := tx.Exec(text, args...)
	if err != nil {
		return nil, err
	}
	return res, tx.Commit()
}
