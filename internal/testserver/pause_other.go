//go:build !linux

package testserver

import "time"

// awaitPause gives the process's threads the moment they need to stop: no call says when they have.
func awaitPause(int) error {
	time.Sleep(50 * time.Millisecond)
	return nil
}
