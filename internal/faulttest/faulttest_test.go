package faulttest

import (
	"database/sql/driver"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
)

// The short form of the matrix has the faults that have found bugs before. The full form is
// cmd/faultmatrix.
func TestWorkSurvivesFaults(t *testing.T) {
	set := Together
	// On a machine that is busy with other tests, a hundred logins at once can take longer than connect_timeout.
	set.Bar, set.Timeout, set.Patience = 30*time.Second, 30*time.Second, 45*time.Second
	for _, name := range []string{"kill", "cut-receiving", "black-hole", "half-open-receiving", "drop-sessions", "cancel"} {
		t.Run(name, func(t *testing.T) {
			for _, group := range Groups() {
				if len(group[0].Server) > 0 {
					continue // 48 workers are too many for a busy machine
				}
				r, err := Run(FaultNamed(name), group, set, StageOptions{ConnectTimeout: set.Timeout})
				if err != nil {
					t.Fatal(err)
				}
				for _, what := range r.Failures(set) {
					t.Error(what)
				}
			}
		})
	}
}

// The judges must detect each planted fault.
func TestPlantedFaultsAreDetected(t *testing.T) {
	for plant, found := range map[string]struct{ workload, objection string }{
		"write runs twice":                      {"autocommit", ""},
		"write is acknowledged and not made":    {"autocommit", ""},
		"write is made and said to have failed": {"autocommit", ""},
		"query is answered as it was before":    {"registers", ""},
		"rows end too early":                    {"read-only", ""},
		"calls fail for good":                   {"autocommit", "not succeeded again"},
	} {
		t.Run(plant, func(t *testing.T) {
			wrap := func(c *immudb.Connector) driver.Connector { return plantNamed(t, plant).Connector(c) }
			set := Together
			set.Patience = 0
			r, err := Run(FaultNamed("none"), []*Workload{WorkloadNamed(found.workload)}, set, StageOptions{Wrap: wrap})
			if err != nil {
				t.Fatal(err)
			}
			failures := r.Failures(set)
			if len(failures) == 0 || !strings.Contains(strings.Join(failures, "\n"), found.objection) {
				t.Errorf("the judge of %s reports %q", found.workload, failures)
			}
		})
	}
}

func plantNamed(t *testing.T, name string) *Plant {
	t.Helper()
	for _, p := range Plants {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("there is no planted fault %q", name)
	return nil
}
