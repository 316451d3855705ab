//go:build !unix

package testserver

import (
	"os"
)

// These systems know none of the signals: pausing fails with an error, a process that is asked to end is killed,
// and programs built at the same time are built twice.
var (
	pauseSignal  os.Signal = os.Interrupt
	resumeSignal os.Signal = os.Interrupt
)

func askToEnd(p *os.Process) error { return p.Kill() }

func lock(*os.File) error { return nil }

func endedAsAsked(*os.ProcessState) bool { return true }
