package metrics_test

import (
	"database/sql"
	"io"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/examples/metrics"
	"github.com/immudb-go/immudb/internal/testserver"
)

// A scrape tells the numbers of Stats, after a little work on a real server.
func TestScrapeTellsTheStatistics(t *testing.T) {
	cfg, err := immudb.ParseDSN(testserver.Shared(t).NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.GroupCommit = 8
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	for _, statement := range []string{
		"CREATE TABLE notes (id INTEGER, text VARCHAR, PRIMARY KEY id)",
		"INSERT INTO notes (id, text) VALUES (1, 'a')", "INSERT INTO notes (id, text) VALUES (2, 'b')",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metrics.NewCollector(connector, "notes"))
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.Code != 200 {
		t.Fatalf("%d %v\n%s", answer.Code, err, body)
	}
	host := `{host="` + cfg.Hosts[0] + `",pool="notes"}`
	for _, want := range []string{
		"immudb_host_connected" + host + " 1",
		"immudb_sessions" + host + " 1",
		"immudb_sessions_opened_total" + host + " 1",
		`immudb_retries_total{cause="conflict",pool="notes"} 0`,
		`immudb_group_statements_count{pool="notes"} 2`,
		`immudb_group_statements_bucket{pool="notes",le="1"} 2`,
	} {
		if !strings.Contains(string(body), want+"\n") {
			t.Errorf("the scrape lacks %s:\n%s", want, body)
		}
	}
}

// Every number of Stats has a metric: a field that is added later must not be forgotten.
func TestEveryNumberIsCollected(t *testing.T) {
	const collected = 12 /* of a host */ + 13 /* of the connector */ + 1                                                       /* groups */
	hostFields := reflect.TypeFor[immudb.HostStats]().NumField() - 4 /* texts */ - 1 /* Conns, which sql.DB.Stats tells */ + 2 /* connected, replica */
	others := reflect.TypeFor[immudb.Stats]().NumField() - 5 /* Hosts, Total, Retries, Groups, Replicas */ + reflect.TypeFor[immudb.RetryStats]().NumField() +
		reflect.TypeFor[immudb.ReplicaStats]().NumField() - 1 /* Host, a text */
	if hostFields+others+1 != collected {
		t.Errorf("Stats has %d numbers of a host and %d others, %d are collected", hostFields, others, collected)
	}
	connector, err := immudb.NewConnector(&immudb.Config{UserDatabaseSession: immudb.UserDatabaseSession{UserSessionCredentials: immudb.UserSessionCredentials{User: "u"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer connector.Close()
	described := make(chan *prometheus.Desc, 100)
	metrics.NewCollector(connector, "p").Describe(described)
	if len(described) != collected {
		t.Errorf("%d metrics are described, want %d", len(described), collected)
	}
}
