//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package trust

import (
	"errors"
	"os"
)

// tryLock refuses: without a lock two processes could overwrite each other's
// states.
func tryLock(*os.File) (locked bool, err error) {
	return false, errors.New("file locks are not supported on this operating system; set Config.StateStore")
}

const replacesOpenFiles = true

func replaceFile(from, to string) error { return os.Rename(from, to) }

// checkDir accepts every directory: on this system the mode does not tell who may
// write to it.
func checkDir(string) error { return nil }

// syncDir does nothing: directories cannot be synced on this system.
func syncDir(string) error { return nil }
