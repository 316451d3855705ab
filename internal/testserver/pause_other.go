//go:build !linux

package testserver

import "time"

// awaitPause waits a moment for the process's threads to stop: these systems have no call that reports it.
func awaitPause(int) error {
	time.Sleep(50 * time.Millisecond)
	return nil
}
