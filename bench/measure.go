package main

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"
)

// sample is the cost of one run of a contender.
type sample struct {
	Ops    int           `json:"ops"`
	Wall   time.Duration `json:"wall_ns"`
	CPU    time.Duration `json:"cpu_ns"` // user and system time of the contender's process
	Allocs uint64        `json:"allocs"`
	Bytes  uint64        `json:"bytes"` // allocated

	ServerCPU time.Duration `json:"server_cpu_ns"` // in steps of 10 ms; 0 if the system does not report it
}

// memory is how far a contender's heap grew during a run, in bytes above what it held before.
type memory struct {
	// Peak includes garbage that is not collected yet; the runtime first collects at 4 MiB.
	Peak int64 `json:"peak_bytes"`
	// Live is the most that a collection found in use. It is 0 if none fell into the run.
	Live int64 `json:"live_bytes"`
}

// task is a workload prepared in a contender.
type task struct {
	// run does n operations and returns how many it did.
	run func(ctx context.Context, n int) (int, error)
	// close releases the resources of the task. nil: it has none.
	close func() error
	// note returns a remark for the reader of the result. It is called after the runs.
	note func() string
}

// measure runs t once. It collects the garbage of earlier work first, because that is not a cost of t.
func (t *task) measure(ctx context.Context, n int) (sample, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu := cpuTime()
	began := time.Now()
	ops, err := t.run(ctx, n)
	wall := time.Since(began)
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	return sample{
		Ops:    ops,
		Wall:   wall,
		CPU:    cpu,
		Allocs: after.Mallocs - before.Mallocs,
		Bytes:  after.TotalAlloc - before.TotalAlloc,
	}, err
}

// heapLook is the interval for reading the size of the heap. Each read takes some microseconds, so such runs are not timed.
const heapLook = 500 * time.Microsecond

// watch runs t once and observes the heap. ops is the result of run.
func (t *task) watch(ctx context.Context, n int) (m memory, ops int, err error) {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	look := func() (objects, live int64) {
		metrics.Read(heap)
		return int64(heap[0].Value.Uint64()), int64(heap[1].Value.Uint64())
	}
	runtime.GC()
	objectsBefore, liveBefore := look()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(heapLook)
		defer tick.Stop()
		for {
			objects, live := look()
			m.Peak = max(m.Peak, objects-objectsBefore)
			m.Live = max(m.Live, live-liveBefore)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	ops, err = t.run(ctx, n)
	close(stop)
	<-stopped
	return m, ops, err
}
