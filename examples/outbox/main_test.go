package main

import (
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

// child is the variable that makes the test's own program an outbox.
const child = "OUTBOX_TO"

func TestMain(m *testing.M) {
	if path := os.Getenv(child); path != "" {
		fmt.Fprintln(os.Stderr, run(context.Background(), os.Getenv("IMMUDB_DSN"), path, nil))
		os.Exit(1)
	}
	os.Exit(testserver.Main(m, testserver.NoSessions))
}

// stored is what an outbox holds, in its order.
func stored(t *testing.T, path string) (list []string) {
	t.Helper()
	o, err := openOutbox(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	rows, err := o.db.Query("SELECT seq, tx_id, kind, table_name, COALESCE(key, schema) FROM outbox ORDER BY seq")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq, tx int64
		var kind, table, what string
		if err := rows.Scan(&seq, &tx, &kind, &table, &what); err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%d %s %s %s", tx, kind, table, what))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// The outbox holds every change once, in the order of the commits, although it is killed at random moments.
func TestAKilledOutboxHoldsEachChangeOnce(t *testing.T) {
	s := testserver.Start(t, "-synced=false")
	db, err := sql.Open("immudb", s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec1 := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec1("CREATE TABLE orders (id INTEGER, amount INTEGER, PRIMARY KEY id)")
	var want []string
	want = append(want, "1 schema orders the table is created")
	writes := 0
	write := func() {
		id := int64(writes) * 3
		exec1("INSERT INTO orders (id, amount) VALUES (?, 1), (?, 2), (?, 3)", id, id+1, id+2)
		for i := range int64(3) {
			want = append(want, fmt.Sprintf("%d upsert orders [%d]", writes+2, id+i))
		}
		writes++
	}
	path := filepath.Join(t.TempDir(), "outbox.db")
	dsn := dbtest.WithOptions(s.DSN(), "verify=trust-first-use", "state_dir="+t.TempDir())
	start := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), child+"="+path, "IMMUDB_DSN="+dsn)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	kill := func(cmd *exec.Cmd) {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // its error says that it was killed
	}
	// Each program is killed as soon as it has stored something more, at a random moment while changes come.
	killed := 0
	for range testserver.Rounds(t, 4, 15) {
		before := len(want)
		if killed > 0 {
			before = len(stored(t, path))
		}
		cmd := start()
		for n := rand.IntN(60); n > 0; n-- {
			write()
		}
		deadline := time.Now().Add(time.Minute)
		for {
			write()
			if _, err := os.Stat(path); err == nil && len(stored(t, path)) > before || killed == 0 && err == nil {
				break
			}
			if time.Now().After(deadline) {
				kill(cmd)
				t.Fatalf("nothing is stored after %d changes", len(want))
			}
		}
		kill(cmd)
		killed++
	}
	cmd := start()
	defer kill(cmd)
	for deadline := time.Now().Add(time.Minute); len(stored(t, path)) < len(want) && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	got := stored(t, path)
	if !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("entry %d is %q, want %q", i+1, got[i], want[i])
			}
		}
		t.Fatalf("the outbox holds %d changes, want %d", len(got), len(want))
	}
	t.Logf("%d changes by %d programs", len(got), killed+1)
}
