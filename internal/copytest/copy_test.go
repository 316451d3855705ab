package copytest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

const copyTable = "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)"

// openTable opens a fresh database with table t (id, v).
func openTable(t testing.TB, options ...string) *sql.DB {
	t.Helper()
	db := dbtest.Open(t, options...)
	dbtest.Exec(t, db, copyTable)
	return db
}

// expectIDs fails unless t holds exactly the ids from ≤ id < to.
func expectIDs(t testing.TB, db *sql.DB, from, to int) {
	t.Helper()
	want := []int{}
	for id := from; id < to; id++ {
		want = append(want, id)
	}
	if got := dbtest.List[int](t, db, "SELECT id FROM t"); !slices.Equal(got, want) {
		t.Errorf("%d rows in the table, want the %d from %d on", len(got), to-from, from)
	}
}

func TestCopyFromWritesWhatExecWouldWrite(t *testing.T) {
	db := dbtest.Open(t)
	const columns = "(id INTEGER, n INTEGER, f FLOAT, s VARCHAR, b BLOB, ok BOOLEAN, at TIMESTAMP, u UUID, j JSON, PRIMARY KEY id)"
	dbtest.Exec(t, db, "CREATE TABLE t "+columns)
	dbtest.Exec(t, db, "CREATE TABLE twin "+columns)
	uuid := [16]byte{0: 0xc0, 15: 0x01}
	at := time.Date(2024, 2, 29, 12, 30, 15, 123456000, time.FixedZone("", 3600))
	long := strings.Repeat("it's ", 40)
	word := "word"
	type name string
	var rows [][]any
	add := func(values ...any) { rows = append(rows, append([]any{len(rows)}, values...)) }
	add(int64(1), 0.5, "plain", []byte{0, 255}, true, at, uuid, json.RawMessage(`{"a": [1, "it's"]}`))
	add(nil, nil, nil, nil, nil, nil, nil, nil)
	add(int64(math.MinInt64), math.MaxFloat64, "", []byte{}, false, time.UnixMicro(-1), uuid[:0:0], nil)
	add(int64(math.MaxInt64), math.SmallestNonzeroFloat64, "it's 'quoted' ''", []byte(nil), false, time.Unix(0, 0), nil, json.RawMessage(nil))
	add(int32(-7), math.Copysign(0, -1), "$1 ? @a -- /* x */ ; \\ \" \n\t\x00", []byte(strings.Repeat("b", 32)), true, at, nil, nil)
	add(uint8(7), -0.1, strings.Repeat("é", 32), []byte(strings.Repeat("b", 33)), true, at, nil, nil)
	add(int64(-1), 1e15, strings.Repeat("x", 64), []byte("it's"), true, at, nil, nil)
	add(0, -123456789.000001, strings.Repeat("x", 65), []byte(long), true, at, nil, nil)
	add(0, 1e-5, strings.Repeat("'", 64), []byte(long), true, at, nil, nil)
	add(0, float32(1.5), long, nil, true, at, nil, nil)
	add(new(int64), 3.0, &word, nil, true, &at, nil, nil)
	add(sql.NullInt64{Int64: 5, Valid: true}, sql.NullFloat64{}, name("named"), nil, sql.NullBool{}, sql.NullTime{}, nil, nil)
	rows[2][7] = nil

	n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.Rows(rows...), nil)
	if err != nil || n != int64(len(rows)) {
		t.Fatalf("%d rows, err = %v", n, err)
	}
	for _, row := range rows {
		dbtest.Exec(t, db, "INSERT INTO twin (id, n, f, s, b, ok, at, u, j) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row...)
	}
	got, want := everything(t, db, "SELECT * FROM t"), everything(t, db, "SELECT * FROM twin")
	for i := range want {
		for k := range want[i] {
			if !reflect.DeepEqual(got[i][k], want[i][k]) || sign(got[i][k]) != sign(want[i][k]) {
				t.Errorf("row %d, column %d: %#v, want %#v", i, k, got[i][k], want[i][k])
			}
		}
	}
}

// sign distinguishes -0 from 0.
func sign(v any) bool {
	f, ok := v.(float64)
	return ok && math.Signbit(f)
}

