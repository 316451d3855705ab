//go:build !unix

package main

import "time"

// cpuTime is not known on this system; the column stays 0.
func cpuTime() time.Duration { return 0 }
