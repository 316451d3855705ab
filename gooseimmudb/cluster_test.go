//go:build unix

package gooseimmudb_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/testserver"
)

const (
	runners       = 8
	roundPatience = 2 * time.Minute
)

func TestEveryMigrationRunsExactlyOnceHoweverManyOwnersDie(t *testing.T) {
	// The sessions of killed processes expire only after minutes.
	server := testserver.Start(t, "-max-sessions=10000")
	rounds := testserver.Rounds(t, 1, 2)
	var killed, paused int
	for round := range rounds {
		k, p := runRound(t, server.NewDatabase(t))
		killed, paused = killed+k, paused+p
		if t.Failed() {
			t.Fatalf("in round %d of %d", round+1, rounds)
		}
	}
	t.Logf("%d rounds of %d processes and %d migrations: %d owners killed, %d paused beyond their lease",
		rounds, runners, len(clusterMigrations), killed, paused)
}

func runRound(t *testing.T, dsn string) (killed, paused int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), roundPatience)
	defer cancel()
	db := openDB(t, dsn)

	type ended struct {
		err    error
		status int
		said   string
	}
	running := map[int]*exec.Cmd{}
	done := make(chan ended, runners)
	for range runners {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), runnerVariable+"="+dsn)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running[cmd.Process.Pid] = cmd
		go func() {
			err := cmd.Wait()
			done <- ended{err, cmd.ProcessState.ExitCode(), said.String()}
		}()
	}

	// Three owners are disturbed, a random while after they took the lock.
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for killed+paused < 3 {
			pid := owner(ctx, db)
			select {
			case <-stop:
				return
			case <-time.After(rand.N(60 * time.Millisecond)):
			}
			cmd := running[pid]
			if cmd == nil || owner(ctx, db) != pid {
				continue
			}
			if rand.N(3) > 0 {
				if cmd.Process.Kill() == nil {
					killed++
				}
				continue
			}
			if cmd.Process.Signal(syscall.SIGSTOP) == nil {
				paused++
				time.Sleep(runnerLease + rand.N(runnerLease))
				_ = cmd.Process.Signal(syscall.SIGCONT) // fails only when the process has ended
			}
		}
	}()
	for range runners {
		if e := <-done; e.status != statusDone && e.status != statusLost && (e.status != -1 || ctx.Err() != nil) { // -1: killed
			t.Errorf("a process ended with %v and printed %s", e.err, e.said)
		}
	}
	close(stop)
	<-stopped

	want := []int{0}
	for i := range clusterMigrations {
		want = append(want, i+1)
	}
	wantVersions(t, db, want...)
	if ran := list[int](t, db, "SELECT migration FROM ran ORDER BY id"); !slices.Equal(ran, want[1:]) {
		t.Errorf("the migrations that ran are %v, want %v", ran, want[1:])
	}
	return killed, paused
}

// owner returns the process that holds the lock, or 0.
func owner(ctx context.Context, db *sql.DB) (pid int) {
	var name, holder string
	if err := db.QueryRowContext(ctx, `SELECT "owner", "holder" FROM "goose_lock" WHERE "id" = 1`).Scan(&name, &holder); err != nil || name == "" {
		return 0 // not made yet, or never taken
	}
	fmt.Sscanf(holder, "process %d", &pid)
	return pid
}