func everything(t testing.TB, db *sql.DB, query string) (all [][]any) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCopyFromFillsEachTransactionWhateverTheIndexes(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, w VARCHAR[20], PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE INDEX ON t(v)")
	dbtest.Exec(t, db, "CREATE UNIQUE INDEX ON t(w)")
	dbtest.Exec(t, db, "CREATE INDEX ON t(v, w)")
	var committed []int64
	rows := func(yield func([]any, error) bool) {
		for id := range 2500 {
			if !yield([]any{id, id % 7, fmt.Sprint("w", id)}, nil) {
				return
			}
		}
	}
	n, err := immudb.CopyFrom(t.Context(), db, "t", []string{"id", "v", "w"}, rows, &immudb.CopyOptions{
		Progress: func(p immudb.CopyProgress) {
			committed = append(committed, p.Rows)
			if p.Bytes < 10*p.Rows || p.Elapsed <= 0 || p.RowsPerSecond() <= 0 || p.BytesPerSecond() < p.RowsPerSecond() {
				t.Errorf("progress %+v", p)
			}
		},
	})
	if err != nil || n != 2500 {
		t.Fatalf("%d rows, err = %v", n, err)
	}
	if want := []int64{1024, 2048, 2500}; !slices.Equal(committed, want) {
		t.Errorf("rows committed after each batch: %d, want %d", committed, want)
	}
	expectIDs(t, db, 0, 2500)
}

func TestCopyFromUpsertGetsByWhenIndexesTakeEntries(t *testing.T) {
	db := openTable(t)
	dbtest.Exec(t, db, "CREATE INDEX ON t(v)")
	if _, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.NumberedRows(0, 3000), nil); err != nil {
		t.Fatal(err)
	}
	changed := func(yield func([]any, error) bool) {
		for id := range 3000 {
			if !yield([]any{id, -id}, nil) {
				return
			}
		}
	}
	n, err := immudb.CopyFrom(t.Context(), db, "t", nil, changed, &immudb.CopyOptions{Upsert: true})
	if err != nil || n != 3000 {
		t.Fatalf("%d rows, err = %v", n, err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t WHERE v = 0 - id"); got != 3000 {
		t.Errorf("%d rows were changed, want 3000", got)
	}
	expectIDs(t, db, 0, 3000)
}

func TestCopyFromUpsertTakesTheLastOfEqualKeys(t *testing.T) {
	db := openTable(t)
	dbtest.Exec(t, db, "CREATE INDEX ON t(v)")
	n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.ChainRows(dbtest.NumberedRows(0, 10), dbtest.Rows([]any{3, 1}, []any{3, 2}, []any{4, 30})), &immudb.CopyOptions{Upsert: true})
	if err != nil || n != 13 {
		t.Fatalf("%d rows, err = %v", n, err)
	}
	if got := dbtest.List[int](t, db, "SELECT v FROM t WHERE id = 3 OR id = 4"); !slices.Equal(got, []int{2, 30}) {
		t.Errorf("values %d, want the last ones, 2 and 30", got)
	}
}

func TestCopyFromFindsTheRowThatTheServerRefuses(t *testing.T) {
	for _, row := range []struct {
		reason string
		bad    []any
		err    error
	}{
		{"its key exists", []any{2000, 1}, immudb.ErrDuplicateKey},
		{"its key came before", []any{1005, 1}, immudb.ErrDuplicateKey},
		{"a null where none may be", []any{5000, nil}, immudb.ErrNotNull},
		{"a text that is no number", []any{5000, "x"}, nil},
	} {
		t.Run(row.reason, func(t *testing.T) {
			db := dbtest.Open(t)
			dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER NOT NULL, PRIMARY KEY id)")
			dbtest.Exec(t, db, "INSERT INTO t (id, v) VALUES (2000, 0)")
			n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.ChainRows(dbtest.NumberedRows(0, 1200), dbtest.Rows(row.bad), dbtest.NumberedRows(1200, 800)), nil)
			var e *immudb.CopyError
			if !errors.As(err, &e) || row.err != nil && !errors.Is(err, row.err) || n != 1200 || e.Row != 1201 || e.Unknown > 0 {
				t.Fatalf("%d rows, err = %v; want 1200 and row 1201 named", n, err)
			}
			if e.Committed != 1200 {
				t.Errorf("committed %v, want 1200", e.Committed)
			}
			if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 1201 {
				t.Errorf("%d rows, want the 1200 and the one of before", got)
			}
			// CopyFrom succeeds without the row.
			n, err = immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.NumberedRows(1200, 800), nil)
			if err != nil || n != 800 {
				t.Errorf("going on: %d rows, err = %v", n, err)
			}
		})
	}
}

