package immudb_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestColumnsAreNamedWithoutTheirTable(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v VARCHAR, j JSON, PRIMARY KEY id)")
	for query, want := range map[string][]string{
		"SELECT id, v AS value, COUNT(*) FROM t GROUP BY id, v": {"id", "value", "col2"},
		"SELECT j->'a'->'b', u.j->'a.b' FROM t AS u":            {"j->'a->b'", "j->'a.b'"}, // the server's names
	} {
		rows, err := db.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rows.Columns()
		if rows.Close(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: columns %q (%v), want %q", query, got, err, want)
		}
	}
}

func TestEveryScanTypeTakesNULL(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, `CREATE TABLE t (id INTEGER, b BOOLEAN, s VARCHAR[9], x BLOB, f FLOAT, ts TIMESTAMP, u UUID, j JSON, PRIMARY KEY id)`)
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
	rows, err := db.Query("SELECT * FROM t")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil || !rows.Next() {
		t.Fatal(err, rows.Err())
	}
	into := make([]any, len(types))
	for i, ct := range types {
		into[i] = reflect.New(ct.ScanType()).Interface()
	}
	if err := rows.Scan(into...); err != nil {
		t.Error(err)
	}
}

func TestJSONScansIntoWhatHoldsJSON(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, j JSON, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id, j) VALUES (1, ?)", json.RawMessage(`{"a":1}`))
	type named []byte
	var (
		raw  json.RawMessage
		name named
		text string
		any  any
	)
	if err := db.QueryRow("SELECT j, j, j, j FROM t").Scan(&raw, &name, &text, &any); err != nil {
		t.Fatal(err)
	}
	if b, ok := any.([]byte); string(raw) != `{"a":1}` || string(name) != text || text != `{"a":1}` || !ok || string(b) != text {
		t.Errorf("got %s, %s, %s, %v", raw, name, text, any)
	}
}

// gorm overwrites the names in the slice that it gets.
func TestColumnNamesAreTheCallersToChange(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v VARCHAR, PRIMARY KEY id)")
	for range 2 {
		rows, err := db.Query("SELECT id, v FROM t")
		if err != nil {
			t.Fatal(err)
		}
		got, err := rows.Columns()
		if want := []string{"id", "v"}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("columns %q (%v), want %q", got, err, want)
		}
		got[1] = "V"
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestColumnTypes(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, `CREATE TABLE t (id INTEGER, b BOOLEAN, s VARCHAR[9], x BLOB, f FLOAT, ts TIMESTAMP, u UUID, j JSON, PRIMARY KEY id)`)
	rows, err := db.Query("SELECT * FROM t")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name     string
		scan     reflect.Type
		variable bool
	}{
		{"INTEGER", reflect.TypeFor[sql.Null[int64]](), false},
		{"BOOLEAN", reflect.TypeFor[sql.Null[bool]](), false},
		{"VARCHAR", reflect.TypeFor[sql.Null[string]](), true},
		{"BLOB", reflect.TypeFor[[]byte](), true},
		{"FLOAT", reflect.TypeFor[sql.Null[float64]](), false},
		{"TIMESTAMP", reflect.TypeFor[sql.Null[time.Time]](), false},
		{"UUID", reflect.TypeFor[sql.Null[string]](), false},
		{"JSON", reflect.TypeFor[[]byte](), true},
	}
	for i, w := range want {
		ct := types[i]
		if ct.DatabaseTypeName() != w.name || ct.ScanType() != w.scan {
			t.Errorf("column %d is %s scanned as %v, want %s as %v", i, ct.DatabaseTypeName(), ct.ScanType(), w.name, w.scan)
		}
		if _, ok := ct.Length(); ok != w.variable {
			t.Errorf("%s: variable length %v, want %v", w.name, ok, w.variable)
		}
		if _, ok := ct.Nullable(); ok {
			t.Errorf("%s: the result claims to know whether it is nullable", w.name)
		}
		if _, _, ok := ct.DecimalSize(); ok {
			t.Errorf("%s: has a decimal size", w.name)
		}
	}
}

