package feedtest

import (
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// BenchmarkCatchUp reads transactions of one small row each from the first on; BenchmarkCatchUp/audit reads the same ones
// with an audit.
func BenchmarkCatchUp(b *testing.B) {
	const n = 20_000
	s := testserver.Start(b, "-synced=false")
	db := dbtest.OpenDSN(b, dbtest.WithOptions(s.DSN(), trustFirstUse))
	fill(b, db, n)
	perSecond := func(b *testing.B, read func(b *testing.B)) {
		begin := time.Now()
		for b.Loop() {
			read(b)
		}
		b.ReportMetric(float64(b.N)*n/time.Since(begin).Seconds(), "tx/s")
	}
	b.Run("changes", func(b *testing.B) {
		b.ReportAllocs()
		perSecond(b, func(b *testing.B) {
			if got := len(all(b, db, immudb.ChangesOptions{})); got != n+1 {
				b.Fatal(got)
			}
		})
	})
	b.Run("audit", func(b *testing.B) {
		perSecond(b, func(b *testing.B) {
			if _, err := immudb.Audit(b.Context(), db, immudb.AuditOptions{Tables: []string{"*"}}); err != nil {
				b.Fatal(err)
			}
		})
	})
}
