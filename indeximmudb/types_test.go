package indeximmudb

import (
	"database/sql"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/dbtest"
)

// Keys of every type are found by themselves and by conditions, as the server finds them.
func TestKeysOfEveryTypeAreFound(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	x := newIndex(t, db)
	at := func(s int) time.Time { return time.Date(2020, 1, 1, 0, 0, s, 0, time.UTC) }
	for name, keys := range map[string][]any{
		"INTEGER":     {int64(math.MinInt64), int64(-1), int64(0), int64(1), int64(math.MaxInt64)},
		"VARCHAR[9]":  {"", "a", "a\x00", "ab", "b", "é"},
		"BLOB[9]":     {[]byte{0}, []byte{0, 0}, []byte{1}, []byte{255}, []byte{255, 255}},
		"UUID":        {"00000000-0000-0000-0000-000000000000", "00000000-0000-0001-0000-000000000000", "f0000000-0000-0000-0000-00000000000f"},
		"FLOAT":       {math.Inf(-1), -1.5, 0.0, 2.5, math.MaxFloat64},
		"TIMESTAMP":   {at(0), at(1), at(2)},
		"BOOLEAN":     {false, true},
		"VARCHAR[99]": {"x", "y"},
	} {
		t.Run(name, func(t *testing.T) {
			table := "t_" + name[:4] + fmt.Sprint(len(name))
			dbtest.Exec(t, db, fmt.Sprintf("CREATE TABLE %s (k %s NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (k, n))", table, name))
			for _, k := range keys {
				dbtest.Exec(t, db, fmt.Sprintf("UPSERT INTO %s (k, n) VALUES (?, 0), (?, 1)", table), k, k)
			}
			update(t, x)
			for _, k := range keys {
				if row, err := x.Row(t.Context(), table, k, 1); err != nil || row.Values[1] != int64(1) {
					t.Errorf("row %v: %v, %v", k, row, err)
				}
				for _, tail := range []string{"k = ?", "k < ?", "k <= ?", "k > ?", "k >= ?", "? < k", "k = ? AND n > 0", "k = ? AND n = 0"} {
					compareSelect(t, db, x, table, "WHERE "+tail, k)
				}
				compareSelect(t, db, x, table, "WHERE k BETWEEN ? AND ?", keys[0], k)
			}
		})
	}
}

func TestLiteralsNarrowWhatIsRead(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	accounts(t, db)
	x := newIndex(t, db)
	update(t, x)
	for tail, want := range map[string]int{
		"WHERE id = 3": 1, "WHERE 3 = id": 1, "WHERE (id) > (1)": 1, "WHERE id >= 1 AND id < 3": 1, "WHERE id BETWEEN 2 AND 4": 1,
		"WHERE id > -1": 2, "WHERE id = 1 OR id = 3": 2, "WHERE NOT (id = 1)": 1, "WHERE accounts.id = 3 AND owner = 'cid'": 1,
		"WHERE id = 3 AND id = 1": 0, "WHERE id IN (1, 2)": 1, "WHERE id > 1.5": 1, "WHERE id > 5 AND id < 3": 0,
	} {
		if got := rowsOf(t, x, "accounts", tail); len(got) != want {
			t.Errorf("%s: %q", tail, got)
		}
	}
	q, err := newQuery("accounts", "WHERE id >= 1 AND id < 3", nil)
	if err != nil {
		t.Fatal(err)
	}
	at, err := x.now()
	if err != nil {
		t.Fatal(err)
	}
	if r := q.keys(at.tables["accounts"].Table); string(r.from) != "\x80\x80\x00\xf9\x01" || string(r.to) != "\x80\x80\x00\xf9\x03" {
		t.Errorf("read is %x to %x", r.from, r.to)
	}
}

// compareSelect compares the keys of a condition's rows with those that the server selects.
func compareSelect(t *testing.T, db *sql.DB, x *Index, table, tail string, args ...any) {
	t.Helper()
	rows, err := x.Rows(t.Context(), table, tail, args...)
	if err != nil {
		t.Errorf("%s %v: %v", tail, args, err)
		return
	}
	var got, want []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%q", r.Values))
	}
	selected, err := db.Query(fmt.Sprintf("SELECT k, n FROM %s %s ORDER BY k, n", table, tail), args...)
	if err != nil {
		t.Fatal(err)
	}
	defer selected.Close()
	for selected.Next() {
		var k, n any
		if err := selected.Scan(&k, &n); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("%q", []any{k, n}))
	}
	if err := selected.Err(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s %v: the index has\n%v, the server\n%v", tail, args, got, want)
	}
}
