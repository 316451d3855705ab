package immudbotel_test

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/immudbotel"
	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func open(t *testing.T, more ...immudbotel.Option) (*sql.DB, *sdktrace.TracerProvider, *tracetest.InMemoryExporter, *metric.ManualReader) {
	t.Helper()
	spans, reader := tracetest.NewInMemoryExporter(), metric.NewManualReader()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	cfg, err := immudb.ParseDSN(dbtest.FreshDSN(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Tracer, err = immudbotel.New(append(more, immudbotel.WithTracerProvider(traces),
		immudbotel.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader))))...)
	if err != nil {
		t.Fatal(err)
	}
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db, traces, spans, reader
}

func attr(s tracetest.SpanStub, key string) string {
	for _, kv := range s.Attributes {
		if kv.Key == attribute.Key(key) {
			return kv.Value.String()
		}
	}
	return ""
}

func TestEachOperationHasASpanWithItsParent(t *testing.T) {
	db, traces, spans, reader := open(t)
	ctx, parent := traces.Tracer("test").Start(context.Background(), "parent")
	if _, err := db.ExecContext(ctx, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)"); err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO t (id) VALUES (4711)"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO t (id) VALUES (4711)"); err == nil {
		t.Fatal("a key was inserted twice")
	}
	parent.End()

	seen := map[string]int{}
	for _, s := range spans.GetSpans() {
		seen[s.Name]++
		if s.Name == "parent" {
			continue
		}
		if s.SpanContext.TraceID() != parent.SpanContext().TraceID() || !s.Parent.IsValid() {
			t.Errorf("span %s is not within the caller's", s.Name)
		}
		if attr(s, "db.system.name") != "immudb" || attr(s, "db.namespace") == "" {
			t.Errorf("span %s has the attributes %v", s.Name, s.Attributes)
		}
		for _, kv := range s.Attributes {
			if strings.Contains(kv.Value.String(), "4711") {
				t.Errorf("span %s shows data in %s", s.Name, kv.Key)
			}
		}
		if s.Status.Code == codes.Error && (s.Name != "INSERT" || attr(s, "db.response.status_code") != "23505") {
			t.Errorf("span %s failed with %v", s.Name, s.Attributes)
		}
	}
	for _, name := range []string{"SESSION", "CONNECT", "CREATE", "BEGIN", "INSERT", "COMMIT"} {
		if seen[name] == 0 {
			t.Errorf("no span %s among %v", name, seen)
		}
	}
	if seen["INSERT"] != 2 {
		t.Errorf("%d spans of two INSERTs", seen["INSERT"])
	}

	var measured metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &measured); err != nil {
		t.Fatal(err)
	}
	var count uint64
	for _, scope := range measured.ScopeMetrics {
		for _, m := range scope.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "db.client.operation.duration" && m.Unit == "s" {
				for _, p := range h.DataPoints {
					count += p.Count
				}
			}
		}
	}
	if want := uint64(len(spans.GetSpans()) - 1); count != want {
		t.Errorf("%d durations, want one for each of %d spans", count, want)
	}
}

func TestQueryTextIsAnOption(t *testing.T) {
	db, _, spans, _ := open(t, immudbotel.WithQueryText())
	const query = "CREATE TABLE t (id INTEGER, PRIMARY KEY id)"
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
	for _, s := range spans.GetSpans() {
		if attr(s, "db.query.text") == query {
			return
		}
	}
	t.Errorf("no span has the text: %v", spans.GetSpans())
}
