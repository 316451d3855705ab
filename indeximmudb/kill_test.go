package indeximmudb

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// childFile is the variable that makes the test's own program one that keeps an index.
const childFile = "INDEX_FILE"

// follow keeps an index, and prints a line whenever it has written.
func follow(dsn, path string) error {
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		return err
	}
	x, err := Open(path, db, Options{PollInterval: time.Millisecond})
	if err != nil {
		return err
	}
	go func() {
		for {
			<-x.nextCommit()
			fmt.Println(x.Tx())
		}
	}()
	return x.Run(context.Background())
}

// An index whose program is killed again and again, at random moments while it writes, has what an index has
// that was never disturbed.
func TestAKilledIndexHasEveryRowOnceAndNoOther(t *testing.T) {
	s := testserver.Start(t, "-synced=false")
	db := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE orders (id INTEGER, amount INTEGER, PRIMARY KEY id)")
	path := filepath.Join(t.TempDir(), "index")
	dsn := dbtest.WithOptions(s.DSN(), trustFirstUse, "state_dir="+t.TempDir())
	writes := 0
	write := func() {
		writes++
		if writes%7 == 0 {
			dbtest.Exec(t, db, "DELETE FROM orders WHERE id = ?", writes%40)
			return
		}
		dbtest.Exec(t, db, "UPSERT INTO orders (id, amount) VALUES (?, ?), (?, ?)", writes%40, writes, writes+100, writes)
	}
	for range testserver.Rounds(t, 5, 15) {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), childFile+"="+path, "IMMUDB_DSN="+dsn)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		written := make(chan struct{})
		go func() {
			defer close(written)
			for lines := bufio.NewScanner(out); lines.Scan(); {
				written <- struct{}{}
			}
		}()
		// It is killed at a random moment after it has written, while there is something to write.
		for seen, until := 0, 1+rand.IntN(4); seen < until; {
			write()
			select {
			case _, ok := <-written:
				if !ok {
					t.Fatal("the program has ended by itself")
				}
				seen++
			default:
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for range written {
		}
		_ = cmd.Wait() // its error says that it was killed
	}
	x := openAt(t, path, db, Options{})
	if x.Tx() == 0 {
		t.Error("the programs have stored nothing")
	}
	update(t, x)
	undisturbed := newIndex(t, db)
	update(t, undisturbed)
	got, want := rowsOf(t, x, "orders", ""), rowsOf(t, undisturbed, "orders", "")
	if !slices.Equal(got, want) {
		t.Errorf("the index has\n%q, want\n%q", got, want)
	}
	if n := dbtest.Get[int64](t, db, "SELECT COUNT(*) FROM orders"); int(n) != len(got) {
		t.Errorf("the index has %d rows, the server %d", len(got), n)
	}
}
