package faulttest

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
)

// The short form of the matrix of several hosts. The full form is cmd/faultmatrix -hosts.
func TestWorkSurvivesTheLossOfHosts(t *testing.T) {
	set := Together
	set.Warm, set.Watch = 300*time.Millisecond, 0
	set.Bar, set.Patience = 30*time.Second, 45*time.Second // on a machine that is busy with other tests
	for _, c := range []struct {
		fault string
		hosts int
	}{{"old-primary", 2}, {"promotion", 3}, {"lag", 2}} {
		t.Run(fmt.Sprint(c.fault, "/", c.hosts), func(t *testing.T) {
			r, err := RunHosts(hostsFaultNamed(t, c.fault), c.hosts, set)
			if err != nil {
				t.Fatal(err)
			}
			for _, what := range r.Failures(set) {
				t.Error(what)
			}
		})
	}
}

func hostsFaultNamed(t *testing.T, name string) *HostsFault {
	t.Helper()
	for _, f := range HostsFaults {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("there is no fault %q of several hosts", name)
	return nil
}

// The judge of reads must detect a result that is older than one before it.
func TestAReadOlderThanTheFloorIsDetected(t *testing.T) {
	o := StageOptions{Wrap: func(c *immudb.Connector) driver.Connector {
		return plantNamed(t, "query is answered as it was before").Connector(c)
	}}
	s, err := NewStage([]*Workload{{Name: "floors", Workers: 2, Programs: 2, Retried: true, make: newFloors}}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	set := Together
	set.Patience = 0
	const most = 20 // plays: on a busy machine one may end before an old answer matters
	var found string
	for range most {
		cells, err := s.Play(FaultNamed("none"), set)
		if err != nil {
			t.Fatal(err)
		}
		if found = strings.Join(cells[0].Violations, "\n"); strings.Contains(found, "older than the floor") {
			return
		}
	}
	t.Errorf("the judge reports %q", found)
}
