//go:build unix

package migrateimmudb_test

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
	runnerLease   = 800 * time.Millisecond
	roundPatience = 2 * time.Minute
)

func TestEveryMigrationRunsExactlyOnceHoweverManyOwnersDie(t *testing.T) {
	// The sessions of killed processes expire only after minutes.
	server := testserver.Start(t, "-max-sessions=10000")
	rounds := testserver.Rounds(t, 1, 3) // 100 at least once for every change of the lock: IMMUDB_TEST_LONG=34
	var total disturbance
	for round := range rounds {
		dsn := server.NewDatabase(t)
		total.add(runRound(t, dsn))
		if t.Failed() {
			t.Fatalf("in round %d of %d", round+1, rounds)
		}
	}
	t.Logf("%d rounds of %d processes and %d migrations: %d owners killed, %d paused beyond their lease, %d announcements taken back, %d processes told that they lost the lock",
		rounds, runners, len(clusterMigrations), total.killed, total.paused, total.takenBack, total.lost)
}

// disturbance counts the faults of the owners of the lock.
type disturbance struct{ killed, paused, takenBack, lost int }

func (d *disturbance) add(o disturbance) {
	d.killed += o.killed
	d.paused += o.paused
	d.takenBack += o.takenBack
	d.lost += o.lost
}

func runRound(t *testing.T, dsn string) (d disturbance) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), roundPatience)
	defer cancel()
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	type ended struct {
		err    error
		status int
		said   string
	}
	running := map[int]*exec.Cmd{}
	done := make(chan ended, runners)
	for range runners {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), runnerVariable+"="+withOptions(t, dsn, "x-lock-lease="+runnerLease.String(), "x-lock-timeout=60s"))
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
	disturbed := make(chan disturbance)
	stop := make(chan struct{})
	go func() {
		var d disturbance
		defer func() { disturbed <- d }()
		for d.killed+d.paused < 3 {
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
					d.killed++
				}
				continue
			}
			if cmd.Process.Signal(syscall.SIGSTOP) == nil {
				d.paused++
				time.Sleep(runnerLease + rand.N(runnerLease))
				_ = cmd.Process.Signal(syscall.SIGCONT) // fails only when the process has ended
			}
		}
	}()
	var lost int
	for range runners {
		switch e := <-done; {
		case e.status == statusDone, e.status == -1 && ctx.Err() == nil: // -1: killed
		case e.status == statusLost:
			lost++
		default:
			t.Errorf("a process ended with %v and printed %s", e.err, e.said)
		}
	}
	close(stop)
	d = <-disturbed
	d.lost = lost

	var version int
	var dirty bool
	if err := db.QueryRow(`SELECT "version", "dirty" FROM "schema_migrations"`).Scan(&version, &dirty); err != nil {
		t.Fatal(err)
	}
	if version != len(clusterMigrations) || dirty {
		t.Errorf("version %d, dirty %v, want %d, clean", version, dirty, len(clusterMigrations))
	}
	var want []int
	for i := range clusterMigrations {
		want = append(want, i+1)
	}
	if ran := list[int](t, db, "SELECT migration FROM ran ORDER BY id"); !slices.Equal(ran, want) {
		t.Errorf("the migrations that ran are %v, want %v", ran, want)
	}
	versions := list[int](t, db, `SELECT "version" FROM (HISTORY OF "schema_migrations") WHERE "dirty" = false`)
	d.takenBack = len(versions) - len(slices.Compact(slices.Sorted(slices.Values(versions))))
	return d
}

// owner returns the process that holds the lock, or 0.
func owner(ctx context.Context, db *sql.DB) (pid int) {
	var name, holder string
	if err := db.QueryRowContext(ctx, `SELECT "owner", "holder" FROM "schema_migrations_lock" WHERE "id" = 1`).Scan(&name, &holder); err != nil || name == "" {
		return 0 // not made yet, or never taken
	}
	fmt.Sscanf(holder, "process %d", &pid)
	return pid
}
