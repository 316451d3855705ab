package main

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

// profileTime is how long a task is repeated under the CPU profiler, which looks a hundred times a second.
const profileTime = 5 * time.Second

// profile repeats t and writes name.cpu.pprof, then name.allocs.pprof of one more run.
func (t *task) profile(ctx context.Context, n int, name string) (ops int, err error) {
	f, err := os.Create(name + ".cpu.pprof")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return 0, err
	}
	for began := time.Now(); err == nil && time.Since(began) < profileTime; {
		var done int
		done, err = t.run(ctx, n)
		ops += done
	}
	pprof.StopCPUProfile()
	if err != nil {
		return ops, err
	}
	runtime.MemProfileRate = 512 // bytes; too slow to be set during a CPU profile
	done, err := t.run(ctx, n)
	ops += done
	if err != nil {
		return ops, err
	}
	runtime.GC() // the profile has the allocations up to the last collection
	return ops, writeAllocs(name + ".allocs.pprof")
}

func writeAllocs(name string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return pprof.Lookup("allocs").WriteTo(f, 0)
}
