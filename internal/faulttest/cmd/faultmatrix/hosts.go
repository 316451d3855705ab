package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/faulttest"
)

const hostsTitle = "## Several hosts\n"

// runHosts plays every fault of several hosts with two and three of them, and replaces its section of the report.
func runHosts(out, only string) (failures []string, err error) {
	set := faulttest.Together
	set.Bar, set.Long = 5*time.Second, true
	set.Watch = set.Bar + 2*time.Second // calls that begin after the bar must not fail
	var results []faulttest.HostsResult
	began := time.Now()
	for _, f := range faulttest.HostsFaults {
		if !named(only, f.Name) {
			continue
		}
		for _, n := range []int{2, 3} {
			if f.Lossy && n > 2 {
				continue // the third host may have what the promoted one lacks; its operator must choose
			}
			fmt.Fprintln(os.Stderr, f.Name, "with", n, "hosts")
			r, err := faulttest.RunHosts(f, n, set)
			if err != nil {
				return nil, err
			}
			results = append(results, r)
			failures = append(failures, r.Failures(set)...)
		}
	}
	section := hostsReport(results, failures, set, time.Since(began))
	text, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	return failures, os.WriteFile(out, []byte(withSection(string(text), section)), 0o644)
}

// withSection puts the section in the place of the one that the text has, or else before the list of faults.
func withSection(text, section string) string {
	const next = "\n## "
	if before, rest, ok := strings.Cut(text, hostsTitle); ok {
		_, after, more := strings.Cut(rest, next)
		if !more {
			return before + section
		}
		return before + section + next + after
	}
	before, after, ok := strings.Cut(text, "## The faults\n")
	if !ok {
		return text + "\n" + section
	}
	return before + section + "\n## The faults\n" + after
}

func hostsReport(results []faulttest.HostsResult, failures []string, set faulttest.Settings, took time.Duration) string {
	var b strings.Builder
	b.WriteString(hostsTitle + "\nWritten by `go run ./internal/faulttest/cmd/faultmatrix -hosts`: a primary with one or two replicas, each a real server, and each\n" +
		"link (of clients to a host, of a replica to the primary) a link of its own that can fail. Every DSN names all hosts.\n\n")
	fmt.Fprintf(&b, "One run of %v on a machine with %d processors, %s. The links are cut for %v. The time to recover is that of the slowest worker,\n"+
		"from the moment at which a primary can be reached to its first success.\n\n",
		took.Round(time.Second), runtime.NumCPU(), runtime.Version(), set.Window)
	b.WriteString("| fault | hosts | operations | acknowledged | unknown | reads on replicas | slowest to recover | violations |\n|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, r := range results {
		var ops, acked, unknown int
		var slowest time.Duration
		violations := len(r.Found)
		for _, c := range r.Cells {
			ops, acked, unknown = ops+c.Ops, acked+c.Acked, unknown+c.Unknown
			violations += len(c.Violations)
			slowest = max(slowest, c.Recovery)
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %.1f s | %d |\n", r.Fault.Name, r.Hosts, ops, acked, unknown, r.Routed, slowest.Seconds(), violations)
	}
	b.WriteString("\nA violation is what it is above, or a read that is older than what its program has written or read before, or a transaction\n" +
		"on an old primary. What is promised after a promotion: what was acknowledged and had reached the promoted replica is there\n" +
		"once. In `promotion` and `old-primary` that is all that was acknowledged. In `promotion-at-once` a write that was acknowledged\n" +
		"after the replica was last seen to have everything may be lost, and counts as one of unknown outcome.\n" +
		"A read that a replica began and the primary finished counts as one of the primary.\n\n")
	if len(failures) == 0 {
		fmt.Fprintf(&b, "Nothing fell short: every worker succeeded again within %v, no call failed that began later, and there was no violation.\n", set.Bar)
	} else {
		b.WriteString("What fell short:\n\n")
	}
	for _, f := range failures {
		fmt.Fprintf(&b, "- %s\n", f)
	}
	b.WriteString("\n| workload | operations | errors |\n|---|---:|---|\n")
	for _, w := range faulttest.HostsWorkloads {
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
		fmt.Fprintf(&b, "| %s | %d | %s |\n", w.Name, ops, counts(errs))
	}
	b.WriteString("\nThe faults:\n\n")
	for _, f := range faulttest.HostsFaults {
		fmt.Fprintf(&b, "- **%s**: %s\n", f.Name, f.About)
	}
	b.WriteString("\nThe workloads:\n\n")
	for _, w := range faulttest.HostsWorkloads {
		fmt.Fprintf(&b, "- **%s**: %s\n", w.Name, w.About)
	}
	return b.String()
}
