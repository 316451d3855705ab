package faulttest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/faulttest/link"
	"github.com/immudb-go/immudb/internal/testserver"
)

// hosts are a primary with replicas. Clients reach each server by a link of its own, and so does each replica its primary.
type hosts struct {
	set     Settings
	servers []*testserver.Server // the first one is the primary at the beginning
	links   []*link.Link         // of clients to the servers
	feeds   []*link.Link         // of replicas to the primary
	acts    []*act

	connectors []*immudb.Connector
	// after is what an operator does when a primary can be reached again, beside the work.
	after func() error
	found violations // what the operator sees that must not be
	oldTx uint64     // the newest transaction of the old primary when it came back
}

// HostsResult is the result of one fault with a number of hosts.
type HostsResult struct {
	Fault  *HostsFault
	Hosts  int
	Cells  []Cell
	Routed uint64     // reads that replicas have answered
	Found  violations // what the servers have that they must not
	// Left are the stacks of the goroutines of the driver that are left after Close.
	Left []string
}

// RunHosts plays one fault with a number of hosts.
func RunHosts(f *HostsFault, n int, set Settings) (r HostsResult, err error) {
	r = HostsResult{Fault: f, Hosts: n}
	before := driverGoroutines()
	h := &hosts{set: set}
	defer func() { err = errors.Join(err, h.end()) }()
	if err := h.start(n, f); err != nil {
		return r, err
	}
	if r.Cells, err = h.play(f); err != nil {
		return r, fmt.Errorf("%s with %d hosts: %w", f.Name, n, err)
	}
	for _, c := range h.connectors {
		r.Routed += c.Stats().Replicas.Routed
	}
	r.Found = h.found
	if err := h.closeDBs(); err != nil {
		return r, err
	}
	await(leftPatience, func() bool {
		r.Left = leftGoroutines(before)
		return len(r.Left) == 0
	})
	return r, nil
}

// Failures returns the failures of a result.
func (r *HostsResult) Failures(set Settings) (failures []string) {
	name := fmt.Sprintf("%s with %d hosts", r.Fault.Name, r.Hosts)
	for i := range r.Cells {
		c := &r.Cells[i]
		w := HostsWorkloads[slices.IndexFunc(HostsWorkloads, func(w *Workload) bool { return w.Name == c.Workload })]
		for _, what := range c.Failures(&Fault{Quiet: r.Fault.Quiet}, w, set.Bar) {
			failures = append(failures, fmt.Sprintf("%s × %s: %s", name, c.Workload, what))
		}
	}
	for _, what := range r.Found {
		failures = append(failures, name+": "+what)
	}
	if len(r.Left) > 0 {
		failures = append(failures, fmt.Sprintf("%s: %d goroutines were left after Close:\n%s", name, len(r.Left), strings.Join(r.Left, "\n\n")))
	}
	return failures
}

