package immudbotel

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/immudb-go/immudb"
)

// ObserveStats reports what [immudb.Connector.Stats] knows each time that metrics are
// collected, without a call to the server: sessions and network connections by host, and
// for the connector retries by cause, conflicts, writes of unknown outcome, proofs, and
// contradictions of what is trusted. The name tells several connectors of a program
// apart; it becomes the attribute db.client.connection.pool.name.
//
// The registration keeps the connector reachable until it is unregistered. Of the
// options only [WithMeterProvider] matters. It fails if the provider refuses a metric.
func ObserveStats(connector *immudb.Connector, name string, opts ...Option) (metric.Registration, error) {
	o := options{metrics: otel.GetMeterProvider()}
	for _, f := range opts {
		f(&o)
	}
	b := builder{meter: o.metrics.Meter(scope), pool: attribute.String("db.client.connection.pool.name", name)}

	b.gauge("immudb.host.connected", "1 if the network connection to the host is there.", func(h *immudb.HostStats) int64 {
		if h.State == "connected" {
			return 1
		}
		return 0
	})
	b.gauge("immudb.sessions", "Sessions on the host.", func(h *immudb.HostStats) int64 { return int64(h.Sessions) })
	b.gauge("immudb.sessions.used", "Sessions that a connection uses.", func(h *immudb.HostStats) int64 { return int64(h.InUse) })
	b.gauge("immudb.transactions", "Transactions that are open.", func(h *immudb.HostStats) int64 { return int64(h.Transactions) })
	b.ofHost("immudb.sessions.opened", "Sessions opened.", func(h *immudb.HostStats) uint64 { return h.Opens })
	b.ofHost("immudb.sessions.refused", "Sessions that the server refused to open.", func(h *immudb.HostStats) uint64 { return h.Refused })
	b.ofHost("immudb.sessions.failed", "Sessions that could not be opened because no answer came.", func(h *immudb.HostStats) uint64 { return h.Failed })
	b.ofHost("immudb.sessions.lost", "Sessions that the server did not know any more.", func(h *immudb.HostStats) uint64 { return h.Lost })
	b.ofHost("immudb.reconnects", "Network connections made after the first.", func(h *immudb.HostStats) uint64 { return h.Reconnects })

	b.ofConnector("immudb.retries", "Calls that were made again.", "immudb.retry.cause", func(s *immudb.Stats) map[string]uint64 {
		return map[string]uint64{"conflict": s.Retries.Conflict, "overloaded": s.Retries.Overloaded,
			"session_lost": s.Retries.SessionLost, "replica": s.Retries.Replica}
	})
	b.ofConnector("immudb.routed_reads", "Reads with read_routing=replica, by who has answered them.", "immudb.read.server", func(s *immudb.Stats) map[string]uint64 {
		return map[string]uint64{"replica": s.Replicas.Routed, "primary": s.Replicas.FellBack}
	})
	one := func(name, help string, value func(s *immudb.Stats) uint64) {
		b.ofConnector(name, help, "", func(s *immudb.Stats) map[string]uint64 { return map[string]uint64{"": value(s)} })
	}
	one("immudb.conflicts", "Calls that the server refused with a conflict.", func(s *immudb.Stats) uint64 { return s.Conflicts })
	one("immudb.unknown_outcomes", "Writes of which nobody knows whether they were committed.", func(s *immudb.Stats) uint64 { return s.UnknownOutcomes })
	one("immudb.proofs", "Proofs that succeeded.", func(s *immudb.Stats) uint64 { return s.Proofs })
	one("immudb.contradictions", "Errors by which the server contradicted what is trusted.", func(s *immudb.Stats) uint64 { return s.Contradictions })
	if b.err != nil {
		return nil, fmt.Errorf("immudbotel: %w", b.err)
	}
	registration, err := b.meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		s := connector.Stats()
		for _, observe := range b.observe {
			observe(&s, to)
		}
		return nil
	}, b.instruments...)
	if err != nil {
		return nil, fmt.Errorf("immudbotel: %w", err)
	}
	return registration, nil
}

// builder makes instruments, and what observes each.
type builder struct {
	meter       metric.Meter
	pool        attribute.KeyValue
	instruments []metric.Observable
	observe     []func(*immudb.Stats, metric.Observer)
	err         error // the first one
}

// add keeps an instrument, unless it or an earlier one could not be made.
func (b *builder) add(instrument metric.Int64Observable, err error, observe func(*immudb.Stats, metric.Observer)) {
	if b.err == nil {
		b.err = err
	}
	b.instruments = append(b.instruments, instrument)
	b.observe = append(b.observe, observe)
}

func (b *builder) gauge(name, help string, value func(*immudb.HostStats) int64) {
	g, err := b.meter.Int64ObservableGauge(name, metric.WithDescription(help))
	b.add(g, err, b.hosts(g, value))
}

func (b *builder) ofHost(name, help string, value func(*immudb.HostStats) uint64) {
	c, err := b.meter.Int64ObservableCounter(name, metric.WithDescription(help))
	b.add(c, err, b.hosts(c, func(h *immudb.HostStats) int64 { return int64(value(h)) }))
}

// hosts observes a value of each host. A host that the DSN names twice counts once
// for each, and so has their sum.
func (b *builder) hosts(instrument metric.Int64Observable, value func(*immudb.HostStats) int64) func(*immudb.Stats, metric.Observer) {
	return func(s *immudb.Stats, to metric.Observer) {
		sums := make(map[string]int64)
		for i := range s.Hosts {
			sums[s.Hosts[i].Addr] += value(&s.Hosts[i])
		}
		for addr, sum := range sums {
			attrs := []attribute.KeyValue{b.pool}
			if host, port, err := net.SplitHostPort(addr); err == nil {
				attrs = append(attrs, attribute.String("server.address", host))
				if n, err := strconv.Atoi(port); err == nil {
					attrs = append(attrs, attribute.Int("server.port", n))
				}
			}
			to.ObserveInt64(instrument, sum, metric.WithAttributes(attrs...))
		}
	}
}

// ofConnector observes values of the connector, told apart by the attribute key.
func (b *builder) ofConnector(name, help, key string, values func(*immudb.Stats) map[string]uint64) {
	c, err := b.meter.Int64ObservableCounter(name, metric.WithDescription(help))
	b.add(c, err, func(s *immudb.Stats, to metric.Observer) {
		for label, n := range values(s) {
			attrs := []attribute.KeyValue{b.pool}
			if key != "" {
				attrs = append(attrs, attribute.String(key, label))
			}
			to.ObserveInt64(c, int64(n), metric.WithAttributes(attrs...))
		}
	})
}
