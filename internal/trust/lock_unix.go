//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package trust

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// tryLock locks file for this open of it, without waiting.
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

// replacesOpenFiles: a file may be replaced while somebody reads it.
const replacesOpenFiles = true

func replaceFile(from, to string) error { return os.Rename(from, to) }

// checkDir refuses a directory that others may write to, who would decide what is
// trusted.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("%s may be written to by others than its owner (mode %04o), who would decide what is trusted: "+
			"take that right away with chmod go-w, or name a directory of your own", dir, mode)
	}
	return nil
}

// syncDir makes sure that a file which took its place is there when the machine
// starts again.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
