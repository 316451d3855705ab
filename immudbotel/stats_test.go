package immudbotel_test

import (
	"database/sql"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/immudbotel"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// points collects the sums of all attributes of each metric, and the attributes of one.
func points(t *testing.T, reader *metric.ManualReader) (map[string]int64, map[string]attribute.Set) {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	values, attrs := make(map[string]int64), make(map[string]attribute.Set)
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			var found []metricdata.DataPoint[int64]
			switch d := m.Data.(type) {
			case metricdata.Gauge[int64]:
				found = d.DataPoints
			case metricdata.Sum[int64]:
				found = d.DataPoints
			}
			for _, p := range found {
				values[m.Name] += p.Value
				attrs[m.Name] = p.Attributes
			}
		}
	}
	return values, attrs
}

func TestStatsAreReportedUntilTheRegistrationEnds(t *testing.T) {
	connector, err := immudb.NewConnector(config(t))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	reader := metric.NewManualReader()
	registration, err := immudbotel.ObserveStats(connector, "ledger", immudbotel.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader))))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	values, attrs := points(t, reader)
	for name, want := range map[string]int64{
		"immudb.host.connected": 1, "immudb.sessions": 1, "immudb.sessions.opened": 1, "immudb.sessions.refused": 0,
		"immudb.retries": 0, "immudb.unknown_outcomes": 0, "immudb.contradictions": 0,
	} {
		if got, ok := values[name]; !ok || got != want {
			t.Errorf("%s is %d (reported: %v), want %d", name, got, ok, want)
		}
	}
	of := attrs["immudb.sessions"]
	if pool, _ := of.Value("db.client.connection.pool.name"); pool.AsString() != "ledger" {
		t.Errorf("attributes %v", of)
	}
	if host, _ := of.Value("server.address"); host.AsString() != "127.0.0.1" {
		t.Errorf("attributes %v", of)
	}
	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	if values, _ := points(t, reader); len(values) != 0 {
		t.Errorf("after the end: %v", values)
	}
}

func config(t *testing.T) *immudb.Config {
	t.Helper()
	cfg, err := immudb.ParseDSN(dbtest.FreshDSN(t))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
