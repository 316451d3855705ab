package tampertest

import (
	"context"
	"database/sql"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
)

// The time of queries with a proof, of rows that are known and of rows that are not, and without. They take turns, and the
// ratios are medians of the turns' own.
func BenchmarkReads(b *testing.B) {
	for _, query := range []struct {
		name, text string
		rows       int
	}{{"byKey", "SELECT owner, balance FROM accounts WHERE id = ?", 1}, {"1000Rows", "SELECT owner, balance FROM accounts WHERE id >= ?", 1000}} {
		b.Run(query.name, func(b *testing.B) {
			known, dsn := openBench(b, false)
			took := func(ctx context.Context, db *sql.DB, from int) float64 {
				began := time.Now()
				rows, err := db.QueryContext(ctx, query.text, from)
				if err != nil {
					b.Fatal(err)
				}
				found := 0
				for rows.Next() {
					found++
				}
				if err := rows.Err(); err != nil || found != query.rows {
					b.Fatal(found, err)
				}
				return time.Since(began).Seconds()
			}
			took(b.Context(), known, 0)
			times := map[string][]float64{}
			for n := 0; b.Loop(); n++ {
				from := n % (1001 - query.rows)
				plain := took(immudb.WithoutProof(b.Context()), known, from)
				proven := took(b.Context(), known, from)
				times["plain-ms"], times["proven-ms"], times["proven/plain"] = append(times["plain-ms"], 1000*plain),
					append(times["proven-ms"], 1000*proven), append(times["proven/plain"], proven/plain)
				if query.rows > 1 {
					first := knowsTable(b, dsn)
					times["first-ms"] = append(times["first-ms"], 1000*took(b.Context(), first, from))
					_ = first.Close()
				}
			}
			for name, list := range times {
				slices.Sort(list)
				b.ReportMetric(list[len(list)/2], name)
			}
		})
	}
}

// The throughput of 32 readers of rows by their keys, with a proof and without. The modes take turns of a quarter of
// a second, and the ratio is the median of the turns' own.
func BenchmarkReaders(b *testing.B) {
	const readers, turn = 32, 250 * time.Millisecond
	db, _ := openBench(b, false)
	db.SetMaxOpenConns(readers)
	db.SetMaxIdleConns(readers)
	read := func(ctx context.Context) (n int64) {
		var wg sync.WaitGroup
		end := time.Now().Add(turn)
		for reader := range readers {
			wg.Go(func() {
				for i := reader; time.Now().Before(end); i += readers {
					var balance int
					if err := db.QueryRowContext(ctx, "SELECT balance FROM accounts WHERE id = ?", i%1000).Scan(&balance); err != nil || balance != i%1000 {
						b.Error(balance, err)
						return
					}
					atomic.AddInt64(&n, 1)
				}
			})
		}
		wg.Wait()
		return n
	}
	var ratios, proven, plain []float64
	for b.Loop() {
		p, q := read(b.Context()), read(immudb.WithoutProof(b.Context()))
		ratios = append(ratios, float64(p)/float64(q))
		proven, plain = append(proven, float64(p)/turn.Seconds()), append(plain, float64(q)/turn.Seconds())
	}
	for name, list := range map[string][]float64{"proven/plain": ratios, "proven/s": proven, "plain/s": plain} {
		slices.Sort(list)
		b.ReportMetric(list[len(list)/2], name)
	}
}
