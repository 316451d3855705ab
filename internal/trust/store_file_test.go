//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package trust

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func newFileStore(t *testing.T) *FileStore {
	t.Helper()
	store, err := NewFileStore(filepath.Join(t.TempDir(), "states"))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func filesOf(t *testing.T, store *FileStore) (names []string) {
	t.Helper()
	files, err := os.ReadDir(store.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

func TestDirectoryThatOthersMayWriteToIsRefused(t *testing.T) {
	for mode, ok := range map[os.FileMode]bool{0o700: true, 0o755: true, 0o750: true, 0o777: false, 0o770: false, 0o702: false} {
		dir := filepath.Join(t.TempDir(), "states")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := NewFileStore(dir); (err == nil) != ok || !ok && !strings.Contains(err.Error(), "chmod go-w") {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	if info, err := os.Stat(newFileStore(t).dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a directory of our own: %v, %v, want mode 0700", info.Mode(), err)
	}
}

// A server that reports another UUID each time must not fill the directory.
func TestManyServersOfADatabaseMakeOneFile(t *testing.T) {
	store := newFileStore(t)
	var last State
	for i := range uint64(60) {
		next := stateAt(i + 1)
		next.ServerUUID = fmt.Sprint("server ", i)
		mustSwap(t, store, last, next)
		last = next
	}
	if names := filesOf(t, store); len(names) != 2 { // the state and the lock
		t.Errorf("the directory holds %q", names)
	}
}

func TestUnfinishedFileOfADeadProcessIsOverwritten(t *testing.T) {
	store := newFileStore(t)
	left := filepath.Join(store.dir, newStateName)
	if err := os.WriteFile(left, []byte(strings.Repeat("half a state", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	mustSwap(t, store, State{}, stateAt(5))
	if got, err := store.Load(t.Context(), "s", "db"); err != nil || got.TxID != 5 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, name := range filesOf(t, store) {
		if name == newStateName {
			t.Error("the unfinished file is still there")
		}
		if info, err := os.Stat(filepath.Join(store.dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", name, info.Mode(), err)
		}
	}
}

func TestDamagedFileDoesNotAffectOtherDatabases(t *testing.T) {
	store := newFileStore(t)
	mustSwap(t, store, State{}, stateAt(5))
	other := stateAt(7)
	other.Database = "other"
	if err := os.WriteFile(store.path("s", "db"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustSwap(t, store, State{}, other)
	if got, err := store.Load(t.Context(), "s", "other"); err != nil || got.TxID != 7 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := store.Load(t.Context(), "s", "db"); err == nil || !strings.Contains(err.Error(), "restore it from a backup") {
		t.Errorf("the damaged one: %v", err)
	}
}