func (h *hosts) start(n int, f *HostsFault) error {
	primary, err := h.addServer()
	if err != nil {
		return err
	}
	// The tables are made before the replicas start: a replica does not see later changes of the schema.
	err = direct(primary, func(ctx context.Context, db *sql.DB) error {
		for i, w := range HostsWorkloads {
			if !f.plays(w, n) || w.Long && !h.set.Long {
				continue
			}
			a := &act{player: &player{workload: w}, workers: w.Workers, table: fmt.Sprint("t", i),
				tally: newTally(w, h.set.Bar), stop: make(chan struct{})}
			a.ctx, a.cancel = context.WithCancel(context.Background())
			a.work = w.make(a.table, a.workers)
			if err := a.work.prepare(ctx, db); err != nil {
				return fmt.Errorf("%s: %w", w.Name, err)
			}
			h.acts = append(h.acts, a)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for range n - 1 {
		feed, err := link.New(primary.Addr())
		if err != nil {
			return err
		}
		h.feeds = append(h.feeds, feed)
		through, err := dsnAt(primary.DSN(), nil, feed.Addr())
		if err != nil {
			return err
		}
		if _, err := h.addServer("-replica-of=" + through); err != nil {
			return err
		}
	}
	if err := h.caughtUp(primary, h.servers[1:]...); err != nil {
		return err
	}
	return h.open()
}

func (h *hosts) addServer(flags ...string) (*testserver.Server, error) {
	s, err := testserver.New(append(flags, fmt.Sprint("-max-sessions=", maxSessions))...)
	if err != nil {
		return nil, err
	}
	h.servers = append(h.servers, s)
	l, err := link.New(s.Addr())
	if err != nil {
		return nil, err
	}
	h.links = append(h.links, l)
	return s, nil
}

// open makes the sql.DBs of the work, with DSNs of all hosts in their order.
func (h *hosts) open() error {
	var addrs []string
	for _, l := range h.links {
		addrs = append(addrs, l.Addr())
	}
	for _, a := range h.acts {
		dsn, err := dsnAt(h.servers[0].DSN(), a.workload.Options, addrs...)
		if err != nil {
			return err
		}
		for range max(a.workload.Programs, 1) {
			cfg, err := immudb.ParseDSN(dsn)
			if err != nil {
				return err
			}
			c, err := immudb.NewConnector(cfg)
			if err != nil {
				return err
			}
			h.connectors = append(h.connectors, c)
			a.dbs = append(a.dbs, sql.OpenDB(c))
		}
	}
	return nil
}

// dsnAt is the DSN with other hosts, and with options added.
func dsnAt(dsn string, options []string, addrs ...string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("faulttest: the DSN of the server is not a URL")
	}
	u.Host = strings.Join(addrs, ",")
	q := u.Query()
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// direct calls f with a sql.DB of the server alone, without a link.
func direct(s *testserver.Server, f func(ctx context.Context, db *sql.DB) error) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), judgePatience)
	defer cancel()
	dsn, err := dsnAt(s.DSN(), []string{"verify=trust-first-use"}, s.Addr())
	if err != nil {
		return err
	}
	db, err := sql.Open(immudb.DriverName, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return f(ctx, db)
}

// newest returns the newest transaction of a server.
func newest(s *testserver.Server) (tx uint64, err error) {
	err = direct(s, func(ctx context.Context, db *sql.DB) error {
		state, err := immudb.NewVerifier(db).State(ctx)
		tx = state.TxID
		return err
	})
	return tx, err
}

// caughtUp waits until replicas have all that the primary has now.
func (h *hosts) caughtUp(primary *testserver.Server, replicas ...*testserver.Server) error {
	want, err := newest(primary)
	if err != nil {
		return err
	}
	for _, replica := range replicas {
		var got uint64
		var err error
		await(judgePatience, func() bool {
			got, err = newest(replica)
			return err == nil && got >= want
		})
		if err != nil || got < want {
			return fmt.Errorf("faulttest: a replica has tx %d of %d: %w", got, want, err)
		}
	}
	return nil
}

// play runs the work while the fault happens, and judges it.
func (h *hosts) play(f *HostsFault) ([]Cell, error) {
	cells := make([]Cell, len(h.acts))
	for i, a := range h.acts {
		cells[i] = Cell{Fault: f.Name, Workload: a.workload.Name}
	}
	warmUp(h.set, h.acts, cells)
	if err := h.settle(); err != nil {
		finish(h.acts)
		return nil, err
	}
	for _, a := range h.acts {
		a.tally.fault()
	}
	err := f.inject(h)
	if err == nil {
		err = h.recover(cells)
	}
	hung := finish(h.acts)
	if err != nil {
		return nil, err
	}
	for i, a := range h.acts {
		cells[i].Hung = hung[i]
		a.tally.report(&cells[i])
	}
	if f.check != nil {
		if err := f.check(h); err != nil {
			return nil, err
		}
	}
	return cells, h.judge(f, cells)
}

// settle stops all writes until the programs that read from replicas do so: under writes a replica is too old for them.
// Then the writes go on, so that the fault comes when the replicas fall behind.
func (h *hosts) settle() error {
	silence := func(on bool) {
		for _, a := range h.acts {
			a.work.(interface{ silence(on bool) }).silence(on)
		}
	}
	silence(true)
	defer silence(false)
	last := h.acts[len(h.acts)-1] // the one that reads all the time
	for _, c := range h.connectors[len(h.connectors)-len(last.dbs):] {
		before := c.Stats().Replicas.Routed
		routed := func() bool { return c.Stats().Replicas.Routed > before }
		if await(judgePatience, routed); !routed() {
			return errors.New("faulttest: no read is answered by a replica")
		}
	}
	return nil
}

// reachable says that a primary can be reached from now on: the time to recover begins.
func (h *hosts) reachable() {
	now := time.Now()
	for _, a := range h.acts {
		a.tally.heal(now, a.workers)
	}
}

// recover waits until each worker has succeeded again, and watches the calls for a while.
func (h *hosts) recover(cells []Cell) error {
	operator := make(chan error, 1)
	go func() {
		if h.after == nil {
			operator <- nil
			return
		}
		operator <- h.after()
	}()
	began := time.Now()
	all(len(h.acts), func(i int) {
		cells[i].Recovery, cells[i].Stuck = h.acts[i].awaitSuccess(began, h.set.Patience)
	})
	err := <-operator
	time.Sleep(time.Until(began.Add(h.set.Watch)))
	return err
}

// judge compares what callers were told with the rows of the primary.
func (h *hosts) judge(f *HostsFault, cells []Cell) error {
	primary := h.servers[f.primary]
	return direct(primary, func(ctx context.Context, db *sql.DB) error {
		for i, a := range h.acts {
			if cells[i].Hung > 0 {
				continue // its workers still use its records
			}
			found, err := a.work.judge(ctx, db)
			if err != nil {
				return fmt.Errorf("%s: %w", a.workload.Name, err)
			}
			cells[i].Violations = found
		}
		return nil
	})
}

func (h *hosts) closeDBs() error {
	var errs []error
	for _, a := range h.acts {
		for _, db := range a.dbs {
			errs = append(errs, db.Close())
		}
		a.dbs = nil
	}
	return errors.Join(errs...)
}

func (h *hosts) end() error {
	_ = h.closeDBs() // after an error of the stage
	var errs []error
	for _, l := range slices.Concat(h.links, h.feeds) {
		errs = append(errs, l.Close())
	}
	for _, s := range h.servers {
		errs = append(errs, s.Kill(), s.Close())
	}
	return errors.Join(errs...)
}
