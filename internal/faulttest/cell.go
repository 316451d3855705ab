package faulttest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Cell is the result of one workload with one fault.
type Cell struct {
	Fault    string `json:"fault"`
	Workload string `json:"workload"`

	Ops     int               `json:"ops"`
	Acked   int               `json:"acked"`
	Unknown int               `json:"unknown"`
	Errors  map[string]int    `json:"errors,omitempty"`  // by class, unknown included
	Samples map[string]string `json:"samples,omitempty"` // one text for each class
	Hurt    map[string]int    `json:"hurt,omitempty"`    // unexpected errors of workers that did not cancel
	Late    map[string]int    `json:"late,omitempty"`    // of these, from calls begun later than the bar after the fault

	Recovery time.Duration `json:"recovery_ns"`     // until each worker had succeeded again; of the slowest round
	Stuck    int           `json:"stuck,omitempty"` // workers that had not when the wait ended
	Hung     int           `json:"hung,omitempty"`  // workers whose call did not end with its context

	Before float64 `json:"before"` // operations per second before the fault
	After  float64 `json:"after"`  // and after it, in the last round

	Violations []string `json:"violations,omitempty"`
}

// Result is the result of a stage: the cells of one fault, and the state after all sql.DBs were closed.
type Result struct {
	Fault string `json:"fault"`
	Cells []Cell `json:"cells"`
	End   End    `json:"end"`
}

// End is the state after sql.DB.Close.
type End struct {
	Sessions   int           `json:"sessions"`       // open on the server
	Unanswered int           `json:"unanswered"`     // logins that may have opened one without an answer
	Peak       int           `json:"peak"`           // most sessions seen on the server
	Opened     int           `json:"opened"`         // logins that were answered
	Goroutines int           `json:"goroutines"`     // of the driver
	Left       []string      `json:"-"`              // their stacks
	Closing    time.Duration `json:"closing_ns"`     // what the slowest Close took
	Open       int           `json:"open,omitempty"` // sql.DBs whose Close did not return
}

// Failures returns the failures of a cell. bar is the longest allowed time to recover.
func (c *Cell) Failures(f *Fault, w *Workload, bar time.Duration) []string {
	v := violations(slices.Clone(c.Violations))
	if c.Acked == 0 {
		v.addf("no operation succeeded")
	}
	switch {
	case c.Stuck > 0:
		v.addf("%d workers had not succeeded again after %.1f s", c.Stuck, c.Recovery.Seconds())
	case c.Recovery > bar:
		v.addf("took %.1f s to recover", c.Recovery.Seconds())
	}
	if c.Hung > 0 {
		v.addf("%d calls did not end with their context", c.Hung)
	}
	if n := c.Errors[classMaxSessions]; n > 0 {
		v.addf("%d ErrMaxSessions", n)
	}
	if len(c.Hurt) > 0 && (f.Quiet || f.Lost && w.Retried) {
		v.addf("calls failed that must not: %s", c.list(c.Hurt))
	} else if len(c.Late) > 0 {
		v.addf("calls failed that began more than %v after the fault: %s", bar, c.list(c.Late))
	}
	return v
}

// list renders counts by class, each with a sample.
func (c *Cell) list(counts map[string]int) string {
	var b strings.Builder
	for _, class := range slices.Sorted(maps.Keys(counts)) {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%d %s (%s)", counts[class], class, short(c.Samples[class]))
	}
	return b.String()
}

// short truncates a text that is too long for a report.
func short(text string) string {
	const most = 160
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// Failures returns the failures of the end.
func (e *End) Failures() []string {
	var v violations
	if e.Sessions > e.Unanswered {
		v.addf("%d sessions were left on the server after Close, where %d logins had no answer; the slowest Close took %.1f s", e.Sessions, e.Unanswered, e.Closing.Seconds())
	}
	if e.Goroutines > 0 {
		v.addf("%d goroutines were left after Close:\n%s", e.Goroutines, strings.Join(e.Left, "\n\n"))
	}
	if e.Open > 0 {
		v.addf("Close of %d sql.DBs did not return within %v", e.Open, closePatience)
	}
	return v
}
