package trust

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"
)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

// tryLock tries to lock the open file, without waiting. Closing it unlocks it.
func tryLock(file *os.File) (locked bool, err error) {
	const (
		failImmediately = 1
		exclusive       = 2
		lockViolation   = syscall.Errno(33)
	)
	ok, _, err := lockFileEx.Call(file.Fd(), failImmediately|exclusive, 0, 1, 0, uintptr(unsafe.Pointer(&syscall.Overlapped{})))
	switch {
	case ok != 0:
		return true, nil
	case errors.Is(err, lockViolation), errors.Is(err, syscall.ERROR_IO_PENDING):
		return false, nil
	}
	return false, err
}

// replacesOpenFiles is false: Windows neither replaces a file that is open for
// reading nor opens one that is being replaced.
const replacesOpenFiles = false

// replaceFile tries for up to a second, because a virus scanner may have the new
// file open.
func replaceFile(from, to string) error {
	const sharingViolation = syscall.Errno(32)
	for deadline := time.Now().Add(time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := os.Rename(from, to)
		inUse := errors.Is(err, syscall.ERROR_ACCESS_DENIED) || errors.Is(err, sharingViolation)
		if !inUse || time.Now().After(deadline) {
			return err
		}
	}
}

// checkDir accepts every directory: on Windows the mode does not tell who may write
// to it.
func checkDir(string) error { return nil }

// syncDir does nothing: directories cannot be synced on Windows.
func syncDir(string) error { return nil }
