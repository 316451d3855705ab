//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package trust

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// tryLock tries to lock the open file, without waiting. Closing it unlocks it.
func tryLock(file *os.File) (locked bool, err error) {
	for {
		switch err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}

// replacesOpenFiles is true: a file may be replaced while it is open for reading.
const replacesOpenFiles = true

func replaceFile(from, to string) error { return os.Rename(from, to) }

// checkDir refuses a directory that other users may write to: they could change what
// is trusted.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("users other than its owner may write to %s (mode %04o) and change what is trusted: "+
			"run chmod go-w on it, or name another directory", dir, mode)
	}
	return nil
}

// syncDir makes sure that a file just renamed into the directory survives a crash of
// the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
