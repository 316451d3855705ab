package main

import (
	"fmt"
	"math"
	"strings"
)

// target is a figure of a run that the driver must reach.
type target struct {
	workload string
	text     string
	value    func(o *outcome) float64 // NaN: a contender that it takes has no figures
	limit    float64
	atLeast  bool // else at most
}

// verdict is a target with its result.
type verdict struct {
	Workload string  `json:"workload"`
	Target   string  `json:"target"`
	Value    float64 `json:"value"`
	Holds    bool    `json:"holds"`
}

var targets = []target{
	{"point-adhoc", "wall ≤ 1.05 × floor", wallRatio(ours, floor), 1.05, false},
	{"point-adhoc", "≤ 15 allocations more than the floor", moreAllocs(ours, floor), 15, false},
	{"point-prepared", "wall ≤ 1.05 × floor", wallRatio(ours, floor), 1.05, false},
	{"point-prepared", "≤ 15 allocations more than the floor", moreAllocs(ours, floor), 15, false},
	{"point-32", "throughput ≥ 0.9 × floor", wallRatio(floor, ours), 0.9, true},
	{"point-32", "throughput ≥ 1.5 × official", wallRatio(vendors, ours), 1.5, true},
	{"scan-100k", "wall ≤ 1.05 × floor", wallRatio(ours, floor), 1.05, false},
	{"scan-100k", "client CPU ≤ pgx", cpuRatio(ours, postgresql), 1, false},
	{"scan-100k", "client CPU ≤ 0.4 × official", cpuRatio(ours, vendors), 0.4, false},
	{"scan-100k", "≤ 10 allocations per row", allocsOf(ours), 10, false},
	{"scan-1m", "live heap ≤ 3 server batches", liveBatches(ours), 3, false},
	{"scan-3kb", "works (rounds done)", roundsOf(ours), 1, true},
	{"burst", "≥ 10 × official", wallRatio(vendors, ours), 10, true},
	{"insert", "wall ≤ 1.03 × floor", wallRatio(ours, floor), 1.03, false},
	{"tx-10", "wall ≤ official", wallRatio(ours, vendors), 1, false},
	{"tx-0ms", "≤ 5 calls: begin, 3 statements, commit", callsOf(ours, ""), 5, false},
	{"first-query", "≤ 1 OpenSession", callsOf(ours, "/OpenSession"), 1, false},
	{"first-query", "no calls but OpenSession, SQLQuery, CloseSession", otherCalls(ours), 0, false},
	{"insert-32", "≥ 20 × official in a retry loop", wallRatio(vendors, ours), 20, true},
	{"copy", "≥ the best by hand through official", wallRatio(vendors, ours), 1, true},
	{"verified-row", "wall ≤ official", wallRatio(ours, vendors), 1, false},
	{"copy", "within 10 % of its own requests sent raw", wallRatio(ours, floor), 1.1, false},
}

// judge compares the results with the targets of the workloads that were run.
func (r *results) judge() []verdict {
	var vs []verdict
	for _, t := range targets {
		for _, o := range r.Outcomes {
			if o.Name != t.workload {
				continue
			}
			v := t.value(o)
			if math.IsNaN(v) {
				continue // JSON has no NaN, and the failure is told with the contender
			}
			vs = append(vs, verdict{t.workload, t.text, v, o.Error == "" && (t.atLeast && v >= t.limit || !t.atLeast && v <= t.limit)})
		}
	}
	return vs
}

func (o *outcome) entry(contender string) *entry {
	for _, e := range o.Entries {
		if e.Contender == contender {
			return e
		}
	}
	return &entry{Contender: contender}
}

// Figures per operation.
func wall(s sample) float64      { return float64(s.Wall) / float64(s.Ops) }
func cpu(s sample) float64       { return float64(s.CPU) / float64(s.Ops) }
func theirs(s sample) float64    { return float64(s.ServerCPU) / float64(s.Ops) }
func allocs(s sample) float64    { return float64(s.Allocs) / float64(s.Ops) }
func allocated(s sample) float64 { return float64(s.Bytes) / float64(s.Ops) }

// figures returns the figures of the contender's rounds, in their order.
func (e *entry) figures(of func(sample) float64) []float64 {
	v := make([]float64, len(e.Samples))
	for i, s := range e.Samples {
		v[i] = of(s)
	}
	return v
}

// ratios divides the figures of two contenders round by round, because other load of the machine affects both in a round.
func (o *outcome) ratios(of func(sample) float64, a, b string) []float64 {
	x, y := o.entry(a).figures(of), o.entry(b).figures(of)
	v := make([]float64, min(len(x), len(y)))
	for i := range v {
		v[i] = x[i] / y[i]
	}
	return v
}

func wallRatio(a, b string) func(*outcome) float64 {
	return func(o *outcome) float64 { return median(o.ratios(wall, a, b)) }
}

func cpuRatio(a, b string) func(*outcome) float64 {
	return func(o *outcome) float64 { return median(o.ratios(cpu, a, b)) }
}

func allocsOf(a string) func(*outcome) float64 {
	return func(o *outcome) float64 { return median(o.entry(a).figures(allocs)) }
}

func moreAllocs(a, b string) func(*outcome) float64 {
	return func(o *outcome) float64 { return allocsOf(a)(o) - allocsOf(b)(o) }
}

func roundsOf(a string) func(*outcome) float64 {
	return func(o *outcome) float64 { return float64(len(o.entry(a).Samples)) }
}

// batchBytes is the size of one message of rows of accounts: 2,048 of them, with 321 bytes each.
const batchBytes = 2048 * 321

func liveBatches(a string) func(*outcome) float64 {
	return func(o *outcome) float64 {
		if e := o.entry(a); e.Memory != (memory{}) {
			return float64(e.Memory.Live) / batchBytes
		}
		return math.NaN()
	}
}

func callsOf(a, method string) func(*outcome) float64 {
	return func(o *outcome) float64 {
		e := o.entry(a)
		if e.Calls == nil {
			return math.NaN()
		}
		n := 0
		for m, count := range e.Calls {
			if strings.HasSuffix(m, method) {
				n += count
			}
		}
		return float64(n)
	}
}

func otherCalls(a string) func(*outcome) float64 {
	return func(o *outcome) float64 {
		all := callsOf(a, "")(o)
		for _, m := range []string{"/OpenSession", "/SQLQuery", "/CloseSession"} {
			all -= callsOf(a, m)(o)
		}
		return all
	}
}

func (v verdict) String() string {
	word := "holds"
	if !v.Holds {
		word = "MISSED"
	}
	return fmt.Sprintf("%-6s  %-14s  %-50s  %.3g", word, v.Workload, v.Target, v.Value)
}
