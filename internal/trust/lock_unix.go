//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package trust

import (
	"errors"
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
