package testserver

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// awaitPause returns when every thread of the process has stopped. Threads that run when the signal is sent may run a
// moment longer.
func awaitPause(pid int) error {
	for deadline := time.Now().Add(commandPatience); ; time.Sleep(time.Millisecond) {
		stats, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat"))
		if err != nil {
			return err
		}
		running := 0
		for _, file := range stats {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // the thread has ended
			}
			// "pid (name) state …"; the name may hold any characters.
			if state := text[bytes.LastIndexByte(text, ')')+1:]; !bytes.HasPrefix(state, []byte(" T")) {
				running++
			}
		}
		if running == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("testserver: %d threads of process %d have not stopped within %v", running, pid, commandPatience)
		}
	}
}