func TestCopyFromWritesTheRowsBeforeAFailureOfTheSource(t *testing.T) {
	errSource := errors.New("disk on fire")
	for _, row := range []struct {
		reason string
		rows   iter.Seq2[[]any, error]
		err    error
		text   string
	}{
		{"the source fails", dbtest.ThenError(dbtest.NumberedRows(0, 1100), errSource), errSource, "row 1101: source: disk on fire"},
		{"a value of no use", dbtest.ChainRows(dbtest.NumberedRows(0, 1100), dbtest.Rows([]any{1100, make(chan int)})), immudb.ErrInvalidValue, "row 1101, column v: unsupported type chan int"},
		{"text that is none", dbtest.ChainRows(dbtest.NumberedRows(0, 1100), dbtest.Rows([]any{"\xff", 1})), immudb.ErrInvalidValue, "row 1101, column id: the text is not valid UTF-8"},
		{"NaN", dbtest.ChainRows(dbtest.NumberedRows(0, 1100), dbtest.Rows([]any{1100, math.NaN()})), immudb.ErrInvalidValue, "row 1101, column v: NaN"},
		{"a value too few", dbtest.ChainRows(dbtest.NumberedRows(0, 1100), dbtest.Rows([]any{1100})), immudb.ErrInvalidValue, "row 1101: it has 1 values for 2 columns"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			db := openTable(t)
			n, err := immudb.CopyFrom(t.Context(), db, "t", []string{"id", "v"}, row.rows, nil)
			e := dbtest.CopyError(t, err, row.err)
			if n != 1100 || e.Row != 1101 || !strings.HasPrefix(err.Error(), "immudb: copy into t: "+row.text) || !strings.HasSuffix(err.Error(), "; committed: rows 1 to 1100") {
				t.Errorf("%d rows, err = %v", n, err)
			}
			if strings.Count(err.Error(), "immudb: ") != 1 {
				t.Errorf("the prefix is not there once: %v", err)
			}
			expectIDs(t, db, 0, 1100)
		})
	}
}

func TestCopyFromPassesAPanicOnAndLeavesNothing(t *testing.T) {
	db := openTable(t)
	before := runtime.NumGoroutine()
	func() {
		defer func() {
			if r := recover(); r != "boom" {
				t.Errorf("recovered %v", r)
			}
		}()
		rows := func(yield func([]any, error) bool) {
			for row := range dbtest.NumberedRows(0, 2500) {
				yield(row, nil)
			}
			panic("boom")
		}
		immudb.CopyFrom(t.Context(), db, "t", nil, rows, nil)
	}()
	if n := db.Stats().InUse; n != 0 {
		t.Errorf("%d conns are still in use", n)
	}
	deadline := time.Now().Add(10 * time.Second) // the last goroutines may be ending
	for runtime.NumGoroutine() > before+2 {      // the goroutines that keep the sessions alive
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(10 * time.Millisecond)
	}
	expectIDs(t, db, 0, 2048)
}

