package trust

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/proof"
)

// FileStore keeps states in a directory, one file for each, readable by its owner
// only. Several processes may share the directory: a file is replaced as a whole,
// under a lock, and never by an older state. A user who can write to the directory
// can change what is trusted.
type FileStore struct{ dir string }

var _ Store = (*FileStore)(nil)

// NewFileStore uses dir, and creates it, with its parents, if it does not exist. It
// refuses a directory that other users than its owner may write to.
func NewFileStore(dir string) (*FileStore, error) {
	if dir == "" {
		return nil, errors.New("immudb: state store: a directory is needed")
	}
	abs, err := filepath.Abs(dir) // the program may change its working directory
	if err == nil {
		err = os.MkdirAll(abs, 0o700)
	}
	if err == nil {
		err = checkDir(abs)
	}
	if err != nil {
		return nil, fmt.Errorf("immudb: state store: %w", err)
	}
	return &FileStore{abs}, nil
}

const (
	stateFormat   = 2
	stateSuffix   = ".state.json"
	stateLockName = "lock"
	// newStateName is the file that a state is written to before it is renamed. It is
	// used under the lock only, so one name is enough; if a process died and left the
	// file, the next write overwrites it.
	newStateName = "new"
)

// stateFile is what a file holds.
type stateFile struct {
	Format  int       `json:"format"`
	Updated time.Time `json:"updated"`
	State
}

// path is the file of a state. Its name is a hash, because the names of histories
// and databases need not be valid file names.
func (f *FileStore) path(history, database string) string {
	name := sha256.Sum256(fmt.Appendf(nil, "%d:%s%s", len(history), history, database))
	return filepath.Join(f.dir, hex.EncodeToString(name[:16])+stateSuffix)
}

// Load implements [Store].
func (f *FileStore) Load(ctx context.Context, history, database string) (State, error) {
	unlock, err := f.lockToRead(ctx)
	if err != nil {
		return State{}, err
	}
	defer unlock()
	return f.read(history, database)
}

func (f *FileStore) lock(ctx context.Context) (unlock func(), err error) {
	unlock, err = lockFile(ctx, filepath.Join(f.dir, stateLockName))
	if err != nil {
		return nil, fmt.Errorf("immudb: state store: %w", err)
	}
	return unlock, nil
}

// lockToRead takes the lock on systems where a file cannot be replaced while it is
// open.
func (f *FileStore) lockToRead(ctx context.Context) (unlock func(), err error) {
	if replacesOpenFiles {
		return func() {}, nil
	}
	return f.lock(ctx)
}

func (f *FileStore) read(history, database string) (State, error) {
	path := f.path(history, database)
	s, err := readStateFile(path)
	if err == nil && (s.History != history || s.Database != database) {
		err = damaged(path, errors.New("it holds the state of another history or database"))
	}
	return s, err
}

func readStateFile(path string) (State, error) {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return State{}, ErrNotStored
	case err != nil:
		return State{}, fmt.Errorf("immudb: state store: %w", err)
	}
	var file stateFile
	if err := json.Unmarshal(content, &file); err != nil {
		return State{}, damaged(path, err)
	}
	switch {
	case file.Format != stateFormat:
		return State{}, damaged(path, fmt.Errorf("format %d is not %d", file.Format, stateFormat))
	case file.TxID == 0:
		return State{}, damaged(path, errors.New("tx_id is missing"))
	case file.Hash == proof.Digest{}:
		return State{}, damaged(path, errors.New("hash is missing"))
	}
	return file.State, nil
}

// damaged is the error for a file that cannot be read. It does not match
// ErrNotStored: otherwise a damaged file would be replaced by whatever state the
// server shows today.
func damaged(path string, cause error) error {
	return fmt.Errorf("immudb: state store: %s cannot be used, restore it from a backup, or delete it to trust the database anew: %w", path, cause)
}

// Swap implements [Store].
func (f *FileStore) Swap(ctx context.Context, old, new State) (swapped bool, err error) {
	if err := checkSwap(old, new); err != nil {
		return false, err
	}
	unlock, err := f.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	now, err := f.read(new.History, new.Database)
	switch {
	case errors.Is(err, ErrNotStored):
		if old.TxID != 0 {
			return false, nil
		}
	case err != nil:
		return false, err
	case old.TxID == 0 || !now.same(old):
		return false, nil
	}
	if err := f.write(new); err != nil {
		return false, fmt.Errorf("immudb: state store: %w", err)
	}
	return true, nil
}

// write replaces a file so that at any moment, also when the machine stops, the
// old or the new content is there in full.
func (f *FileStore) write(s State) error {
	content, err := json.MarshalIndent(stateFile{stateFormat, time.Now().UTC().Truncate(time.Second), s}, "", "\t")
	if err != nil {
		return err
	}
	temp, err := os.OpenFile(filepath.Join(f.dir, newStateName), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = temp.Write(append(content, '\n'))
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = replaceFile(temp.Name(), f.path(s.History, s.Database))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return syncDir(f.dir)
}

// States implements [Store].
func (f *FileStore) States(ctx context.Context) ([]State, error) {
	unlock, err := f.lockToRead(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	files, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, fmt.Errorf("immudb: state store: %w", err)
	}
	var all []State
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), stateSuffix) {
			continue
		}
		s, err := readStateFile(filepath.Join(f.dir, file.Name()))
		if errors.Is(err, ErrNotStored) {
			continue // deleted just now
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// lockFile creates the file if necessary and waits for its lock until ctx ends. The
// operating system releases the lock when the process ends.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		locked, err := tryLock(file)
		if locked && isAt(file, path) {
			return func() { _ = file.Close() }, nil // which also unlocks
		}
		_ = file.Close()
		if err == nil {
			err = wait(ctx, lockPoll)
		}
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

// isAt reports whether file is still the one at path. If it was deleted, its lock
// is worthless, because other processes lock a new file.
func isAt(file *os.File, path string) bool {
	mine, err := file.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(mine, now)
}

// lockPoll is the pause between two attempts to take the lock, which is held for
// about a millisecond.
const lockPoll = 500 * time.Microsecond

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
