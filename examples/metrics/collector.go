// Package metrics shows how to give Prometheus what [immudb.Connector.Stats] knows. Copy
// the collector into your program:
//
//	prometheus.MustRegister(metrics.NewCollector(connector, "orders"))
package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/immudb-go/immudb"
)

// Collector is a prometheus.Collector of one connector. It reads the statistics once for
// each scrape and makes no call to the server.
type Collector struct {
	connector *immudb.Connector
	metrics   []metric
	groups    *prometheus.Desc
}

// metric is one value: of each host, or of the connector.
type metric struct {
	desc      *prometheus.Desc
	kind      prometheus.ValueType
	host      func(h immudb.HostStats) float64
	connector func(s immudb.Stats) float64
}

// NewCollector returns a collector. The name tells several connectors of a program apart;
// it becomes the label "pool" of all metrics.
func NewCollector(connector *immudb.Connector, name string) *Collector {
	c := &Collector{connector: connector}
	pool := prometheus.Labels{"pool": name}
	host := func(kind prometheus.ValueType, name, help string, value func(h immudb.HostStats) float64) {
		desc := prometheus.NewDesc("immudb_"+name, help, []string{"host"}, pool)
		c.metrics = append(c.metrics, metric{desc: desc, kind: kind, host: value})
	}
	all := func(name, help string, labels prometheus.Labels, value func(s immudb.Stats) uint64) {
		with := prometheus.Labels{"pool": pool["pool"]}
		for key, label := range labels {
			with[key] = label
		}
		desc := prometheus.NewDesc("immudb_"+name, help, nil, with)
		c.metrics = append(c.metrics, metric{desc: desc, kind: prometheus.CounterValue,
			connector: func(s immudb.Stats) float64 { return float64(value(s)) }})
	}
	is := func(yes bool) float64 {
		if yes {
			return 1
		}
		return 0
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	host(gauge, "host_connected", "1 if the network connection to the host is there.",
		func(h immudb.HostStats) float64 { return is(h.State == "connected") })
	host(gauge, "host_replica", "1 if the host said last that it is a replica.",
		func(h immudb.HostStats) float64 { return is(h.Role == "replica") })
	host(gauge, "sessions", "Sessions on the host.", func(h immudb.HostStats) float64 { return float64(h.Sessions) })
	host(gauge, "sessions_in_use", "Sessions that a connection uses.", func(h immudb.HostStats) float64 { return float64(h.InUse) })
	host(gauge, "sessions_shared", "Sessions that several connections use.", func(h immudb.HostStats) float64 { return float64(h.Shared) })
	host(gauge, "transactions", "Transactions that are open.", func(h immudb.HostStats) float64 { return float64(h.Transactions) })
	host(counter, "sessions_opened_total", "Sessions opened.", func(h immudb.HostStats) float64 { return float64(h.Opens) })
	host(counter, "sessions_refused_total", "Sessions that the server refused to open.", func(h immudb.HostStats) float64 { return float64(h.Refused) })
	host(counter, "sessions_failed_total", "Sessions that could not be opened because no answer came.", func(h immudb.HostStats) float64 { return float64(h.Failed) })
	host(counter, "sessions_lost_total", "Sessions that the server did not know any more.", func(h immudb.HostStats) float64 { return float64(h.Lost) })
	host(counter, "sessions_retired_total", "Sessions that the driver closed.", func(h immudb.HostStats) float64 { return float64(h.Retired) })
	host(counter, "reconnects_total", "Network connections made after the first.", func(h immudb.HostStats) float64 { return float64(h.Reconnects) })

	const retries, retriesHelp = "retries_total", "Calls that were made again."
	all(retries, retriesHelp, prometheus.Labels{"cause": "conflict"}, func(s immudb.Stats) uint64 { return s.Retries.Conflict })
	all(retries, retriesHelp, prometheus.Labels{"cause": "overloaded"}, func(s immudb.Stats) uint64 { return s.Retries.Overloaded })
	all(retries, retriesHelp, prometheus.Labels{"cause": "session_lost"}, func(s immudb.Stats) uint64 { return s.Retries.SessionLost })
	all(retries, retriesHelp, prometheus.Labels{"cause": "replica"}, func(s immudb.Stats) uint64 { return s.Retries.Replica })
	all("conflicts_total", "Calls that the server refused with a conflict.", nil, func(s immudb.Stats) uint64 { return s.Conflicts })
	all("unknown_outcomes_total", "Writes of which nobody knows whether they were committed.", nil, func(s immudb.Stats) uint64 { return s.UnknownOutcomes })
	all("proofs_total", "Proofs that succeeded.", nil, func(s immudb.Stats) uint64 { return s.Proofs })
	all("contradictions_total", "Errors by which the server contradicted what is trusted.", nil, func(s immudb.Stats) uint64 { return s.Contradictions })
	all("reads_total", "Queries under verify=reads.", prometheus.Labels{"proven": "yes"}, func(s immudb.Stats) uint64 { return s.ReadsProven })
	all("reads_total", "Queries under verify=reads.", prometheus.Labels{"proven": "no"}, func(s immudb.Stats) uint64 { return s.ReadsUnproven })
	const routed, routedHelp = "routed_reads_total", "Queries and read-only transactions under read_routing=replica, by who has answered."
	all(routed, routedHelp, prometheus.Labels{"by": "replica"}, func(s immudb.Stats) uint64 { return s.Replicas.Routed })
	all(routed, routedHelp, prometheus.Labels{"by": "primary"}, func(s immudb.Stats) uint64 { return s.Replicas.FellBack })
	c.metrics = append(c.metrics, metric{desc: prometheus.NewDesc("immudb_replica_lag_transactions", "Transactions that the replica lacked when it was asked last.", nil, pool),
		kind: gauge, connector: func(s immudb.Stats) float64 { return float64(s.Replicas.Lag) }})
	c.groups = prometheus.NewDesc("immudb_group_statements", "Statements in each group of group_commit.", nil, pool)
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		to <- m.desc
	}
	to <- c.groups
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	s := c.connector.Stats()
	for _, m := range c.metrics {
		if m.connector != nil {
			to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.connector(s))
			continue
		}
		seen := map[string]int{} // a DSN may name a host twice
		for _, h := range s.Hosts {
			label := h.Addr
			if seen[h.Addr]++; seen[h.Addr] > 1 {
				label += "#" + strconv.Itoa(seen[h.Addr])
			}
			to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.host(h), label)
		}
	}
	buckets, upTo := map[float64]uint64{}, uint64(0)
	for i, n := range s.Groups.Sizes {
		upTo += n
		buckets[float64(int(1)<<i)] = upTo
	}
	to <- prometheus.MustNewConstHistogram(c.groups, s.Groups.Groups, float64(s.Groups.Statements), buckets)
}
