package immudb

import (
	"context"
	"testing"
)

func TestNoTracerAllocatesNothing(t *testing.T) {
	c := &Conn{connector: &Connector{cfg: &Config{}}}
	ctx := context.Background()
	allocs := testing.AllocsPerRun(100, func() {
		traced, op := c.trace(ctx, TraceExec, "SELECT 1", "", 0, nil)
		op.end(traced, nil)
		if traced != ctx || op != nil {
			t.Error("there is a trace without a Tracer")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

func BenchmarkNoTracer(b *testing.B) {
	c := &Conn{connector: &Connector{cfg: &Config{}}}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		traced, op := c.trace(ctx, TraceExec, "SELECT 1", "", 0, nil)
		op.end(traced, nil)
	}
}
