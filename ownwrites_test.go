package immudb_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

var ownWrites = []string{
	"CREATE TABLE t (id INTEGER, v INTEGER, active BOOLEAN, PRIMARY KEY (id))", "CREATE INDEX ON t (v)", "CREATE INDEX ON t (active)",
	"CREATE TABLE u (id INTEGER, v INTEGER, PRIMARY KEY (id))", "CREATE INDEX ON u (v)",
	"INSERT INTO t (id, v, active) VALUES (1, 10, TRUE), (2, 10, FALSE), (3, 30, TRUE), (4, 40, NULL), (5, 50, TRUE), (6, 60, TRUE)",
	"INSERT INTO u (id, v) VALUES (1, 10), (2, 20), (3, 30), (4, 40), (5, 50), (6, 60)",
}

func TestTransactionFindsItsOwnWritesByIndexedColumns(t *testing.T) {
	db := dbtest.Open(t)
	for _, text := range ownWrites {
		dbtest.Exec(t, db, text)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	byValue, err := tx.Prepare("SELECT id FROM t WHERE v = ? ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer byValue.Close()
	prepared := func(v int) []int64 {
		rows, err := byValue.Query(v)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := dbtest.Drain[int64](rows)
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	if ids := prepared(10); !slices.Equal(ids, []int64{1, 2}) {
		t.Errorf("before the write: %v", ids)
	}
	dbtest.Exec(t, tx, "UPDATE t SET v = 99 WHERE id = 1")
	if ids := prepared(10); !slices.Equal(ids, []int64{2}) {
		t.Errorf("prepared before the write: %v", ids)
	}
	for _, row := range []struct {
		query string
		want  []int64
	}{
		{"SELECT id FROM t WHERE v = 99", []int64{1}},
		{"SELECT id FROM t ORDER BY v DESC LIMIT 2", []int64{1, 6}},
		{"SELECT t.id FROM u JOIN t ON u.v = t.v WHERE u.id = 1", []int64{2}},
		{"SELECT id FROM u WHERE v IN (SELECT v FROM t WHERE v = 10)", []int64{1}},
		{"SELECT id FROM t WHERE active AND v = 99", []int64{1}},
		{"SELECT COUNT(*) FROM t WHERE v = 10", []int64{1}},
		{"UPDATE t SET active = FALSE WHERE v = 99 RETURNING id", []int64{1}},
		{"INSERT INTO u (id, v) SELECT id + 100, v FROM t WHERE v = 99", []int64{}},
		{"SELECT id FROM t USE INDEX ON (v) WHERE v > 50 ORDER BY v", []int64{6, 1}},
		{"SELECT id FROM t WHERE v = 10; SELECT id FROM t WHERE v = 100", []int64{2}},
	} {
		if got := dbtest.List[int64](t, tx, row.query); !slices.Equal(got, row.want) {
			t.Errorf("%s: %v, want %v", row.query, got, row.want)
		}
	}
}

func TestTextOfSeveralStatementsFindsItsOwnWrites(t *testing.T) {
	for name, options := range map[string][]string{"alone": nil, "in groups": {"group_commit=8"}} {
		t.Run(name, func(t *testing.T) {
			db := dbtest.Open(t, options...)
			for _, text := range ownWrites {
				dbtest.Exec(t, db, text)
			}
			dbtest.Exec(t, db, "UPDATE t SET v = 99 WHERE id = 1; UPDATE t SET active = FALSE WHERE v = 99; DELETE FROM t WHERE v = 10")
			if got := dbtest.List[int64](t, db, "SELECT id FROM t WHERE active = FALSE OR id < 3"); !slices.Equal(got, []int64{1}) {
				t.Errorf("rows %v, want 1", got)
			}
			rows, err := db.Query("UPDATE t SET v = 30 WHERE id = 5 RETURNING id; SELECT id FROM t WHERE v = 30 ORDER BY v, id")
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			if !rows.Next() || rows.Next() || !rows.NextResultSet() {
				t.Fatalf("no second answer: %v", rows.Err())
			}
			if got, err := dbtest.Drain[int64](rows); !slices.Equal(got, []int64{3, 5}) || err != nil {
				t.Errorf("rows %v (%v), want 3 and 5", got, err)
			}
		})
	}
}

func TestScanForOwnWritesIsRefusedBeyondTheLimit(t *testing.T) {
	db := dbtest.Open(t, "own_writes_scan=5")
	for _, text := range ownWrites {
		dbtest.Exec(t, db, text)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	dbtest.List[int64](t, tx, "SELECT id FROM t WHERE v = 10")
	dbtest.Exec(t, tx, "UPDATE t SET v = 99 WHERE id = 1")
	for _, text := range []string{
		"SELECT id FROM t WHERE v = 10", "SELECT id FROM t ORDER BY v", "UPDATE t SET active = TRUE WHERE v = 10", "DELETE FROM t WHERE v = 10",
		"DELETE FROM u WHERE id IN (SELECT id FROM t WHERE v = 10)",
	} {
		if _, err := tx.Exec(text); !errors.Is(err, immudb.ErrUnsupported) || !strings.Contains(err.Error(), "own_writes_scan") {
			t.Errorf("%s: err = %v, want ErrUnsupported naming the option", text, err)
		}
	}
	for query, want := range map[string][]int64{
		"SELECT v FROM t WHERE id = 1":            {99},
		"SELECT v FROM t WHERE id = 1 AND v = 99": {99},
		"SELECT v FROM t ORDER BY id LIMIT 1":     {99},
		"SELECT id FROM u WHERE v = 10":           {1},
	} {
		if got := dbtest.List[int64](t, tx, query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	if got := dbtest.List[int64](t, db, "SELECT id FROM t WHERE v = 99"); !slices.Equal(got, []int64{1}) {
		t.Errorf("rows %v, want 1", got)
	}
}

func TestInsertOnConflictAfterADeleteIsRefused(t *testing.T) {
	db := dbtest.Open(t)
	for _, text := range ownWrites {
		dbtest.Exec(t, db, text)
	}
	insert := "INSERT INTO t (id, v) VALUES (1, 11) ON CONFLICT DO NOTHING"
	if _, err := db.Exec("DELETE FROM t WHERE id = 1; " + insert); !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("in one text: err = %v, want ErrUnsupported", err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	dbtest.Exec(t, tx, insert)
	dbtest.Exec(t, tx, "DELETE FROM t WHERE id = 1")
	if _, err := tx.Exec(insert); !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("err = %v, want ErrUnsupported", err)
	}
	dbtest.Exec(t, tx, "UPSERT INTO t (id, v) VALUES (1, 11)")
	if got := dbtest.List[int64](t, tx, "SELECT id FROM t WHERE v = 11"); !slices.Equal(got, []int64{1}) {
		t.Errorf("rows %v, want 1", got)
	}
}

func TestViewIsRefusedAfterAWriteToATableWithAnIndex(t *testing.T) {
	db := dbtest.Open(t)
	for _, text := range append(ownWrites, "CREATE TABLE plain (id INTEGER, PRIMARY KEY (id))", "CREATE VIEW seen AS SELECT id, v FROM t") {
		dbtest.Exec(t, db, text)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	dbtest.Exec(t, tx, "INSERT INTO plain (id) VALUES (1)")
	if got := dbtest.List[int64](t, tx, "SELECT id FROM seen WHERE v = 30"); !slices.Equal(got, []int64{3}) {
		t.Errorf("rows %v, want 3", got)
	}
	dbtest.Exec(t, tx, "UPDATE t SET v = 99 WHERE id = 1")
	if _, err := tx.Query("SELECT id FROM seen WHERE v = 30"); !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("err = %v, want ErrUnsupported", err)
	}
}
