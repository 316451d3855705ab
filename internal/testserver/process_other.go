//go:build !unix

package testserver

import (
	"os"
)

// These systems have none of the signals: Pause fails with an error, Stop kills the process, and programs that are built
// at the same time are built twice.
var (
	pauseSignal  os.Signal = os.Interrupt
	resumeSignal os.Signal = os.Interrupt
)

func askToEnd(p *os.Process) error { return p.Kill() }

func lock(*os.File) error { return nil }

func endedAsAsked(*os.ProcessState) bool { return true }
