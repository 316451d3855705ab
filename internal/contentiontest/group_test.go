package contentiontest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestGroupedInsertsGetTheirOwnKeys(t *testing.T) {
	db := dbtest.Open(t, "group_commit=64")
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, who INTEGER, n INTEGER, PRIMARY KEY id)")
	const goroutines, each = 32, 20
	var (
		mu  sync.Mutex
		ids = map[int64]int{}
		wg  sync.WaitGroup
	)
	began := time.Now()
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				who := g*each + i
				res, err := db.Exec("INSERT INTO t (who, n) VALUES ($1, 0), ($1, 1)", who)
				if err != nil {
					t.Error(err)
					return
				}
				id, err := res.LastInsertId()
				if n, nErr := res.RowsAffected(); n != 2 || nErr != nil || err != nil {
					t.Errorf("%d rows (%v), id error %v, want 2 rows", n, nErr, err)
				}
				mu.Lock()
				ids[id] = who
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d statements in %v", goroutines*each, time.Since(began))
	for id, who := range ids {
		if got := dbtest.Get[int](t, db, "SELECT who FROM t WHERE id = ? AND n = 1", id); got != who {
			t.Fatalf("row %d was written by %d, but %d got that key", id, got, who)
		}
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 2*goroutines*each || len(ids) != goroutines*each {
		t.Errorf("%d rows and %d keys, want %d and %d", got, len(ids), 2*goroutines*each, goroutines*each)
	}
}

func TestFailingStatementDoesNotFailItsGroup(t *testing.T) {
	db := dbtest.Open(t, "group_commit=64")
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER NOT NULL, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id, v) VALUES (0, 0)")
	var wg sync.WaitGroup
	for i := 1; i <= 40; i++ {
		wg.Go(func() {
			if _, err := db.Exec("INSERT INTO t (id, v) VALUES (?, ?)", i, i); err != nil {
				t.Errorf("insert %d: %v", i, err)
			}
		})
		if i%10 == 0 {
			wg.Go(func() {
				if _, err := db.Exec("INSERT INTO t (id, v) VALUES (0, 1)"); !errors.Is(err, immudb.ErrDuplicateKey) {
					t.Errorf("duplicate: %v, want ErrDuplicateKey", err)
				}
			})
			wg.Go(func() {
				if _, err := db.Exec("INSERT INTO t (id, v) VALUES (?, NULL)", 1000+i); !errors.Is(err, immudb.ErrNotNull) {
					t.Errorf("null: %v, want ErrNotNull", err)
				}
			})
		}
	}
	wg.Wait()
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 41 {
		t.Errorf("%d rows, want 41", got)
	}
}

func TestGroupedResultsAreExact(t *testing.T) {
	db := dbtest.Open(t, "group_commit=64")
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE TABLE a (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	for i := range 30 {
		dbtest.Exec(t, db, "INSERT INTO t (id, v) VALUES (?, ?)", i, i/3)
	}
	dbtest.Exec(t, db, "INSERT INTO a (v) VALUES (0)"+strings.Repeat(", (0)", 99))
	for _, row := range []struct {
		reason string
		query  string
		args   func(i int) []any
		rows   int64
		hasID  bool
	}{
		{"updates count what they found", "UPDATE t SET v = v WHERE v = @v", func(i int) []any { return []any{sql.Named("v", i%10)} }, 3, false},
		{"an update that finds nothing", "UPDATE t SET v = 0 WHERE id = $1", func(i int) []any { return []any{-1 - i} }, 0, false},
		{"upserts count their rows", "UPSERT INTO t (id, v) VALUES (?, 1), (?, 2)", func(i int) []any { return []any{1000 + 2*i, 1001 + 2*i} }, 2, false},
		{"keys that are given", "UPSERT INTO a (id, v) VALUES (?, 1)", func(i int) []any { return []any{100 - i} }, 1, true},
		{"a conflict clause may skip", "INSERT INTO t (id, v) VALUES (?, 1) ON CONFLICT DO NOTHING", func(i int) []any { return []any{i} }, 0, false},
		{"a returning clause is cut", "DELETE FROM t WHERE id = $1 RETURNING id", func(i int) []any { return []any{1000 + i} }, 1, false},
	} {
		t.Run(row.reason, func(t *testing.T) {
			var wg sync.WaitGroup
			for i := range 12 {
				wg.Go(func() {
					res, err := db.Exec(row.query, row.args(i)...)
					if err != nil {
						t.Error(err)
						return
					}
					if n, err := res.RowsAffected(); n != row.rows || err != nil {
						t.Errorf("call %d: %d rows (%v), want %d", i, n, err, row.rows)
					}
					if id, err := res.LastInsertId(); (err == nil) != row.hasID {
						t.Errorf("call %d: last insert id %d (%v), want one: %v", i, id, err, row.hasID)
					} else if row.hasID && id != int64(100-i) {
						t.Errorf("call %d: last insert id %d, want %d", i, id, 100-i)
					}
				})
			}
			wg.Wait()
		})
	}
}

// Through a secondary index a transaction does not see its own writes: the DELETE would find
// the row by its value from before the UPSERT.
func TestGroupedDeleteSeesTheWritesBeforeIt(t *testing.T) {
	server := testserver.Start(t) // its commits are slow, so that other statements queue
	db := dbtest.OpenDSN(t, dbtest.WithOptions(server.DSN(), "group_commit=64"))
	dbtest.Exec(t, db, "CREATE TABLE busy (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE INDEX ON t(v)")
	for i := range 10 {
		dbtest.Exec(t, db, "INSERT INTO t (id, v) VALUES (?, 5)", i)
		var wg sync.WaitGroup
		for _, query := range []string{
			"INSERT INTO busy (id) VALUES (?)",
			"UPSERT INTO t (id, v) VALUES (?, 6)",
			"DELETE FROM t WHERE v = 5 AND id = ?",
		} {
			wg.Go(func() {
				if _, err := db.Exec(query, i); err != nil {
					t.Errorf("%s: %v", query, err)
				}
			})
			time.Sleep(2 * time.Millisecond) // they queue in this order
		}
		wg.Wait()
		if got := dbtest.List[int](t, db, "SELECT v FROM t WHERE id = ?", i); len(got) != 1 || got[0] != 6 {
			t.Errorf("row %d: v = %v, want one row with v = 6", i, got)
		}
	}
}

func TestWriteWhoseContextEndsInTheQueueIsNotStored(t *testing.T) {
	db := dbtest.Open(t, "group_commit=64")
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*200*time.Microsecond)
			defer cancel()
			_, err := db.ExecContext(ctx, "INSERT INTO t (id) VALUES (?)", i)
			told := err == nil
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			if is := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t WHERE id = ?", i) == 1; is != told {
				t.Errorf("caller %d got %v, row stored: %v", i, err, is)
			}
		})
	}
	wg.Wait()
}

