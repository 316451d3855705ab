package faulttest

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Settings hold the times of a play, and the limits for its results.
type Settings struct {
	Warm     time.Duration // before the first fault, after every worker has succeeded once
	Window   time.Duration // of the fault
	Rounds   int           // how often the fault comes
	Watch    time.Duration // after the fault, beyond recovery: calls begun more than Bar after it must succeed
	Bar      time.Duration // longest time to recover
	Patience time.Duration // longest wait for recovery; more than Bar
	Timeout  time.Duration // of one operation
	Pace     time.Duration // of a worker between two operations
	Crew     int           // most workers of a workload; 0: as many as it has
	Long     bool          // also the workloads of several hosts that are Long
}

// Alone are the settings for one workload that is alone on its server.
var Alone = Settings{
	Warm:     time.Second,
	Window:   3 * time.Second,
	Rounds:   1,
	Watch:    6 * time.Second,
	Bar:      5 * time.Second,
	Patience: 30 * time.Second,
	Timeout:  20 * time.Second,
	Pace:     2 * time.Millisecond,
}

// Together are the settings for all workloads at once, in a short time.
var Together = Settings{
	Warm:     500 * time.Millisecond,
	Window:   1500 * time.Millisecond,
	Rounds:   1,
	Watch:    500 * time.Millisecond,
	Bar:      10 * time.Second,
	Patience: 12 * time.Second,
	Timeout:  15 * time.Second,
	Pace:     25 * time.Millisecond,
	Crew:     2,
}

// cancellers is the number of cancelling callers for each workload, in addition to the workers.
const cancellers = 3

// act is a workload while the stage plays.
type act struct {
	*player
	work    work
	table   string
	workers int
	tally   *tally

	stop   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	inside atomic.Int64 // workers and cancellers that have not returned
}

// Play runs all workloads while the fault happens, and judges them. An error is a failure of the stage.
func (s *Stage) Play(f *Fault, set Settings) ([]Cell, error) {
	acts, err := s.prepare(set)
	if err != nil {
		return nil, err
	}
	cells := make([]Cell, len(acts))
	for i, a := range acts {
		cells[i] = Cell{Fault: f.Name, Workload: a.workload.Name}
	}
	warmUp(set, acts, cells)
	err = s.look()
	for range set.Rounds {
		if err == nil {
			err = s.round(f, set, acts, cells)
		}
	}
	hung := finish(acts)
	for _, a := range acts {
		if holder, ok := a.work.(interface{ release() }); ok {
			holder.release()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	for i, a := range acts {
		cells[i].Hung = hung[i]
		a.tally.report(&cells[i])
	}
	if err := s.judge(acts, cells); err != nil {
		return nil, fmt.Errorf("%s: judging: %w", f.Name, err)
	}
	return cells, s.look()
}

// warmUp starts the workers, and returns when they have worked for a while: a fault during the first connections would be
// easy to recover from. It does not wait longer than the patience for workers that have not succeeded yet.
func warmUp(set Settings, acts []*act, cells []Cell) {
	began := time.Now()
	for _, a := range acts {
		a.tally.heal(began, a.workers)
		a.start(set)
	}
	all(len(acts), func(i int) { acts[i].awaitSuccess(began, set.Patience) })
	done := make([]int, len(acts))
	for i, a := range acts {
		done[i] = a.tally.done()
	}
	since := time.Now()
	time.Sleep(set.Warm)
	for i, a := range acts {
		cells[i].Before = rate(a.tally.done()-done[i], time.Since(since))
	}
}

func rate(n int, in time.Duration) float64 { return float64(n) / in.Seconds() }

// report copies the counts.
func (t *tally) report(c *Cell) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.Ops, c.Acked, c.Unknown = t.ops, t.acked, t.errors[classUnknown]
	c.Errors, c.Samples, c.Hurt, c.Late = t.errors, t.samples, t.hurt, t.late
}

// prepare creates the tables of all workloads.
func (s *Stage) prepare(set Settings) ([]*act, error) {
	s.plays++
	var acts []*act
	err := s.direct(func(ctx context.Context, db *sql.DB) error {
		if err := s.sweep(ctx, db); err != nil {
			return err
		}
		for i, p := range s.players {
			workers := p.workload.Workers
			if set.Crew > 0 && p.workload.Programs == 0 {
				workers = min(workers, set.Crew)
			}
			a := &act{player: p, workers: workers, table: fmt.Sprintf("t%d_%d", s.plays, i),
				tally: newTally(p.workload, set.Bar), stop: make(chan struct{})}
			a.ctx, a.cancel = context.WithCancel(context.Background())
			a.work = p.workload.make(a.table, workers+cancellers)
			if err := a.work.prepare(ctx, db); err != nil {
				return fmt.Errorf("%s: %w", p.workload.Name, err)
			}
			acts = append(acts, a)
		}
		return nil
	})
	return acts, err
}

// start runs the workers until stop is closed.
func (a *act) start(set Settings) {
	for worker := range a.workers {
		a.run(func() {
			for !a.over() {
				a.once(worker, set.Timeout, true)
				a.rest(set.Pace)
			}
		})
	}
}

func (a *act) run(f func()) {
	a.inside.Add(1)
	a.wg.Go(func() {
		defer a.inside.Add(-1)
		f()
	})
}

// once is one operation, with a context of its own.
func (a *act) once(worker int, timeout time.Duration, bystander bool) {
	ctx, cancel := context.WithTimeout(a.ctx, timeout)
	defer cancel()
	began := time.Now()
	err := a.work.do(ctx, a.dbs[worker%len(a.dbs)], worker)
	if a.ctx.Err() != nil && err != nil {
		return // the play ended before the call; the work has recorded its result
	}
	a.tally.note(worker, began, time.Now(), err, bystander)
	if err != nil {
		a.rest(5 * time.Millisecond) // if every call fails, do not loop too fast
	}
}

func (a *act) over() bool {
	select {
	case <-a.stop:
		return true
	default:
		return false
	}
}

// rest waits for d, or until the play is over.
func (a *act) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.stop:
	}
}

