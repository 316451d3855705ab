// Faultmatrix plays every workload through every fault, then all of them for a
// while with a flapping network, and writes RELIABILITY.md.
//
//	go run ./internal/faulttest/cmd/faultmatrix -o RELIABILITY.md            the matrix, and a soak of 10 minutes
//	go run ./internal/faulttest/cmd/faultmatrix -soak 2m -only kill,cut      some of it
//	go run ./internal/faulttest/cmd/faultmatrix -hosts                       the faults of several hosts, and their section only
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/faulttest"
)

func main() {
	out := flag.String("o", "RELIABILITY.md", "write the report to this `file`")
	soak := flag.Duration("soak", 10*time.Minute, "play with a flapping network for this `time`; 0: not at all")
	only := flag.String("only", "", "play these `faults` only, separated by commas")
	work := flag.String("work", "", "play these `workloads` only, separated by commas")
	hosts := flag.Bool("hosts", false, "play the faults of several hosts instead, and replace their section of the report")
	flag.Parse()
	play := func() ([]string, error) { return run(*out, *soak, *only, *work) }
	if *hosts {
		play = func() ([]string, error) { return runHosts(*out, *only) }
	}
	failures, err := play()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faultmatrix:", err)
		os.Exit(2)
	}
	for _, f := range failures {
		fmt.Println(f)
	}
	if len(failures) > 0 {
		os.Exit(1)
	}
}

func run(out string, soak time.Duration, only, work string) (failures []string, err error) {
	set := faulttest.Together
	set.Bar = 5 * time.Second
	groups := faulttest.Groups()
	for i, g := range groups {
		groups[i] = slices.DeleteFunc(g, func(w *faulttest.Workload) bool { return !named(work, w.Name) })
	}
	groups = slices.DeleteFunc(groups, func(g []*faulttest.Workload) bool { return len(g) == 0 })
	var results []faulttest.Result
	began := time.Now()
	for _, f := range faulttest.Faults {
		if !named(only, f.Name) {
			continue
		}
		for _, g := range groups {
			fmt.Fprintln(os.Stderr, f.Name, "×", g[0].Name)
			r, err := faulttest.Run(f, g, set, faulttest.StageOptions{})
			if err != nil {
				return nil, err
			}
			results = append(results, r)
			failures = append(failures, r.Failures(set)...)
		}
	}
	took := time.Since(began)
	s, err := soaked(groups[0], set, soak)
	if err != nil {
		return nil, err
	}
	failures = append(failures, s.failures...)
	return failures, os.WriteFile(out, report(results, failures, set, took, s), 0o644)
}

// named reports whether a name is in a list separated by commas. An empty list has all names.
func named(list, name string) bool {
	return list == "" || slices.Contains(strings.Split(list, ","), name)
}

// soakResult holds the measurements at the beginning and the end of a long play.
type soakResult struct {
	plays      int
	took       time.Duration
	ops        int
	heap       [2]uint64
	goroutines [2]int
	failures   []string
}

// soaked plays all workloads with a flapping network repeatedly, each time on a new stage,
// so that leaked memory and goroutines add up.
func soaked(workloads []*faulttest.Workload, set faulttest.Settings, d time.Duration) (s soakResult, err error) {
	began := time.Now()
	s.heap[0], s.goroutines[0] = left()
	for time.Since(began) < d {
		r, err := faulttest.Run(faulttest.FaultNamed("flap"), workloads, set, faulttest.StageOptions{})
		if err != nil {
			return s, err
		}
		s.plays++
		for _, c := range r.Cells {
			s.ops += c.Ops
		}
		s.failures = append(s.failures, r.Failures(set)...)
	}
	s.took = time.Since(began)
	s.heap[1], s.goroutines[1] = left()
	return s, nil
}

// left is the live heap in bytes and the number of goroutines.
func left() (heap uint64, goroutines int) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}

func report(results []faulttest.Result, failures []string, set faulttest.Settings, took time.Duration, s soakResult) []byte {
	var b strings.Builder
	b.WriteString("# Reliability\n\nWritten by `go run ./internal/faulttest/cmd/faultmatrix`: every workload through every fault, side by side on one real\n" +
		"server (immudb v1.11.1, a child process) behind a link that fails; what callers were told is compared with what is in\n" +
		"the database afterwards.\n\n")
	fmt.Fprintf(&b, "One run of %v on a machine with %d processors, %s. Each fault lasts %v.\n\n", took.Round(time.Second), runtime.NumCPU(), runtime.Version(), set.Window)
	b.WriteString("| fault | operations | acknowledged | unknown | slowest to recover | sessions left | violations |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, f := range faulttest.Faults {
		var ops, acked, unknown, violations, sessions int
		var slowest time.Duration
		for _, r := range results {
			if r.Fault != f.Name {
				continue
			}
			for _, c := range r.Cells {
				ops, acked, unknown = ops+c.Ops, acked+c.Acked, unknown+c.Unknown
				violations += len(c.Violations)
				slowest = max(slowest, c.Recovery)
			}
			sessions += r.End.Sessions
		}
		if ops > 0 {
			fmt.Fprintf(&b, "| %s | %d | %d | %d | %.1f s | %d | %d |\n", f.Name, ops, acked, unknown, slowest.Seconds(), sessions, violations)
		}
	}
	b.WriteString("\nA violation is an acknowledged write that is missing or doubled, a failed write that is there, a write of unknown outcome\n" +
		"that is there twice, a wrong total, a read that misses an earlier write of its worker, a history that is not\n" +
		"linearizable, or a result that is truncated without an error. A session is left when the answer to a login is lost on\n" +
		"a dead connection; the server drops it after two to three minutes.\n\n")
	b.WriteString("## What fell short\n\n")
	if len(failures) == 0 {
		b.WriteString("Nothing: every worker succeeded again within 5 s, and there was no violation.\n")
	}
	for _, f := range failures {
		fmt.Fprintf(&b, "- %s\n", f)
	}
	b.WriteString("\n## Errors by workload\n\nWhat callers were told, all faults together.\n\n| workload | operations | errors |\n|---|---:|---|\n")
	for _, w := range faulttest.Workloads {
		ops, errs := 0, map[string]int{}
		for _, r := range results {
			for _, c := range r.Cells {
				if c.Workload == w.Name {
					ops += c.Ops
					for class, n := range c.Errors {
						errs[class] += n
					}
				}
			}
		}
		if ops > 0 {
			fmt.Fprintf(&b, "| %s | %d | %s |\n", w.Name, ops, counts(errs))
		}
	}
	if s.plays > 0 {
		fmt.Fprintf(&b, "\n## Soak\n\n%d plays with a flapping network in %v: %d operations. At the start and at the end: heap %d and %d KiB, goroutines %d and %d.\n",
			s.plays, s.took.Round(time.Second), s.ops, s.heap[0]>>10, s.heap[1]>>10, s.goroutines[0], s.goroutines[1])
	}
	b.WriteString("\n## The faults\n\n")
	for _, f := range faulttest.Faults {
		fmt.Fprintf(&b, "- **%s**: %s\n", f.Name, f.About)
	}
	b.WriteString("\n## The workloads\n\n")
	for _, w := range faulttest.Workloads {
		fmt.Fprintf(&b, "- **%s**: %s\n", w.Name, w.About)
	}
	return []byte(b.String())
}

// counts lists counts, the largest first.
func counts(m map[string]int) string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return m[b] - m[a] })
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%d × %s", m[k], k)
	}
	if len(keys) == 0 {
		return "none"
	}
	return strings.Join(keys, ", ")
}
