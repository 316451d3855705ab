package testserver

import (
	"os/exec"
	"syscall"
)

func tieToThread(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
