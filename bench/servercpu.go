package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// serverCPU is the user and system time of a process. Only Linux reports it; it is 0 elsewhere.
func serverCPU(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field is a name in parentheses and may hold anything. Of those behind it, the 12th and 13th are
	// user and system time, in hundredths of a second whatever the kernel's own clock is.
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	fields := bytes.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
