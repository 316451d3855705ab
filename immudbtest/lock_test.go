package immudbtest_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/immudb-go/immudb/immudbtest"
)

func TestADirectoryIsOfOneServerUntilThatIsClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := immudbtest.New(immudbtest.WithDir(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if second, err := immudbtest.New(immudbtest.WithDir(dir)); !errors.Is(err, immudbtest.ErrDirInUse) {
		if err == nil {
			_ = second.Close()
		}
		t.Errorf("a second server on the directory: %v", err)
	}
	if err := first.Restart(); err != nil {
		t.Errorf("the first server cannot restart: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := immudbtest.New(immudbtest.WithDir(dir))
	if err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