// The method of a query's call depends on the size of its last result.
func TestRepeatedQueryReturnsTheSameRows(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Fill(t, db, 3000, []byte("x"))
	const query = "SELECT id, x FROM t ORDER BY id LIMIT ?"
	for _, n := range []int{1, 2, 2048, 1, 2049, 3000, 1} {
		rows, err := db.Query(query, n)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for ; rows.Next(); got++ {
			var id int
			var x sql.RawBytes
			if err := rows.Scan(&id, &x); err != nil || id != got+1 || string(x) != "x" {
				t.Fatalf("row %d of %d: %d, %q, %v", got, n, id, x, err)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || got != n {
			t.Errorf("%d rows, %v, want %d", got, err, n)
		}
	}
}

func TestRowsOfManyBatchesAllArrive(t *testing.T) {
	db := dbtest.Open(t)
	const n = 5000 // three batches of 2,048
	dbtest.Fill(t, db, n, []byte("x"))
	got := dbtest.List[int](t, db, "SELECT id FROM t ORDER BY id")
	if len(got) != n || got[0] != 1 || got[n-1] != n {
		t.Errorf("%d rows from %d to %d, want %d", len(got), got[0], got[len(got)-1], n)
	}
}

func TestBatchesOverFourMegabytesArrive(t *testing.T) {
	db := dbtest.Open(t)
	blob := bytes.Repeat([]byte{7}, 3000)
	dbtest.Fill(t, db, 2100, blob)
	n := 0
	for _, x := range dbtest.List[[]byte](t, db, "SELECT x FROM t") {
		if bytes.Equal(x, blob) {
			n++
		}
	}
	if n != 2100 {
		t.Errorf("%d whole rows of 3 kB, want 2100", n)
	}
}

func TestRowsOfOneMegabyteArrive(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, x BLOB, PRIMARY KEY id)")
	blob := bytes.Repeat([]byte("immudb!!"), 1<<17)
	for i := range 20 {
		dbtest.Exec(t, db, "INSERT INTO t (id, x) VALUES (?, ?)", i, blob)
	}
	for i, x := range dbtest.List[[]byte](t, db, "SELECT x FROM t") {
		if !bytes.Equal(x, blob) {
			t.Errorf("row %d has %d other bytes", i, len(x))
		}
	}
}

func TestRowsClosedEarlyLeaveTheConnectionUsable(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Fill(t, db, 5000, []byte("x"))
	db.SetMaxOpenConns(1)
	for range 5 {
		rows, err := db.Query("SELECT id, x FROM t")
		if err != nil {
			t.Fatal(err)
		}
		if !rows.Next() {
			t.Fatal(rows.Err())
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 5000 {
		t.Errorf("%d rows", got)
	}
}

func TestContextEndsRowsBeingRead(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Fill(t, db, 5000, bytes.Repeat([]byte("x"), 1<<10)) // more than the client may receive ahead
	ctx, cancel := context.WithCancel(t.Context())
	rows, err := db.QueryContext(ctx, "SELECT id, x FROM t")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	rows.Next()
	cancel()
	for rows.Next() {
	}
	if err := rows.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("rows ended with %v, want context.Canceled and never an early end", err)
	}
}

func TestScannedBytesAreTheCallers(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, x BLOB, s VARCHAR, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id, x, s) VALUES (1, x'0101', 'aa'), (2, x'0202', 'bb')")
	rows, err := db.Query("SELECT x, s FROM t")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var xs [][]byte
	var ss []string
	for rows.Next() {
		var x []byte
		var s string
		if err := rows.Scan(&x, &s); err != nil {
			t.Fatal(err)
		}
		xs, ss = append(xs, x), append(ss, s)
	}
	if !reflect.DeepEqual(xs, [][]byte{{1, 1}, {2, 2}}) || !reflect.DeepEqual(ss, []string{"aa", "bb"}) {
		t.Errorf("got %v %v", xs, ss)
	}
}

func TestSeveralStatementsAreResultSets(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1), (2)")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	for _, on := range []struct {
		where string
		dbtest.Execer
	}{{"outside a transaction", db}, {"in a transaction", tx}} {
		t.Run(on.where, func(t *testing.T) {
			rows, err := on.QueryContext(t.Context(), "SELECT id FROM t WHERE id = ?; SELECT 'two', id FROM t WHERE id > ?;", 1, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			var got []any
			for {
				columns, _ := rows.Columns()
				for rows.Next() {
					row := make([]any, len(columns))
					for i := range row {
						row[i] = new(any)
					}
					if err := rows.Scan(row...); err != nil {
						t.Fatal(err)
					}
					for _, v := range row {
						got = append(got, *v.(*any))
					}
				}
				if !rows.NextResultSet() {
					break
				}
			}
			if want := []any{int64(1), "two", int64(2)}; rows.Err() != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %v (%v), want %v", got, rows.Err(), want)
			}
		})
	}
}

func TestQueryThatWritesHasNoColumns(t *testing.T) {
	db := dbtest.Open(t)
	rows, err := db.Query("CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	if err != nil {
		t.Fatal(err)
	}
	if columns, _ := rows.Columns(); len(columns) != 0 || rows.Next() {
		t.Errorf("columns %q, want none and no rows", columns)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 0 {
		t.Error("the table has rows")
	}
}

func TestErrorInTheMiddleOfRowsIsReported(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Fill(t, db, 3000, []byte("x"))
	rows, err := db.Query("SELECT 100 / (2500 - id) FROM t ORDER BY id")
	for err == nil && rows.Next() {
	}
	if err == nil {
		err = rows.Err()
		rows.Close()
	}
	if !errors.Is(err, immudb.ErrInvalidValue) {
		t.Errorf("err = %v, want the division by zero in row 2500", err)
	}
}

// As outside a transaction: each statement that writes is run even if the caller does not
// ask for its result, as with QueryRow.
func TestEveryStatementOfAQueryThatWritesIsRunInATransaction(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
	tx := dbtest.Begin(t, db, nil)
	if id := dbtest.Get[int](t, tx, "INSERT INTO t (id, v) VALUES (1, 1) RETURNING id; SELECT id FROM t; UPDATE t SET v = 2 WHERE id = 1; SELECT 1"); id != 1 {
		t.Errorf("id = %d, want 1", id)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if v := dbtest.Get[int](t, db, "SELECT v FROM t"); v != 2 {
		t.Errorf("v = %d, want 2", v)
	}
}
