//go:build unix

package immudbtest_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	victim := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestAnInterruptStillEndsTheProcess$")
	victim.Env = append(os.Environ(), signalVictim+"="+t.TempDir())
	victim.Stderr = t.Output()
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// In the background of a script SIGINT is ignored, and a process inherits that. It does not inherit a handler: where this
	// process has one, the victim gets the default.
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, syscall.SIGINT)
	err = victim.Start()
	signal.Stop(handled)
	if err != nil {
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
