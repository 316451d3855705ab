package immudb_test

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

	"github.com/immudb-go/immudb"
)

// eachStore runs a test with every store of the package.
func eachStore(t *testing.T, test func(t *testing.T, store immudb.StateStore)) {
	t.Run("memory", func(t *testing.T) { test(t, &immudb.MemoryStateStore{}) })
	t.Run("file", func(t *testing.T) {
		store, err := immudb.NewFileStateStore(filepath.Join(t.TempDir(), "made", "for it"))
		if err != nil {
			t.Fatal(err)
		}
		test(t, store)
	})
}

func stateAt(tx uint64) immudb.State {
	return immudb.State{ServerUUID: "s", Database: "db", Host: "h:1", TxID: tx, Hash: immudb.Hash{byte(tx)},
		Signature: []byte{1, 2}, Tables: map[string]immudb.Hash{"t": {3}}}
}

func mustSwap(t *testing.T, store immudb.StateStore, old, new immudb.State) {
	t.Helper()
	if ok, err := store.Swap(t.Context(), old, new); !ok || err != nil {
		t.Fatalf("swap of tx %d for %d: %v, %v", old.TxID, new.TxID, ok, err)
	}
}

func TestAStateStoreGivesBackWhatWasStored(t *testing.T) {
	eachStore(t, func(t *testing.T, store immudb.StateStore) {
		if _, err := store.Load(t.Context(), "s", "db"); !errors.Is(err, immudb.ErrStateMissing) {
			t.Fatalf("err = %v, want ErrStateMissing", err)
		}
		mustSwap(t, store, immudb.State{}, stateAt(5))
		got, err := store.Load(t.Context(), "s", "db")
		if err != nil || got.Pin() != stateAt(5).Pin() || got.Tables["t"] != stateAt(5).Tables["t"] || string(got.Signature) != "\x01\x02" || got.Host != "h:1" {
			t.Errorf("got %+v, %v", got, err)
		}
		for _, other := range [][2]string{{"s", "other"}, {"other", "db"}, {"sd", "b"}} {
			if _, err := store.Load(t.Context(), other[0], other[1]); !errors.Is(err, immudb.ErrStateMissing) {
				t.Errorf("%v: err = %v, want ErrStateMissing", other, err)
			}
		}
		if all, err := store.States(t.Context()); err != nil || len(all) != 1 || all[0].Pin() != got.Pin() {
			t.Errorf("all states are %v, %v", all, err)
		}
	})
}

func TestAStateStoreDoesNotGoBack(t *testing.T) {
	eachStore(t, func(t *testing.T, store immudb.StateStore) {
		mustSwap(t, store, immudb.State{}, stateAt(5))
		other := stateAt(5)
		other.Hash[9]++
		for reason, new := range map[string]immudb.State{"an older one": stateAt(4), "another hash": other, "none": {}} {
			if ok, err := store.Swap(t.Context(), stateAt(5), new); ok || err == nil {
				t.Errorf("%s: %v, %v, want an error", reason, ok, err)
			}
		}
		if ok, err := store.Swap(t.Context(), stateAt(3), stateAt(7)); ok || err != nil {
			t.Errorf("from a state that is not the stored one: %v, %v, want false", ok, err)
		}
		if ok, err := store.Swap(t.Context(), immudb.State{}, stateAt(7)); ok || err != nil {
			t.Errorf("as if there were none: %v, %v, want false", ok, err)
		}
		if got, err := store.Load(t.Context(), "s", "db"); err != nil || got.Pin() != stateAt(5).Pin() {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestOfSeveralSwapsFromOneStateOneWins(t *testing.T) {
	dir := t.TempDir()
	stores := make([]immudb.StateStore, 8)
	for i := range stores {
		var err error
		if stores[i], err = immudb.NewFileStateStore(dir); err != nil { // as processes would
			t.Fatal(err)
		}
	}
	mustSwap(t, stores[0], immudb.State{}, stateAt(1))
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

// Whoever reads sees the old state or the new one, and keeps nobody from writing.
func TestAStateIsReadWhileItIsReplaced(t *testing.T) {
	store, err := immudb.NewFileStateStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mustSwap(t, store, immudb.State{}, stateAt(1))
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

func TestASwapWaitsForTheLockAsLongAsItsContext(t *testing.T) {
	dir := t.TempDir()
	store, err := immudb.NewFileStateStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := immudb.LockFile(t.Context(), filepath.Join(dir, "lock")) // as another process would
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if ok, err := store.Swap(ctx, immudb.State{}, stateAt(5)); ok || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "lock") {
		t.Errorf("while it is locked: %v, %v", ok, err)
	}
	time.AfterFunc(10*time.Millisecond, unlock)
	mustSwap(t, store, immudb.State{}, stateAt(5))
}

// The lock file may be deleted, with the directory's whole content, while somebody
// holds it. Whoever waited for it then must not take it for the lock.
func TestALockOnADeletedFileIsNone(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // a file in use cannot be deleted
	}
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := immudb.LockFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan func())
	go func() {
		second, err := immudb.LockFile(t.Context(), path)
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
	if third, err := immudb.LockFile(ctx, path); err == nil {
		third()
		t.Error("two have the lock")
	}
}

func TestADamagedStateFileIsNotAMissingState(t *testing.T) {
	dir := t.TempDir()
	store, err := immudb.NewFileStateStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	mustSwap(t, store, immudb.State{}, stateAt(5))
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
		"of another format":    strings.Replace(string(whole), `"format": 1`, `"format": 2`, 1),
		"of another database":  strings.Replace(string(whole), `"db"`, `"other"`, 1),
		"with half a hash":     strings.Replace(string(whole), stateAt(5).Hash.String(), "00", 1),
		"without a hash":       strings.Replace(string(whole), `"hash"`, `"other"`, 1),
		"without a tx":         strings.Replace(string(whole), `"tx_id": 5`, `"tx_id": 0`, 1),
		"with a hash of words": strings.Replace(string(whole), stateAt(5).Hash.String(), strings.Repeat("x", 64), 1),
	} {
		if err := os.WriteFile(paths[0], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Load(t.Context(), "s", "db"); err == nil || errors.Is(err, immudb.ErrStateMissing) || !strings.Contains(err.Error(), paths[0]) {
			t.Errorf("%s: err = %v, want one that names the file", reason, err)
		}
		if ok, err := store.Swap(t.Context(), immudb.State{}, stateAt(9)); ok || err == nil {
			t.Errorf("%s: it was overwritten", reason)
		}
	}
}

func TestAPublicKeyThatCannotBeReadIsAnErrorAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for _, write := range []func() error{
		func() error { return nil },
		func() error { return os.WriteFile(path, []byte("no key"), 0o600) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
		cfg, err := immudb.ParseDSN("immudb://u@localhost/db?server_public_key=" + path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := immudb.NewConnector(cfg); err == nil || !strings.Contains(err.Error(), "server_public_key") {
			t.Errorf("err = %v, want one that names the option", err)
		}
	}
}