func TestCopyFromAllOrNothingWritesAllOrNothing(t *testing.T) {
	opts := &immudb.CopyOptions{AllOrNothing: true, Writers: 4}
	for _, row := range []struct {
		reason string
		rows   iter.Seq2[[]any, error]
		opts   immudb.CopyOptions
		want   int
		err    error
	}{
		{"as many as fit", dbtest.NumberedRows(0, 1024), *opts, 1024, nil},
		{"none", dbtest.NumberedRows(0, 0), *opts, 0, nil},
		{"one more than fits", dbtest.NumberedRows(0, 1025), *opts, 0, immudb.ErrTooManyEntries},
		{"far more than fit", dbtest.NumberedRows(0, 100000), *opts, 0, immudb.ErrTooManyEntries},
		{"more bytes than fit", dbtest.NumberedRows(0, 100), immudb.CopyOptions{AllOrNothing: true, BatchBytes: 100}, 0, immudb.ErrTooManyEntries},
		{"a source that fails", dbtest.ThenError(dbtest.NumberedRows(0, 10), context.DeadlineExceeded), *opts, 0, context.DeadlineExceeded},
		{"a row that is refused", dbtest.ChainRows(dbtest.NumberedRows(0, 10), dbtest.NumberedRows(5, 1)), *opts, 0, immudb.ErrDuplicateKey},
		{"a value of no use", dbtest.ChainRows(dbtest.NumberedRows(0, 10), dbtest.Rows([]any{1, func() {}})), *opts, 0, immudb.ErrInvalidValue},
	} {
		t.Run(row.reason, func(t *testing.T) {
			db := openTable(t)
			n, err := immudb.CopyFrom(t.Context(), db, "t", nil, row.rows, &row.opts)
			if n != int64(row.want) || !errors.Is(err, row.err) {
				t.Errorf("%d rows, err = %v; want %d, %v", n, err, row.want, row.err)
			}
			expectIDs(t, db, 0, row.want)
		})
	}
}

func TestCopyFromWithParallelWritersWritesEachRowOnce(t *testing.T) {
	db := openTable(t)
	var last immudb.CopyProgress
	n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.NumberedRows(0, 10000), &immudb.CopyOptions{Writers: 4, BatchRows: 300, Progress: func(p immudb.CopyProgress) { last = p }})
	if err != nil || n != 10000 || last.Rows != 10000 {
		t.Fatalf("%d rows, err = %v, progress %+v", n, err, last)
	}
	expectIDs(t, db, 0, 10000)
}

func TestCopyFromWithParallelWritersStopsAtTheRowAtFault(t *testing.T) {
	db := openTable(t)
	dbtest.Exec(t, db, "INSERT INTO t (id, v) VALUES (1777, 0)")
	n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.NumberedRows(0, 5000), &immudb.CopyOptions{Writers: 4, BatchRows: 100})
	if e := dbtest.CopyError(t, err, immudb.ErrDuplicateKey); e.Row != 1778 || n != 1777 || e.Committed != n || e.Unknown > 0 {
		t.Errorf("%d rows, err = %v; want the 1777 before row 1778", n, err)
	}
	expectIDs(t, db, 0, 1778) // the last row existed before
}

// For any number of writers, a later row overwrites an earlier one.
func TestCopyFromCommitsInTheOrderOfTheRows(t *testing.T) {
	for _, writers := range []int{0, 1, 2, 5} {
		db := openTable(t)
		dbtest.Exec(t, db, "CREATE INDEX ON t (v)")
		rows := func(yield func([]any, error) bool) {
			for i := range 2000 {
				if !yield([]any{i % 7, i}, nil) {
					return
				}
			}
		}
		n, err := immudb.CopyFrom(t.Context(), db, "t", nil, rows, &immudb.CopyOptions{Upsert: true, Writers: writers, BatchRows: 5})
		if err != nil || n != 2000 {
			t.Fatalf("%d writers: %d rows, err = %v", writers, n, err)
		}
		if got, want := dbtest.List[int](t, db, "SELECT v FROM t ORDER BY v"), []int{1993, 1994, 1995, 1996, 1997, 1998, 1999}; !slices.Equal(got, want) {
			t.Errorf("%d writers: the last values are %v, want %v", writers, got, want)
		}
	}
}

func TestCopyFromNeedsNoMoreConnsThanThereAre(t *testing.T) {
	db := openTable(t)
	db.SetMaxOpenConns(2)
	if n, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.NumberedRows(0, 3000), &immudb.CopyOptions{Writers: 8, BatchRows: 100}); err != nil || n != 3000 {
		t.Fatalf("%d rows, err = %v", n, err)
	}
	expectIDs(t, db, 0, 3000)
}