// disturb runs callers that cancel at random until the window ends.
func (a *act) disturb(window, timeout time.Duration) {
	end := time.Now().Add(window)
	var wg sync.WaitGroup
	for i := range cancellers {
		wg.Add(1)
		a.run(func() {
			defer wg.Done()
			for time.Now().Before(end) && !a.over() {
				a.once(a.workers+i, min(rand.N(20*time.Millisecond), timeout), false)
			}
		})
	}
	wg.Wait()
}

// round makes the fault happen once, waits for recovery and watches the calls after it.
func (s *Stage) round(f *Fault, set Settings, acts []*act, cells []Cell) error {
	for _, a := range acts {
		a.tally.fault()
	}
	healed, err := f.inject(&scene{server: s.server, link: s.link, cancellers: func(window time.Duration) {
		all(len(acts), func(i int) { acts[i].disturb(window, set.Timeout) })
	}}, set.Window)
	if err != nil {
		return err
	}
	for _, a := range acts {
		a.tally.heal(healed, a.workers)
	}
	all(len(acts), func(i int) {
		took, stuck := acts[i].awaitSuccess(healed, set.Patience)
		cells[i].Recovery, cells[i].Stuck = max(cells[i].Recovery, took), max(cells[i].Stuck, stuck)
	})
	time.Sleep(time.Until(healed.Add(set.Watch)))
	done := make([]int, len(acts))
	for i, a := range acts {
		done[i] = a.tally.done()
	}
	since := time.Now()
	time.Sleep(set.Warm)
	for i, a := range acts {
		cells[i].After = rate(a.tally.done()-done[i], time.Since(since))
	}
	return s.look()
}

// awaitSuccess returns how long it took until every worker had succeeded in a call begun after since, and how many have
// not when the patience ends.
func (a *act) awaitSuccess(since time.Time, patience time.Duration) (took time.Duration, waiting int) {
	for {
		took, waiting = a.tally.recovered()
		waited := time.Since(since)
		switch {
		case waiting == 0:
			return took, 0
		case waited >= patience:
			return waited, waiting
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// finish ends all work and returns, for each act, how many calls have not ended with their context.
func finish(acts []*act) []int {
	for _, a := range acts {
		close(a.stop)
	}
	// Running calls may end by themselves for a moment, and must then end with their context.
	idle := func() bool {
		for _, a := range acts {
			if a.inside.Load() > 0 {
				return false
			}
		}
		return true
	}
	await(2*time.Second, idle)
	for _, a := range acts {
		a.cancel()
	}
	await(workersPatience, idle)
	hung := make([]int, len(acts))
	for i, a := range acts {
		hung[i] = int(a.inside.Load())
	}
	return hung
}

// await returns when done, or after patience.
func await(patience time.Duration, done func() bool) {
	for deadline := time.Now().Add(patience); !done() && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
}

// judge checks the database. It skips a workload whose workers have not returned, because they still use its records.
func (s *Stage) judge(acts []*act, cells []Cell) error {
	return s.direct(func(ctx context.Context, db *sql.DB) error {
		for i, a := range acts {
			if cells[i].Hung > 0 {
				continue
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

// sweep drops the tables of earlier plays, so that the server does not grow with the number of plays.
func (s *Stage) sweep(ctx context.Context, db *sql.DB) error {
	var name string
	var names []string
	err := each(ctx, db, func() { names = append(names, name) }, "SELECT name FROM TABLES()", &name)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := db.ExecContext(ctx, "DROP TABLE "+name); err != nil {
			return fmt.Errorf("dropping table %s: %w", name, err)
		}
	}
	return nil
}
