//go:build unix

package immudbtest_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/immudb-go/immudb/immudbtest"
)

const signalVictim = "IMMUDBTEST_SIGNAL_VICTIM"

// TestAnInterruptStillEndsTheProcess starts itself as another process, which runs a server and is interrupted.
func TestAnInterruptStillEndsTheProcess(t *testing.T) {
	if os.Getenv(signalVictim) != "" {
		srv, err := immudbtest.New(immudbtest.WithDir(os.Getenv(signalVictim)))
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Restart(); err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString("ready\n")
		select {}
	}
	victim := exec.Command(os.Args[0], "-test.run=^TestAnInterruptStillEndsTheProcess$")
	victim.Env = append(os.Environ(), signalVictim+"="+t.TempDir())
	victim.Stderr = t.Output()
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if err := victim.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := victim.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Fatalf("got %v, want an end by SIGINT", err)
	}
}