func TestCopyFromCountsBesideOtherWriters(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	ctx, cancel := context.WithCancel(t.Context())
	single := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			if _, err := db.Exec("INSERT INTO t (v) VALUES (-1)"); err != nil {
				t.Error(err)
			}
			n++
		}
		single <- n
	}()
	rows := func(yield func([]any, error) bool) {
		for i := range 2000 {
			if !yield([]any{i}, nil) {
				return
			}
		}
	}
	n, err := immudb.CopyFrom(t.Context(), db, "t", []string{"v"}, rows, &immudb.CopyOptions{Writers: 4, BatchRows: 100})
	cancel()
	others := <-single
	if err != nil || n != 2000 {
		t.Fatalf("%d rows, err = %v", n, err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 2000+others {
		t.Errorf("%d rows, want 2000 and %d", got, others)
	}
}

func TestCopyFromDividesRequestsLargerThanTheServerTakes(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, b BLOB, PRIMARY KEY id)")
	value := make([]byte, 1<<20)
	rows := func(yield func([]any, error) bool) {
		for id := range 48 {
			if !yield([]any{id, value}, nil) {
				return
			}
		}
	}
	n, err := immudb.CopyFrom(t.Context(), db, "t", nil, rows, &immudb.CopyOptions{BatchBytes: 64 << 20})
	if err != nil || n != 48 {
		t.Fatalf("%d rows, err = %v", n, err)
	}
	expectIDs(t, db, 0, 48)
	// One row alone cannot be divided.
	n, err = immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.Rows([]any{100, value}, []any{101, make([]byte, 33<<20)}), nil)
	if e := dbtest.CopyError(t, err, immudb.ErrTooLong); n != 1 || e.Row != 2 || e.Unknown > 0 {
		t.Errorf("%d rows, err = %v, want one and row 2 named", n, err)
	}
}

func TestCopyFromHoldsABatchOrTwo(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, b BLOB, PRIMARY KEY id)")
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	value := make([]byte, 100<<10)
	rows := func(yield func([]any, error) bool) {
		for id := range 400 {
			if !yield([]any{id, value}, nil) {
				return
			}
		}
	}
	before, most := live(), uint64(0)
	n, err := immudb.CopyFrom(t.Context(), db, "t", nil, rows, &immudb.CopyOptions{BatchBytes: 1 << 20, Progress: func(immudb.CopyProgress) { most = max(most, live()) }})
	if err != nil || n != 400 {
		t.Fatalf("%d rows, err = %v", n, err)
	}
	if most > before+12<<20 {
		t.Errorf("%d MiB of 40 MiB copied were held", (most-before)>>20)
	}
}

func TestCopyFromTakesNamesAsTheServerDoes(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, `CREATE TABLE "order" ("select" INTEGER, plain INTEGER, PRIMARY KEY "select")`)
	n, err := immudb.CopyFrom(t.Context(), db, "ORDER", []string{"Plain", "SELECT"}, dbtest.Rows([]any{10, 1}), nil)
	if err != nil || n != 1 {
		t.Fatalf("%d rows, err = %v", n, err)
	}
	if got := dbtest.Get[int](t, db, `SELECT plain FROM "order" WHERE "select" = 1`); got != 10 {
		t.Errorf("plain = %d, want 10", got)
	}
}