func TestGroupCommitReportsTheTransaction(t *testing.T) {
	db := dbtest.Open(t, "group_commit=8")
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			var commit immudb.CommitInfo
			ctx := immudb.WithCommitInfo(t.Context(), &commit)
			if _, err := db.ExecContext(ctx, "INSERT INTO t (id) VALUES (?)", i); err != nil {
				t.Error(err)
				return
			}
			query := fmt.Sprintf("SELECT COUNT(*) FROM t SINCE TX %d UNTIL TX %[1]d WHERE id = ?", commit.TxID)
			if got := dbtest.Get[int](t, db, query, i); got != 1 {
				t.Errorf("row %d is not of transaction %d", i, commit.TxID)
			}
		})
	}
	wg.Wait()
}

// Group commit relies on this behaviour of the server: if only the first statement reads
// rows, one successful transaction of several statements gives the same table, indexes and
// counts as the same statements one by one.
func TestGroupedStatementsHaveTheEffectOfSingleOnes(t *testing.T) {
	db := dbtest.Open(t)
	for _, table := range []string{"together", "single"} {
		dbtest.Exec(t, db, "CREATE TABLE "+table+" (id INTEGER, v INTEGER, u INTEGER, PRIMARY KEY id)")
		dbtest.Exec(t, db, "CREATE INDEX ON "+table+"(v)")
		dbtest.Exec(t, db, "CREATE UNIQUE INDEX ON "+table+"(u)")
	}
	random := rand.New(rand.NewPCG(1, 2))
	n := func(n int) int { return random.IntN(n) }
	write := func(first bool) string {
		switch {
		case first && n(2) == 0:
			return fmt.Sprintf("DELETE FROM %%[1]s WHERE v = %d", n(4))
		case first:
			return fmt.Sprintf("UPDATE %%[1]s SET v = %d, u = u + 100 WHERE v = %d", n(4), n(4))
		case n(3) > 0:
			return fmt.Sprintf("UPSERT INTO %%[1]s (id, v, u) VALUES (%d, %d, %d)", n(12), n(4), n(400))
		default:
			return fmt.Sprintf("INSERT INTO %%[1]s (id, v, u) VALUES (%d, %d, %d)", n(12), n(4), n(400))
		}
	}
	content := func(table string) (rows [][]string) {
		for _, order := range []string{"", " USE INDEX ON (v)", " USE INDEX ON (u)"} {
			set := dbtest.List[string](t, db, "SELECT CONCAT(CAST(id AS VARCHAR), ' ', CAST(v AS VARCHAR), ' ', CAST(u AS VARCHAR)) FROM "+table+order)
			slices.Sort(set)
			rows = append(rows, set)
		}
		return rows
	}
	succeeded := 0
	for round := range 500 {
		writes := []string{write(round%3 == 0), write(false), write(false)}
		text := fmt.Sprintf(strings.Join(writes, "; "), "together")
		res, err := db.Exec(text)
		if err != nil {
			continue // the group would be halved
		}
		succeeded++
		together, _ := res.RowsAffected()
		for _, w := range writes {
			alone, err := dbtest.Exec(t, db, fmt.Sprintf(w, "single")).RowsAffected()
			if err != nil {
				t.Fatal(err)
			}
			together -= alone
		}
		if together != 0 {
			t.Fatalf("%s: counted %d rows more together", text, together)
		}
		if a, b := content("together"), content("single"); !reflect.DeepEqual(a, b) {
			t.Fatalf("%s: together\n\t%q\none by one\n\t%q", text, a, b)
		}
	}
	if succeeded < 100 {
		t.Errorf("only %d of 500 texts succeeded", succeeded)
	}
}
