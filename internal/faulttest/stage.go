package faulttest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/faulttest/link"
	"github.com/immudb-go/immudb/internal/testserver"
)

// Time limits for events that must happen by themselves. The verdicts do not depend on them.
const (
	closePatience   = 20 * time.Second // for sql.DB.Close
	leftPatience    = 30 * time.Second // for sessions and goroutines to be gone after Close, on a busy machine
	judgePatience   = 2 * time.Minute  // for the making and judging of a workload's tables
	workersPatience = 15 * time.Second // for calls to end after their context
)

// Stage is a real server, a link to it that can fail, and a sql.DB for each workload, which play together.
type Stage struct {
	server  *testserver.Server
	link    *link.Link
	logins  *logins
	players []*player
	before  map[string]string // goroutines of the driver before the stage
	plays   int
	peak    int
}

// player is a workload with its sql.DBs, one for each program.
type player struct {
	workload *Workload
	dbs      []*sql.DB
}

// StageOptions say how a stage is set up.
type StageOptions struct {
	Faults []*Fault // that will be played
	// Wrap, unless nil, replaces the connector of each sql.DB, for a planted fault.
	Wrap func(*immudb.Connector) driver.Connector
	// ConnectTimeout replaces the driver's default, unless it is 0.
	ConnectTimeout time.Duration
}

// maxSessions is the server's limit unless a workload has its own. A dozen programs with up to 8 sessions each, and the
// sessions of logins whose answer a fault cut, can reach its default of 100; then the judge would have no session.
const maxSessions = 300

// NewStage starts a server and opens a sql.DB for each workload, which does not connect yet.
func NewStage(workloads []*Workload, o StageOptions) (_ *Stage, err error) {
	has := func(what func(*Fault) bool) bool { return slices.ContainsFunc(o.Faults, what) }
	s := &Stage{before: driverGoroutines(), logins: &logins{silent: has(func(f *Fault) bool { return f.Silent })}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.end())
		}
	}()
	flags := []string{fmt.Sprint("-max-sessions=", maxSessions)}
	if !has(func(f *Fault) bool { return f.Synced }) {
		flags = append(flags, "-synced=false")
	}
	for _, w := range workloads {
		flags = append(flags, w.Server...)
	}
	if s.server, err = testserver.New(flags...); err != nil {
		return nil, err
	}
	if s.link, err = link.New(s.server.Addr()); err != nil {
		return nil, err
	}
	for _, w := range workloads {
		p := &player{workload: w}
		for range max(w.Programs, 1) {
			db, err := s.open(w, o, has(func(f *Fault) bool { return f.Dialer }))
			if err != nil {
				return nil, err
			}
			p.dbs = append(p.dbs, db)
		}
		s.players = append(s.players, p)
	}
	return s, nil
}

// open returns a sql.DB that connects to the server through the link.
func (s *Stage) open(w *Workload, o StageOptions, dialer bool) (*sql.DB, error) {
	u, err := url.Parse(s.server.DSN())
	if err != nil {
		return nil, errors.New("faulttest: the DSN of the server is not a URL")
	}
	u.Host = s.link.Addr()
	q := u.Query()
	for _, option := range w.Options {
		name, value, _ := strings.Cut(option, "=")
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	cfg, err := immudb.ParseDSN(u.String())
	if err != nil {
		return nil, err
	}
	if o.ConnectTimeout > 0 {
		cfg.ConnectTimeout = o.ConnectTimeout
	}
	cfg.DialOptions = []grpc.DialOption{grpc.WithStatsHandler(s.logins)}
	if dialer {
		cfg.DialContext = func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", s.link.Addr())
		}
	}
	c, err := immudb.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	if o.Wrap != nil {
		return sql.OpenDB(o.Wrap(c)), nil
	}
	return sql.OpenDB(c), nil
}

// direct calls f with a separate sql.DB that does not use the link, so that faults do not affect it.
func (s *Stage) direct(f func(ctx context.Context, db *sql.DB) error) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), judgePatience)
	defer cancel()
	db, err := sql.Open(immudb.DriverName, s.server.DSN())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return f(ctx, db)
}

// Close closes the sql.DBs, counts the sessions and goroutines that they left, and ends the server.
func (s *Stage) Close() (End, error) {
	var e End
	e.Closing, e.Open = s.closeAll()
	e.Peak = s.peak
	e.Sessions = -1
	var err error
	for deadline := time.Now().Add(leftPatience); ; time.Sleep(20 * time.Millisecond) {
		if e.Sessions, err = s.server.Sessions(); err != nil {
			err = fmt.Errorf("faulttest: the server cannot be asked for its sessions; has it died? %w", err)
			break
		}
		e.Left = leftGoroutines(s.before)
		e.Goroutines = len(e.Left)
		e.Opened, e.Unanswered = s.logins.count()
		if e.Sessions <= e.Unanswered && e.Goroutines == 0 || time.Now().After(deadline) {
			break
		}
	}
	return e, errors.Join(err, s.end())
}

// closeAll closes all sql.DBs at once and returns the time of the slowest, and how many did not return.
func (s *Stage) closeAll() (slowest time.Duration, open int) {
	began := time.Now()
	var waiting int
	closed := make(chan struct{}, 1024)
	for _, p := range s.players {
		for _, db := range p.dbs {
			waiting++
			go func() {
				_ = db.Close() // sessions that it could not close are counted on the server
				closed <- struct{}{}
			}()
		}
	}
	timeout := time.After(closePatience)
	for ; waiting > 0; waiting-- {
		select {
		case <-closed:
		case <-timeout:
			return time.Since(began), waiting
		}
	}
	return time.Since(began), 0
}

// end ends the link and the server.
func (s *Stage) end() error {
	var err error
	if s.link != nil {
		err = s.link.Close()
	}
	if s.server != nil {
		// Its data is not needed, and Kill is faster than Stop.
		err = errors.Join(err, s.server.Kill(), s.server.Close())
	}
	return err
}

// driverGoroutines returns the stacks of the goroutines of the driver and of its gRPC channels, by the goroutine's header
// up to its state: "goroutine 7".
func driverGoroutines() map[string]string {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	stacks := make(map[string]string)
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(stack, "google.golang.org/grpc") || strings.Contains(stack, "immudb-go/immudb.") ||
			strings.Contains(stack, "immudb-go/immudb/internal/session.") {
			id, _, _ := strings.Cut(stack, " [")
			stacks[id] = stack
		}
	}
	return stacks
}

// leftGoroutines returns the stacks of those goroutines of the driver that were not there before.
func leftGoroutines(before map[string]string) (stacks []string) {
	for id, stack := range driverGoroutines() {
		if _, old := before[id]; !old {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// look records how many sessions the server has.
func (s *Stage) look() error {
	n, err := s.server.Sessions()
	if err != nil {
		return fmt.Errorf("faulttest: the server cannot be asked for its sessions; has it died? %w", err)
	}
	s.peak = max(s.peak, n)
	return nil
}

// all calls f for each i below n at once.
func all(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
