package trust

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/proof"
)

// eachStore runs a test with every store of the package.
func eachStore(t *testing.T, test func(t *testing.T, store Store)) {
	t.Run("memory", func(t *testing.T) { test(t, &MemoryStore{}) })
	t.Run("file", func(t *testing.T) {
		store, err := NewFileStore(filepath.Join(t.TempDir(), "made", "for it"))
		if err != nil {
			t.Fatal(err)
		}
		test(t, store)
	})
}

func stateAt(tx uint64) State {
	return State{History: "s", ServerUUID: "u", Database: "db", Host: "h:1", TxID: tx, Hash: proof.Digest{byte(tx)},
		Signature: []byte{1, 2}, AuditedTxID: 1, AuditedHash: proof.Digest{9}, DroppedTables: []uint32{4, 7}, Tables: map[string]proof.Digest{"t": {3}}}
}

func mustSwap(t *testing.T, store Store, old, new State) {
	t.Helper()
	if ok, err := store.Swap(t.Context(), old, new); !ok || err != nil {
		t.Fatalf("swap of tx %d for %d: %v, %v", old.TxID, new.TxID, ok, err)
	}
}

func TestStoreReturnsWhatWasStored(t *testing.T) {
	eachStore(t, func(t *testing.T, store Store) {
		if _, err := store.Load(t.Context(), "s", "db"); !errors.Is(err, ErrNotStored) {
			t.Fatalf("err = %v, want ErrNotStored", err)
		}
		mustSwap(t, store, State{}, stateAt(5))
		got, err := store.Load(t.Context(), "s", "db")
		if err != nil || got.Pin() != stateAt(5).Pin() || got.Tables["t"] != stateAt(5).Tables["t"] || string(got.Signature) != "\x01\x02" || got.Host != "h:1" {
			t.Errorf("got %+v, %v", got, err)
		}
		for _, other := range [][2]string{{"s", "other"}, {"other", "db"}, {"sd", "b"}} {
			if _, err := store.Load(t.Context(), other[0], other[1]); !errors.Is(err, ErrNotStored) {
				t.Errorf("%v: err = %v, want ErrNotStored", other, err)
			}
		}
		if all, err := store.States(t.Context()); err != nil || len(all) != 1 || all[0].Pin() != got.Pin() {
			t.Errorf("all states are %v, %v", all, err)
		}
	})
}

func TestStoreRefusesOlderState(t *testing.T) {
	eachStore(t, func(t *testing.T, store Store) {
		mustSwap(t, store, State{}, stateAt(5))
		other := stateAt(5)
		other.Hash[9]++
		for reason, new := range map[string]State{"an older one": stateAt(4), "another hash": other, "none": {}} {
			if ok, err := store.Swap(t.Context(), stateAt(5), new); ok || err == nil {
				t.Errorf("%s: %v, %v, want an error", reason, ok, err)
			}
		}
		if ok, err := store.Swap(t.Context(), stateAt(3), stateAt(7)); ok || err != nil {
			t.Errorf("from a state that is not the stored one: %v, %v, want false", ok, err)
		}
		if ok, err := store.Swap(t.Context(), State{}, stateAt(7)); ok || err != nil {
			t.Errorf("as if there were none: %v, %v, want false", ok, err)
		}
		if got, err := store.Load(t.Context(), "s", "db"); err != nil || got.Pin() != stateAt(5).Pin() {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestConcurrentSwapsOfOneStateHaveOneWinner(t *testing.T) {
	dir := t.TempDir()
	stores := make([]Store, 8)
	for i := range stores {
		var err error
		if stores[i], err = NewFileStore(dir); err != nil { // as processes would
			t.Fatal(err)
		}
	}
	mustSwap(t, stores[0], State{}, stateAt(1))
	for round := uint64(1); round < 10; round++ {
		var wg sync.WaitGroup
		won := make(chan int, len(stores))
		for i, store := range stores {
			wg.Go(func() {
				if ok, err := store.Swap(t.Context(), stateAt(round), stateAt(round+1)); err != nil {
					t.Error(err)
				} else if ok {
					won <- i
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Errorf("round %d: %d won", round, len(won))
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Errorf("left in the directory: %v, %v", files, err)
	}
}

// A reader sees the old state or the new one, and never blocks a writer.
func TestReadersSeeWholeStatesDuringSwaps(t *testing.T) {
	store, err := NewFileStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mustSwap(t, store, State{}, stateAt(1))
	var readers sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 4 {
		readers.Go(func() {
			for last := uint64(1); ctx.Err() == nil; {
				s, err := store.Load(t.Context(), "s", "db")
				if err != nil || s.TxID < last || s.Pin() != stateAt(s.TxID).Pin() {
					t.Errorf("after tx %d: got %s, %v", last, s.Pin(), err)
					return
				}
				last = s.TxID
				if _, err := store.States(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for tx := uint64(1); tx < 100; tx++ {
		mustSwap(t, store, stateAt(tx), stateAt(tx+1))
	}
	stop()
	readers.Wait()
}

func TestSwapWaitsForLockUntilContextEnds(t *testing.T) {
	dir := t.TempDir()
	store, err := NewFileStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := lockFile(t.Context(), filepath.Join(dir, "lock")) // as another process would
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if ok, err := store.Swap(ctx, State{}, stateAt(5)); ok || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "lock") {
		t.Errorf("while it is locked: %v, %v", ok, err)
	}
	time.AfterFunc(10*time.Millisecond, unlock)
	mustSwap(t, store, State{}, stateAt(5))
}

// The lock file may be deleted, with the directory's whole content, while a process
// holds it. A process that waits for it must then not treat it as the lock.
func TestLockOnDeletedFileIsNotHeld(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // a file in use cannot be deleted
	}
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lockFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan func())
	go func() {
		second, err := lockFile(t.Context(), path)
		if err != nil {
			t.Error(err)
		}
		waiting <- second
	}()
	time.Sleep(20 * time.Millisecond)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	unlock()
	defer (<-waiting)()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if third, err := lockFile(ctx, path); err == nil {
		third()
		t.Error("two holders have the lock at once")
	}
}

func TestDamagedStateFileIsNotMissingState(t *testing.T) {
	dir := t.TempDir()
	store, err := NewFileStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	mustSwap(t, store, State{}, stateAt(5))
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%v, %v", paths, err)
	}
	whole, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	for reason, content := range map[string]string{
		"empty":                "",
		"cut":                  string(whole[:len(whole)/2]),
		"of another format":    strings.Replace(string(whole), `"format": 2`, `"format": 1`, 1),
		"of another database":  strings.Replace(string(whole), `"db"`, `"other"`, 1),
		"with half a hash":     strings.Replace(string(whole), stateAt(5).Hash.String(), "00", 1),
		"without a hash":       strings.Replace(string(whole), `"hash"`, `"other"`, 1),
		"without a tx":         strings.Replace(string(whole), `"tx_id": 5`, `"tx_id": 0`, 1),
		"with a hash of words": strings.Replace(string(whole), stateAt(5).Hash.String(), strings.Repeat("x", 64), 1),
	} {
		if err := os.WriteFile(paths[0], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Load(t.Context(), "s", "db"); err == nil || errors.Is(err, ErrNotStored) || !strings.Contains(err.Error(), paths[0]) {
			t.Errorf("%s: err = %v, want one that names the file", reason, err)
		}
		if ok, err := store.Swap(t.Context(), State{}, stateAt(9)); ok || err == nil {
			t.Errorf("%s: it was overwritten", reason)
		}
	}
}
