package indeximmudb

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// fill commits n transactions of one row each.
func fill(b *testing.B, db *sql.DB, n int) {
	b.Helper()
	accounts := "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)"
	dbtest.Exec(b, db, accounts)
	const writers = 8
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for id := w; id < n; id += writers {
				if _, err := db.ExecContext(b.Context(), "UPSERT INTO accounts (id, owner, balance) VALUES (?, 'somebody', ?)", id, id); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		b.Fatal(err)
	}
}

// build makes an index and returns it, how long that took, and the size of its file and of the pages in it that
// have rows.
func build(b *testing.B, db *sql.DB) (x *Index, took time.Duration, file, pages int64) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "index")
	x = openAt(b, path, db, Options{})
	begin := time.Now()
	update(b, x)
	took = time.Since(begin)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	err = x.view(func(tx *bolt.Tx, _ *position) error {
		return tx.Bucket(rowsBucket).ForEachBucket(func(k []byte) error {
			stats := tx.Bucket(rowsBucket).Bucket(k).Stats()
			pages += int64(stats.LeafAlloc + stats.BranchAlloc)
			return nil
		})
	})
	if err != nil {
		b.Fatal(err)
	}
	return x, took, info.Size(), pages
}

// BenchmarkTransactions has a table of 20,000 rows, each of which one transaction wrote.
func BenchmarkTransactions(b *testing.B) {
	const n = 20_000
	s := testserver.Start(b, "-synced=false")
	db := dbtest.OpenDSN(b, dbtest.WithOptions(s.DSN(), trustFirstUse))
	fill(b, db, n)
	b.Run("build", func(b *testing.B) {
		var total time.Duration
		for b.Loop() {
			_, took, _, _ := build(b, db)
			total += took
		}
		b.ReportMetric(float64(b.N)*n/total.Seconds(), "tx/s")
	})
	x, _, _, _ := build(b, db)
	b.Run("row", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := x.Row(b.Context(), "accounts", i*7919%n); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("row without index", func(b *testing.B) {
		v := immudb.NewVerifier(db)
		for i := 0; b.Loop(); i++ {
			if _, err := v.Row(b.Context(), "accounts", i*7919%n); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("absent row", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := x.Row(b.Context(), "accounts", n+i); !errors.Is(err, sql.ErrNoRows) {
				b.Fatal(err)
			}
		}
	})
	for _, rows := range []int{8, 30, 1000, n} {
		b.Run(fmt.Sprintf("%d rows", rows), func(b *testing.B) {
			for b.Loop() {
				if got, err := x.Rows(b.Context(), "accounts", "WHERE id < ?", rows); err != nil || len(got) != rows {
					b.Fatal(len(got), err)
				}
			}
		})
	}
}

// BenchmarkKeys has tables of 200,000 rows, which transactions of 1,000 wrote, with keys that ascend and that do not.
func BenchmarkKeys(b *testing.B) {
	const n = 200_000
	order := rand.New(rand.NewPCG(1, 2)).Perm(n)
	for _, c := range []struct {
		name, key string
		value     func(i int) any
	}{
		{"INTEGER ascending", "INTEGER", func(i int) any { return i + 1 }},
		{"INTEGER at random", "INTEGER", func(i int) any { return order[i] + 1 }},
		{"VARCHAR[40] at random", "VARCHAR[40]", func(i int) any { return fmt.Sprintf("customer-%d", order[i]) }},
		{"UUID at random", "UUID", func(i int) any {
			return fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(order[i])*2654435761, uint64(order[i])*40503)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := testserver.Start(b, "-synced=false")
			db := dbtest.OpenDSN(b, dbtest.WithOptions(s.DSN(), trustFirstUse))
			dbtest.Exec(b, db, "CREATE TABLE t (id "+c.key+", v INTEGER, PRIMARY KEY id)")
			rows := func(yield func([]any, error) bool) {
				for i := range n {
					if !yield([]any{c.value(i), i}, nil) {
						return
					}
				}
			}
			if _, err := immudb.CopyFrom(b.Context(), db, "t", []string{"id", "v"}, rows, nil); err != nil {
				b.Fatal(err)
			}
			var total time.Duration
			var file, pages int64
			var x *Index
			for b.Loop() {
				var took time.Duration
				x, took, file, pages = build(b, db)
				total += took
			}
			b.StopTimer()
			const reads = 50
			begin := time.Now()
			for i := range reads {
				if _, err := x.Row(b.Context(), "t", c.value(i*n/reads)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(time.Since(begin).Seconds()*1000/reads, "ms/row")
			begin = time.Now()
			for i := range reads {
				if _, err := immudb.VerifiedRow(b.Context(), db, "t", c.value(i*n/reads)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(time.Since(begin).Seconds()*1000/reads, "ms/row-without-index")
			b.ReportMetric(float64(pages)/n, "B/key")
			b.ReportMetric(float64(file)/n, "B/key-of-file")
			b.ReportMetric(float64(b.N)*n/total.Seconds(), "keys/s")
		})
	}
}
