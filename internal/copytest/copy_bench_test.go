package copytest

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
	"github.com/immudb-go/immudb/internal/wire"
)

// The benchmarks run against a server that syncs its commits, and count rows:
// ns/op is the time per row.

const benchTable = "CREATE TABLE t (id INTEGER, name VARCHAR, amount FLOAT, ok BOOLEAN, note VARCHAR, PRIMARY KEY id)"

// benchBatch is a whole transaction's worth of rows.
const benchBatch = 1024

// customers yields n rows in one slice.
func customers(from, n int) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		row := make([]any, 5)
		for id := from; id < from+n; id++ {
			row[0], row[1], row[2], row[3] = id, fmt.Sprint("customer ", id), float64(id)+.25, id%2 == 0
			row[4] = "a note of the length that notes usually have"
			if !yield(row, nil) {
				return
			}
		}
	}
}

func benchDB(b *testing.B) (*sql.DB, *testserver.Server) {
	b.Helper()
	server := testserver.Start(b)
	db := dbtest.OpenDSN(b, server.DSN())
	dbtest.Exec(b, db, benchTable)
	return db, server
}

func BenchmarkCopyFrom(b *testing.B) {
	for _, bench := range []struct {
		name string
		opts immudb.CopyOptions
	}{
		{"insert", immudb.CopyOptions{}},
		{"upsert", immudb.CopyOptions{Upsert: true}},
		{"insert, 2 writers", immudb.CopyOptions{Writers: 2}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			db, _ := benchDB(b)
			b.ReportAllocs()
			b.ResetTimer()
			if n, err := immudb.CopyFrom(b.Context(), db, "t", nil, customers(0, b.N), &bench.opts); err != nil || n != int64(b.N) {
				b.Fatal(n, err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkCopyFromBesideRawCalls compares CopyFrom with requests for the same rows that
// were encoded before and are sent one after the other by gRPC alone, on the same server.
// The two take turns, because servers slow down as they fill. It reports the rows per second
// of each one's median turn.
func BenchmarkCopyFromBesideRawCalls(b *testing.B) {
	db, server := benchDB(b)
	cc, err := grpc.NewClient("passthrough:///"+server.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(wire.CallOptions()...))
	if err != nil {
		b.Fatal(err)
	}
	defer cc.Close()
	cfg, err := immudb.ParseDSN(server.DSN())
	if err != nil {
		b.Fatal(err)
	}
	var session wire.Session
	channel := wire.NewChannel(cc)
	if f := channel.Call(b.Context(), wire.MethodOpenSession, wire.OpenSessionRequest(cfg.User, cfg.Password, cfg.Database), &session); f != nil {
		b.Fatal(f.Message)
	}
	ctx := metadata.AppendToOutgoingContext(b.Context(), "sessionid", session.ID)
	forms := []struct {
		name    string
		request func(from int) []byte // nil: CopyFrom
		took    []time.Duration
	}{
		{name: "copy"},
		{name: "raw-literals", request: literalRequest},
		{name: "raw-params", request: paramRequest},
	}
	const batches = 10
	id, turn := 0, 0
	for b.Loop() {
		turn++
		for i := range forms {
			form := &forms[(turn+i)%len(forms)]
			requests := make([][]byte, batches)
			for k := range requests {
				if form.request != nil {
					requests[k] = form.request(id + k*benchBatch)
				}
			}
			start := time.Now()
			if form.request == nil {
				if _, err := immudb.CopyFrom(b.Context(), db, "t", nil, customers(id, batches*benchBatch), nil); err != nil {
					b.Fatal(err)
				}
			} else {
				sendAll(b, ctx, channel, requests)
			}
			form.took = append(form.took, time.Since(start))
			id += batches * benchBatch
		}
	}
	for _, form := range forms {
		slices.Sort(form.took)
		b.ReportMetric(batches*benchBatch/form.took[len(form.took)/2].Seconds(), form.name+"-rows/s")
	}
}

func sendAll(b *testing.B, ctx context.Context, channel *wire.Channel, requests [][]byte) {
	b.Helper()
	for _, req := range requests {
		var ans wire.ExecResult
		if f := channel.Call(ctx, wire.MethodSQLExec, req, &ans); f != nil {
			b.Fatal(f.Message)
		}
	}
}

func literalRequest(from int) []byte {
	text := []byte("INSERT INTO t (id, name, amount, ok, note) VALUES ")
	for row := range customers(from, benchBatch) {
		text = fmt.Appendf(text, "(%d,'%s',%.2f,%t,'%s'),", row...)
	}
	return wire.AppendSQL(nil, string(text[:len(text)-1]))
}

func paramRequest(from int) []byte {
	text := []byte("INSERT INTO t (id, name, amount, ok, note) VALUES ")
	var params []byte
	n := 0
	for row := range customers(from, benchBatch) {
		text = append(text, "(?,?,?,?,?),"...)
		row[0] = int64(row[0].(int))
		for _, v := range row {
			n++
			params, _ = wire.AppendNumberedParam(params, n, v)
		}
	}
	return append(wire.AppendSQL(nil, string(text[:len(text)-1])), params...)
}
