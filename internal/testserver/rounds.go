package testserver

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// longVariable makes repeating tests run as often as in CI, or a multiple of that.
const longVariable = "IMMUDB_TEST_LONG"

// Rounds returns how often a test repeats its work to find a rare fault: few times by default, so that all tests are fast;
// many times with IMMUDB_TEST_LONG=1, as in CI; and n times many with IMMUDB_TEST_LONG=n, for use after a change of the
// tested code. It is the only switch between short and long tests.
func Rounds(tb testing.TB, few, many int) int {
	tb.Helper()
	n, err := rounds(os.Getenv(longVariable), few, many)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func rounds(setting string, few, many int) (int, error) {
	if setting == "" {
		return few, nil
	}
	n, err := strconv.Atoi(setting)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("testserver: %s is %q; it must be a number from 1, or not set", longVariable, setting)
	}
	return n * many, nil
}