func TestCopyFromRefusesByNameWhatCannotBeDone(t *testing.T) {
	db := openTable(t)
	other := sql.OpenDB(otherConnector{})
	defer other.Close()
	untouched := func(func([]any, error) bool) { t.Error("rows were asked for") }
	for _, row := range []struct {
		reason  string
		db      *sql.DB
		table   string
		columns []string
		opts    immudb.CopyOptions
		err     error
		text    string
	}{
		{"a table that is not there", db, "nosuch", nil, immudb.CopyOptions{}, immudb.ErrNoSuchTable, "nosuch"},
		{"a table that is an injection", db, `t" (id) VALUES (1); --`, nil, immudb.CopyOptions{}, immudb.ErrNoSuchTable, "t"},
		{"a column that is not there", db, "t", []string{"id", "w"}, immudb.CopyOptions{}, immudb.ErrNoSuchColumn, "(w)"},
		{"a column twice", db, "t", []string{"id", "ID"}, immudb.CopyOptions{}, immudb.ErrSyntax, "column ID is given twice"},
		{"a db of another driver", other, "t", nil, immudb.CopyOptions{}, immudb.ErrUnsupported, "otherConn"},
		{"no db", nil, "t", nil, immudb.CopyOptions{}, immudb.ErrInvalidValue, "nil"},
		{"fewer than no writers", db, "t", nil, immudb.CopyOptions{Writers: -1}, immudb.ErrInvalidValue, "CopyOptions.Writers is -1"},
		{"fewer than no rows", db, "t", nil, immudb.CopyOptions{BatchRows: -1}, immudb.ErrInvalidValue, "CopyOptions.BatchRows is -1"},
		{"fewer than no bytes", db, "t", nil, immudb.CopyOptions{BatchBytes: -1}, immudb.ErrInvalidValue, "CopyOptions.BatchBytes is -1"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			n, err := immudb.CopyFrom(t.Context(), row.db, row.table, row.columns, untouched, &row.opts)
			if n != 0 || !errors.Is(err, row.err) || !strings.Contains(err.Error(), row.text) {
				t.Errorf("%d rows, err = %v, want %v with %q", n, err, row.err, row.text)
			}
		})
	}
	if _, err := immudb.CopyFrom(t.Context(), db, "t", nil, nil, nil); !errors.Is(err, immudb.ErrInvalidValue) {
		t.Errorf("nil rows: %v", err)
	}
	if n := db.Stats().InUse; n != 0 {
		t.Errorf("%d conns are still in use", n)
	}
}

// otherConnector is a connector of another driver.
type otherConnector struct{}

type otherConn struct{ driver.Conn }

func (otherConnector) Connect(context.Context) (driver.Conn, error) { return otherConn{}, nil }
func (otherConnector) Driver() driver.Driver                        { return nil }
func (otherConn) Close() error                                      { return nil }
func (otherConn) Prepare(string) (driver.Stmt, error)               { return nil, errors.ErrUnsupported }

func TestCopyFromEndsWithItsContext(t *testing.T) {
	db := openTable(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, err := immudb.CopyFrom(ctx, db, "t", nil, dbtest.ChainRows(dbtest.NumberedRows(0, 2048), func(yield func([]any, error) bool) {
		cancel()
		for yield([]any{1 << 20, 1}, nil) {
		}
	}), nil)
	e := dbtest.CopyError(t, err, context.Canceled)
	if got := int64(dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t")); got < n || got > n+e.Unknown {
		t.Errorf("%d rows in the table, told %v", got, err)
	}
}

func TestCopyFromTellsTheLastTransaction(t *testing.T) {
	db := openTable(t)
	var first, last immudb.CommitInfo
	if _, err := immudb.CopyFrom(immudb.WithCommitInfo(t.Context(), &first), db, "t", nil, dbtest.NumberedRows(0, 10), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := immudb.CopyFrom(immudb.WithCommitInfo(t.Context(), &last), db, "t", nil, dbtest.NumberedRows(10, 2000), nil); err != nil {
		t.Fatal(err)
	}
	if last.TxID != first.TxID+2 || last.Time.IsZero() {
		t.Errorf("%+v, then %+v: want two transactions between them", first, last)
	}
}

func TestCopyFromFindsTheColumnsThatOthersHaveMade(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db, other := dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, a INTEGER, b INTEGER, PRIMARY KEY id)")
	if _, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.Rows([]any{1, 10, 20}), nil); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, other, "DROP TABLE t")
	dbtest.Exec(t, other, "CREATE TABLE t (id INTEGER, b INTEGER, a INTEGER, PRIMARY KEY id)")
	if _, err := immudb.CopyFrom(t.Context(), db, "t", nil, dbtest.Rows([]any{1, 20, 10}), nil); err != nil {
		t.Fatal(err)
	}
	if a := dbtest.Get[int](t, db, "SELECT a FROM t"); a != 10 {
		t.Errorf("a = %d, want 10: the columns are now in another order", a)
	}
}
