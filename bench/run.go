package main

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// results are the results of a run, in the form of results.json.
type results struct {
	Date     time.Time         `json:"date"`
	Go       string            `json:"go"`
	System   string            `json:"system"` // GOOS/GOARCH
	CPUs     int               `json:"cpus"`
	Versions map[string]string `json:"versions"` // of the modules under test
	Quick    bool              `json:"quick,omitempty"`
	Outcomes []*outcome        `json:"workloads"`
	Targets  []verdict         `json:"targets"`
}

// outcome is the result of a workload for all contenders.
type outcome struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Unit    string   `json:"unit"`
	Entries []*entry `json:"contenders"`
	Error   string   `json:"error,omitempty"` // of the workload as a whole
}

// entry is the result of one contender.
type entry struct {
	Contender string         `json:"name"`
	Samples   []sample       `json:"rounds,omitempty"` // the i-th of each contender is from the same round
	Memory    memory         `json:"memory,omitzero"`
	Calls     map[string]int `json:"calls,omitempty"`
	Note      string         `json:"note,omitempty"`
	Failures  []string       `json:"failures,omitempty"` // failures after which a second try succeeded
	Error     string         `json:"error,omitempty"`    // why there are no samples, or no more
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cmp.Or(s.profile, s.out), 0o755); err != nil {
		return err
	}
	fmt.Fprintln(stderr, "starting the server")
	srv, err := testserver.New("-pgsql", "-max-sessions=1000") // commits wait for the disk, as in production
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	at, err := serverAt(srv.Info())
	if err != nil {
		return err
	}
	sc := fullScale
	if s.quick {
		sc = quickScale
	}
	fmt.Fprintln(stderr, "filling the tables")
	if err := makeTables(ctx, &at, sc, s.only); err != nil {
		return err
	}
	r := &results{
		Date:     time.Now().UTC().Truncate(time.Second),
		Go:       runtime.Version(),
		System:   runtime.GOOS + "/" + runtime.GOARCH,
		CPUs:     runtime.NumCPU(),
		Versions: versions(),
		Quick:    s.quick,
	}
	for _, w := range s.only {
		fmt.Fprintf(stderr, "%s:", w.name)
		began := time.Now()
		o, err := compete(ctx, w, s, at, srv.Info().PID, sc, stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		fmt.Fprintf(stderr, " %.0f s\n", time.Since(began).Seconds())
		r.Outcomes = append(r.Outcomes, o)
	}
	if s.profile != "" {
		return nil
	}
	r.Targets = r.judge()
	return errors.Join(r.print(stdout), r.save(s.out))
}

func serverAt(info testserver.Info) (server, error) {
	u, err := url.Parse(info.DSN)
	if err != nil {
		return server{}, errors.New("the server's DSN is not a URL") // the parser's error would hold the password
	}
	password, _ := u.User.Password()
	return server{
		Addr:           info.Addr,
		PostgreSQLAddr: info.PostgreSQLAddr,
		User:           u.User.Username(),
		Password:       password,
		Database:       u.Path[1:],
	}, nil
}

// versions are the versions of the compared modules.
func versions() map[string]string {
	v := map[string]string{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, dep := range info.Deps {
		switch dep.Path {
		case "github.com/codenotary/immudb", "github.com/jackc/pgx/v5", "google.golang.org/grpc":
			v[dep.Path] = dep.Version
		}
	}
	return v
}

// compete runs the workload with each contender: once to warm up, then in rounds, then once with the heap observed. If a
// contender fails it gets a second try, because some failures are temporary. If it fails again it is left out of the rest,
// and its entry says why.
func compete(ctx context.Context, w *workload, s settings, at server, pid int, sc scale, progress io.Writer) (o *outcome, err error) {
	o = &outcome{Name: w.name, Title: w.title, Unit: w.unit}
	n, rounds := w.n, s.rounds*max(w.times, 1)
	if w.rounds > 0 {
		rounds = min(rounds, w.rounds)
	}
	if s.quick {
		n, rounds = w.quick, min(rounds, 2)
	}
	before, err := countWritten(ctx, w, at)
	if err != nil {
		return nil, err
	}
	if w.far {
		var near func() error
		if at, near, err = at.far(w.distance); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, near()) }()
	}
	done := 0
	running := map[*entry]*contender{}
	ask := func(e *entry, what string, n int) report {
		c := running[e]
		if c == nil || ctx.Err() != nil {
			return report{}
		}
		serverTime := serverCPU(pid)
		r, err := c.ask(order{what, n})
		if r.Error != "" {
			failure := r.Error
			serverTime = serverCPU(pid)
			if r, err = c.ask(order{what, n}); err == nil {
				e.Failures = append(e.Failures, failure)
			}
		}
		r.Sample.ServerCPU = serverCPU(pid) - serverTime
		done += r.Sample.Ops
		if r.Note != "" {
			e.Note = r.Note
		}
		if err != nil {
			e.Error = err.Error()
			delete(running, e)
			if err := c.close(); err != nil {
				e.Error += "; " + err.Error()
			}
		}
		return r
	}
	for _, name := range s.contenders {
		e := &entry{Contender: name}
		o.Entries = append(o.Entries, e)
		a := assignment{Contender: name, Workload: w.name, Server: at, Scale: sc, Profile: s.profile}
		program := s.builds[name]
		if program != "" {
			a.Contender = ours
		}
		c, err := startContender(program, a)
		if err != nil {
			e.Error = err.Error()
			continue
		}
		running[e] = c
		ask(e, "measure", n)
	}
	if s.profile != "" {
		rounds = 0
		for _, e := range o.Entries {
			if ask(e, "profile", n); e.Error != "" {
				fmt.Fprintf(progress, " %s: %s;", e.Contender, e.Error)
			}
		}
	}
	for round := range rounds {
		fmt.Fprintf(progress, " %d", round+1)
		for _, e := range turns(o.Entries, round) {
			if r := ask(e, "measure", n); e.Error == "" {
				e.Samples = append(e.Samples, r.Sample)
			}
		}
	}
	for _, e := range o.Entries {
		if w.counted {
			e.Calls = ask(e, "count", 1).Calls
		}
		e.Memory = ask(e, "watch", n).Memory
	}
	for e, c := range running {
		if err := c.close(); err != nil {
			e.Error = err.Error()
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	after, err := countWritten(ctx, w, at)
	if err != nil {
		return nil, err
	}
	if wrote := (after - before); w.writes > 0 && wrote != done*w.writes && !o.failed() {
		o.Error = fmt.Sprintf("the contenders say that they wrote %d rows, and the table has %d more", done*w.writes, wrote)
	}
	return o, nil
}

// turns returns the order of a round. Each contender is first equally often, and comes before and after each neighbour
// equally often, so that its effects on the server's caches and garbage are the same for all others.
func turns(entries []*entry, round int) []*entry {
	n := len(entries)
	order := slices.Concat(entries[round%n:], entries[:round%n])
	if round/n%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// failed reports whether a contender failed: it may have written more rows than it reported.
func (o *outcome) failed() bool {
	for _, e := range o.Entries {
		if e.Error != "" || e.Failures != nil {
			return true
		}
	}
	return false
}

// countWritten counts the rows of the table that the workload adds rows to.
func countWritten(ctx context.Context, w *workload, at server) (n int, err error) {
	if w.writes == 0 {
		return 0, nil
	}
	db, err := sql.Open(immudb.DriverName, at.dsn())
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+w.table.name).Scan(&n)
	return n, err
}

// save writes results.json and results.svg.
func (r *results) save(dir string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "results.json"), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "results.svg"), []byte(r.chart()), 0o644),
	)
}
