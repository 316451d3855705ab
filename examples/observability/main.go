// Command observability shows what operators see of a program on immudb: traces of otelsql and of immudbotel, sent by OTLP,
// and metrics for Prometheus.
//
//	go run ./examples/observability
//
// Everything is in this process: an immudb, a collector that prints each trace as a tree, and a small service that moves money. With
// OTEL_EXPORTER_OTLP_ENDPOINT set the traces go to that collector instead; with IMMUDB_DSN set that server is used, and a table
// observed_accounts is created there and dropped at the end.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/XSAM/otelsql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/immudbotel"
	"github.com/immudb-go/immudb/immudbtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("IMMUDB_DSN"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "observability:", err)
		os.Exit(1)
	}
}

// run runs the example. Without a DSN it starts a server, and without an endpoint a collector, whose traces it prints.
func run(ctx context.Context, dsn, endpoint string, out io.Writer) (err error) {
	later := func(end func() error) { err = errors.Join(err, end()) }
	if dsn == "" {
		srv, err := immudbtest.New()
		if err != nil {
			return err
		}
		defer later(srv.Close)
		dsn = srv.DSN()
	}
	var received *collector
	if endpoint == "" {
		if received, err = startCollector(); err != nil {
			return err
		}
		defer received.stop()
		endpoint = "http://" + received.addr
	}
	t, err := newTelemetry(ctx, endpoint)
	if err != nil {
		return err
	}
	defer later(func() error { return t.shutdown(context.WithoutCancel(ctx)) })
	connector, db, err := t.open(dsn)
	if err != nil {
		return err
	}
	defer later(connector.Close) // otelsql does not pass Close on
	defer later(db.Close)

	s := service{db: db, tracer: t.traces.Tracer("example")}
	if err := s.work(ctx); err != nil {
		return err
	}
	if err := t.traces.ForceFlush(ctx); err != nil {
		return err
	}
	if received != nil {
		for _, root := range received.trees() {
			root.print(out)
		}
	}
	fmt.Fprint(out, "\nPrometheus would scrape, among others:\n\n")
	printMetrics(out, scrape(t.registry))
	return nil
}

// telemetry is where spans and measurements go.
type telemetry struct {
	traces   *trace.TracerProvider
	metrics  *metric.MeterProvider
	registry *prometheus.Registry
	observed interface{ Unregister() error }
}

func newTelemetry(ctx context.Context, endpoint string) (*telemetry, error) {
	spans, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(endpoint))
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	reader, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	who := resource.NewSchemaless(attribute.String("service.name", "bank"))
	return &telemetry{
		traces:   trace.NewTracerProvider(trace.WithBatcher(spans), trace.WithResource(who)),
		metrics:  metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(who)),
		registry: registry,
	}, nil
}

func (t *telemetry) shutdown(ctx context.Context) error {
	var err error
	if t.observed != nil {
		err = t.observed.Unregister()
	}
	return errors.Join(err, t.traces.Shutdown(ctx), t.metrics.Shutdown(ctx))
}

// open opens a database. immudbotel reports what the driver does, and otelsql what the program calls; with both, the spans of the
// driver are below those of the calls.
func (t *telemetry) open(dsn string) (*immudb.Connector, *sql.DB, error) {
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		return nil, nil, err
	}
	if cfg.Tracer, err = immudbotel.New(immudbotel.WithTracerProvider(t.traces), immudbotel.WithMeterProvider(t.metrics)); err != nil {
		return nil, nil, err
	}
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		return nil, nil, err
	}
	if t.observed, err = immudbotel.ObserveStats(connector, "bank", immudbotel.WithMeterProvider(t.metrics)); err != nil {
		return nil, nil, errors.Join(err, connector.Close())
	}
	db := otelsql.OpenDB(connector,
		otelsql.WithTracerProvider(t.traces), otelsql.WithMeterProvider(t.metrics), otelsql.WithAttributes(attribute.String("db.system.name", "immudb")),
		// database/sql asks for these two often, and they make no call to the server.
		otelsql.WithSpanOptions(otelsql.SpanOptions{OmitConnResetSession: true, OmitRows: true}))
	return connector, db, nil
}

// scrape is what Prometheus would read at /metrics.
func scrape(registry *prometheus.Registry) string {
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return answer.Body.String()
}

// printMetrics prints a selection of the metrics, without the labels that all of them have.
func printMetrics(out io.Writer, text string) {
	for line := range strings.Lines(text) {
		for _, name := range []string{"immudb_sessions{", "immudb_sessions_opened_total", "immudb_conflicts_total", "immudb_retries_total", "db_client_operation_duration_seconds_count"} {
			if strings.HasPrefix(line, name) {
				fmt.Fprint(out, "  ", withoutLabels(line, "otel_", "db_namespace", "db_system_name", "server_"))
			}
		}
	}
}

// withoutLabels removes labels whose names begin as given.
func withoutLabels(line string, names ...string) string {
	name, rest, _ := strings.Cut(line, "{")
	labels, value, ok := strings.Cut(rest, "}")
	if !ok {
		return line
	}
	var kept []string
	for label := range strings.SplitSeq(labels, ",") {
		left := true
		for _, n := range names {
			left = left && !strings.HasPrefix(label, n)
		}
		if left {
			kept = append(kept, label)
		}
	}
	return name + "{" + strings.Join(kept, ",") + "}" + value
}
