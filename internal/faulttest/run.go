package faulttest

import (
	"errors"
	"fmt"
)

// Run plays one fault on a new stage, and closes the stage.
func Run(f *Fault, workloads []*Workload, set Settings, o StageOptions) (r Result, err error) {
	o.Faults = []*Fault{f}
	s, err := NewStage(workloads, o)
	if err != nil {
		return r, err
	}
	r.Fault = f.Name
	r.Cells, err = s.Play(f, set)
	end, closeErr := s.Close()
	r.End = end
	return r, errors.Join(err, closeErr)
}

// Failures returns the failures of a result. Each sentence begins with the names of its cell.
func (r *Result) Failures(bar Settings) []string {
	f := FaultNamed(r.Fault)
	var failures []string
	for i := range r.Cells {
		c := &r.Cells[i]
		for _, what := range c.Failures(f, WorkloadNamed(c.Workload), bar.Bar) {
			failures = append(failures, fmt.Sprintf("%s × %s: %s", c.Fault, c.Workload, what))
		}
	}
	for _, what := range r.End.Failures() {
		failures = append(failures, fmt.Sprintf("%s: %s", r.name(), what))
	}
	return failures
}

func (r *Result) name() string {
	if len(r.Cells) == 1 {
		return r.Fault + " × " + r.Cells[0].Workload
	}
	return r.Fault
}

// FaultNamed returns the fault, or nil.
func FaultNamed(name string) *Fault {
	for _, f := range Faults {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// WorkloadNamed returns the workload, or nil.
func WorkloadNamed(name string) *Workload {
	for _, w := range Workloads {
		if w.Name == name {
			return w
		}
	}
	return nil
}
