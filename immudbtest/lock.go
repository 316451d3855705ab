package immudbtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// ErrDirInUse: another server keeps its data in the directory. The immudb server
// does not look, and two of them destroy each other's data.
var ErrDirInUse = errors.New("immudbtest: another server uses the directory")

// lockDir keeps the directory for this server until unlock. The lock is on a file
// beside it and ends with the process, however that dies; the file stays.
func lockDir(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(dir + ".lock")
	switch locked, err := lock.TryLock(); {
	case err != nil:
		return nil, err
	case !locked:
		return nil, fmt.Errorf("%w %s; stop it, or name another directory", ErrDirInUse, dir)
	}
	return lock.Unlock, nil
}
