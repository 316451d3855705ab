// Package immudbotel reports what the immudb driver does to OpenTelemetry: a span for
// each operation, and the durations as a histogram, named by OpenTelemetry's semantic
// conventions for databases.
//
//	cfg, err := immudb.ParseDSN(dsn)
//	cfg.Tracer, err = immudbotel.New()
//	connector, err := immudb.NewConnector(cfg)
//	db := sql.OpenDB(connector)
//
// It sees what a package that wraps drivers cannot: logins, retries, batches of
// CopyFrom and group commits.
package immudbotel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/immudb-go/immudb"
)

const scope = "github.com/immudb-go/immudb/immudbotel"

type options struct {
	traces    trace.TracerProvider
	metrics   metric.MeterProvider
	queryText bool
}

// Option changes what [New] makes.
type Option func(*options)

// WithTracerProvider has the spans made by p. Default: otel.GetTracerProvider().
func WithTracerProvider(p trace.TracerProvider) Option { return func(o *options) { o.traces = p } }

// WithMeterProvider has the durations recorded by p. Default: otel.GetMeterProvider().
func WithMeterProvider(p metric.MeterProvider) Option { return func(o *options) { o.metrics = p } }

// WithQueryText puts the text of queries into spans, as db.query.text. It holds no
// arguments, but literals may be secret. Default: no text.
func WithQueryText() Option { return func(o *options) { o.queryText = true } }

// New returns a Tracer for [immudb.Config]. It fails if the meter provider refuses
// the histogram.
func New(opts ...Option) (immudb.Tracer, error) {
	o := options{traces: otel.GetTracerProvider(), metrics: otel.GetMeterProvider()}
	for _, f := range opts {
		f(&o)
	}
	durations, err := o.metrics.Meter(scope).Float64Histogram("db.client.operation.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of database client operations."),
		metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10))
	if err != nil {
		return nil, fmt.Errorf("immudbotel: %w", err)
	}
	return &tracer{spans: o.traces.Tracer(scope), durations: durations, queryText: o.queryText}, nil
}

type tracer struct {
	spans     trace.Tracer
	durations metric.Float64Histogram
	queryText bool
}

// operation is what TraceEnd needs of TraceStart.
type operation struct {
	began time.Time
	span  trace.Span
	attrs []attribute.KeyValue // of the span and of the histogram
}

type operationKey struct{}

// TraceStart starts a span.
func (t *tracer) TraceStart(ctx context.Context, op *immudb.TraceOp) context.Context {
	name := operationName(op)
	attrs := []attribute.KeyValue{
		attribute.String("db.system.name", "immudb"),
		attribute.String("db.namespace", op.Database),
		attribute.String("db.operation.name", name),
	}
	if host, port, err := net.SplitHostPort(op.Host); err == nil {
		attrs = append(attrs, attribute.String("server.address", host))
		if n, err := strconv.Atoi(port); err == nil {
			attrs = append(attrs, attribute.Int("server.port", n))
		}
	}
	title := name
	if op.Table != "" {
		attrs = append(attrs, attribute.String("db.collection.name", op.Table))
		title += " " + op.Table
	}
	only := []attribute.KeyValue{attribute.String("immudb.operation", op.Kind.String())}
	if t.queryText && op.Query != "" {
		only = append(only, attribute.String("db.query.text", op.Query))
	}
	switch op.Kind {
	case immudb.TraceGroup:
		only = append(only, attribute.Int("db.operation.batch.size", op.Count))
	case immudb.TraceRetry:
		only = append(only, attribute.Int("immudb.retry", op.Count), attribute.String("immudb.retry.cause", errorType(op.Cause)))
	}
	ctx, span := t.spans.Start(ctx, title, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...), trace.WithAttributes(only...))
	return context.WithValue(ctx, operationKey{}, &operation{time.Now(), span, attrs})
}

// TraceEnd ends the span and records the duration. The texts of errors are not
// recorded, because the server quotes data in them.
func (t *tracer) TraceEnd(ctx context.Context, op *immudb.TraceOp) {
	o, ok := ctx.Value(operationKey{}).(*operation)
	if !ok {
		return
	}
	if op.Err != nil {
		failure := []attribute.KeyValue{attribute.String("error.type", errorType(op.Err))}
		if e, ok := errors.AsType[*immudb.Error](op.Err); ok && e.SQLState != "" {
			failure = append(failure, attribute.String("db.response.status_code", e.SQLState))
		}
		o.span.SetAttributes(failure...)
		o.span.SetStatus(codes.Error, errorType(op.Err))
		o.attrs = append(o.attrs, failure...)
	}
	o.span.End()
	t.durations.Record(ctx, time.Since(o.began).Seconds(), metric.WithAttributes(o.attrs...))
}

// operationName is the first word of the query, or the name of what has no text.
func operationName(op *immudb.TraceOp) string {
	switch op.Kind {
	case immudb.TraceQuery, immudb.TraceExec:
		word, _, _ := strings.Cut(strings.TrimSpace(op.Query), " ")
		for _, r := range word {
			if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
				return strings.ToUpper(op.Kind.String())
			}
		}
		if word != "" {
			return strings.ToUpper(word)
		}
	}
	return strings.ToUpper(op.Kind.String())
}

// errorType is a SQLSTATE, or the kind of an error that has none.
func errorType(err error) string {
	switch e, ok := errors.AsType[*immudb.Error](err); {
	case ok && e.SQLState != "":
		return e.SQLState
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "_OTHER"
}
