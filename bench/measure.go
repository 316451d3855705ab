package main

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"
)

// sample is what one run of a contender cost.
type sample struct {
	Ops    int           `json:"ops"`
	Wall   time.Duration `json:"wall_ns"`
	CPU    time.Duration `json:"cpu_ns"` // user and system time of the contender's process
	Allocs uint64        `json:"allocs"`
	Bytes  uint64        `json:"bytes"` // allocated

	ServerCPU time.Duration `json:"server_cpu_ns"` // in hundredths of a second; 0 where the system does not tell
}

// memory is how far a contender's heap grew during a run, in bytes above what it held before.
type memory struct {
	// Peak counts garbage not yet collected, of which the runtime lets 4 MiB gather before it looks.
	Peak int64 `json:"peak_bytes"`
	// Live is the most that a collection found in use. It is 0 if none fell into the run.
	Live int64 `json:"live_bytes"`
}

// task is a workload made ready in a contender.
type task struct {
	// run does n operations and returns how many it did.
	run func(ctx context.Context, n int) (int, error)
	// close gives back what the task holds. nil: nothing.
	close func() error
	// note says what the reader of the result must know. It is asked for after the runs.
	note func() string
}

// measure runs t once. The garbage of what came before is not its cost, so it is collected first.
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

// heapLook is how often the heap is looked at. A look costs some microseconds, so runs that are looked at are not
// timed.
const heapLook = 500 * time.Microsecond

// watch runs t once and observes the heap. ops is what run says.
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
