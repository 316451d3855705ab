package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// print writes the results as text.
func (r *results) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d CPUs", r.Go, r.System, r.CPUs)
	for _, m := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, ", %s %s", m, r.Versions[m])
	}
	b.WriteString("\nMedians of the rounds; ± is the distance between the quartiles. × floor is the median of the rounds' own ratios.\n")
	if r.Quick {
		b.WriteString("These figures are of a quick run: they say nothing about speed.\n")
	}
	for _, o := range r.Outcomes {
		o.print(&b)
	}
	b.WriteString("\nTargets\n")
	for _, v := range r.Targets {
		fmt.Fprintf(&b, "  %s\n", v)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (o *outcome) print(b *strings.Builder) {
	rounds := 0
	for _, e := range o.Entries {
		rounds = max(rounds, len(e.Samples))
	}
	fmt.Fprintf(b, "\n%s (%s), %d rounds, per %s\n", o.Title, o.Name, rounds, o.Unit)
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	counted := slices.ContainsFunc(o.Entries, func(e *entry) bool { return len(e.Calls) > 0 })
	calls := func(text string) string {
		if !counted {
			return ""
		}
		return text + "\t"
	}
	fmt.Fprintln(tw, "\twall\t±\t× floor\tclient CPU\tserver CPU\tallocs\tbytes\tpeak heap\tlive\t"+calls("calls"))
	for _, e := range o.Entries {
		if len(e.Samples) == 0 {
			fmt.Fprintf(tw, "%s\t–\t–\t–\t–\t–\t–\t–\t–\t–\t%s\n", e.Contender, calls("–"))
			continue
		}
		walls := e.figures(wall)
		fmt.Fprintf(tw, "%s\t%s\t%.0f %%\t%s\t%s\t%s\t%.4g\t%.4g\t%s\t%s\t%s\n", e.Contender, duration(median(walls)), 100*spread(walls),
			times(median(o.ratios(wall, e.Contender, floor))), duration(median(e.figures(cpu))),
			duration(median(e.figures(theirs))), median(e.figures(allocs)), median(e.figures(allocated)), mebibytes(e.Memory.Peak), mebibytes(e.Memory.Live),
			calls(strconv.Itoa(e.calls())))
	}
	_ = tw.Flush() // a strings.Builder does not fail
	for _, e := range o.Entries {
		var notes []string
		if e.Error != "" {
			notes = append(notes, "FAILED: "+e.Error)
		}
		if n := len(e.Failures); n > 0 {
			notes = append(notes, fmt.Sprintf("failed %d × and was asked again: %s", n, e.Failures[n-1]))
		}
		if e.Note != "" {
			notes = append(notes, e.Note)
		}
		for _, m := range slices.Sorted(maps.Keys(e.Calls)) {
			notes = append(notes, fmt.Sprintf("%d × %s", e.Calls[m], m[strings.LastIndexByte(m, '/')+1:]))
		}
		if len(notes) > 0 {
			fmt.Fprintf(b, "  %s: %s\n", e.Contender, strings.Join(notes, "; "))
		}
	}
	if o.Error != "" {
		fmt.Fprintf(b, "  INVALID: %s\n", o.Error)
	}
}

// calls is how many calls one operation made.
func (e *entry) calls() int {
	n := 0
	for _, c := range e.Calls {
		n += c
	}
	return n
}

// duration writes nanoseconds with three digits.
func duration(ns float64) string {
	if math.IsNaN(ns) {
		return "–"
	}
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if ns >= u.size {
			return fmt.Sprintf("%.3g %s", ns/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.3g ns", ns)
}

func times(ratio float64) string {
	if math.IsNaN(ratio) {
		return "–"
	}
	return fmt.Sprintf("%.2f", ratio)
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
