package faulttest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	var ws []*Workload
	for _, w := range Workloads {
		if (os.Getenv("W") != "" || !w.Single) && (os.Getenv("W") == "" || strings.Contains(os.Getenv("W"), w.Name)) {
			ws = append(ws, w)
		}
	}
	set := Together
	if os.Getenv("ALONE") != "" {
		set = Alone
	}
	for _, f := range Faults {
		if os.Getenv("F") != "" && !strings.Contains(","+os.Getenv("F")+",", ","+f.Name+",") {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			b := time.Now()
			r, err := Run(f, ws, set, StageOptions{})
			if err != nil {
				t.Error(err)
			}
			for _, c := range r.Cells {
				c.Samples = nil
				j, _ := json.Marshal(c)
				t.Log(string(j))
			}
			j, _ := json.Marshal(r.End)
			t.Log(string(j), time.Since(b))
			for _, f := range r.Failures(set) {
				t.Error(f)
			}
		})
	}
}
