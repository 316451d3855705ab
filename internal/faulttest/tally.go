package faulttest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb"
)

// classes are the names of errors in reports. The first that matches applies.
var classes = []struct {
	name string
	is   error
}{
	{"unknown", immudb.ErrOutcomeUnknown},
	{"tampered", immudb.ErrTampered},
	{"split-brain", immudb.ErrSplitBrain},
	{"session-lost", immudb.ErrSessionLost},
	{"max-sessions", immudb.ErrMaxSessions},
	{"conflict", immudb.ErrConflict},
	{"overloaded", immudb.ErrOverloaded},
	{"duplicate-key", immudb.ErrDuplicateKey},
	{"no-such-table", immudb.ErrNoSuchTable},
	{"tx-aborted", immudb.ErrTxAborted},
	{"replica", immudb.ErrReplica},
	{"server-older", immudb.ErrServerOlder},
	{"unsupported", immudb.ErrUnsupported},
	{"bad-conn", driver.ErrBadConn},
	{"tx-done", sql.ErrTxDone},
	{"conn-done", sql.ErrConnDone},
	{"deadline", context.DeadlineExceeded},
	{"cancelled", context.Canceled},
}

// The names of classes that verdicts use.
const (
	classUnknown     = "unknown"
	classMaxSessions = "max-sessions"
	classConflict    = "conflict"
	classOverloaded  = "overloaded"
)

// classOf names an error by its sentinel, or else by its kind.
func classOf(err error) string {
	for _, c := range classes {
		if errors.Is(err, c.is) {
			return c.name
		}
	}
	var e *immudb.Error
	if errors.As(err, &e) && e.GRPC == codes.Unavailable {
		return "unreachable"
	}
	return "other"
}

// tally counts the results of the workers of one workload during a play.
type tally struct {
	workload *Workload
	bar      time.Duration

	mu      sync.Mutex
	ops     int
	acked   int
	errors  map[string]int
	samples map[string]string // an error's text for each class
	hurt    map[string]int    // of errors, the unexpected ones of workers that did not cancel
	late    map[string]int    // of hurt, those of calls that began later than the bar after the fault
	healed  time.Time         // of this round; zero before
	first   []time.Duration   // by worker: from healed to its first success, 0 if there was none
}

func newTally(w *Workload, bar time.Duration) *tally {
	return &tally{workload: w, bar: bar, errors: map[string]int{}, samples: map[string]string{},
		hurt: map[string]int{}, late: map[string]int{}}
}

// note counts one operation. bystander is false for callers that cancel at random.
func (t *tally) note(worker int, began, ended time.Time, err error, bystander bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ops++
	if err == nil {
		t.acked++
		if bystander && !t.healed.IsZero() && began.After(t.healed) && t.first[worker] == 0 {
			t.first[worker] = ended.Sub(t.healed)
		}
		return
	}
	class := classOf(err)
	t.errors[class]++
	if t.samples[class] == "" {
		t.samples[class] = err.Error()
	}
	if !bystander || t.workload.allows(class) || t.workload.Deadlines && isContext(err) {
		return
	}
	t.hurt[class]++
	if !t.healed.IsZero() && began.Sub(t.healed) > t.bar {
		t.late[class]++
	}
}

// heal begins the wait for the first success of each worker.
func (t *tally) heal(at time.Time, workers int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.healed, t.first = at, make([]time.Duration, workers)
}

// fault ends the time that began with heal.
func (t *tally) fault() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.healed = time.Time{}
}

// recovered returns how long the last worker took to succeed again, and how many have not yet.
func (t *tally) recovered() (took time.Duration, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.first {
		if d == 0 {
			waiting++
		}
		took = max(took, d)
	}
	return took, waiting
}

func (t *tally) done() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.acked
}
