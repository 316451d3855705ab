// Package rounds is the only switch between short and long tests. It is apart from package testserver because tests without a
// server need it too.
package rounds

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// variable makes repeating tests run as often as in CI, or a multiple of that.
const variable = "IMMUDB_TEST_LONG"

// Of returns how often a test repeats its work to find a rare fault: few times by default, so that all tests are fast;
// many times with IMMUDB_TEST_LONG=1, as in CI; and n times many with IMMUDB_TEST_LONG=n, for use after a change of the
// tested code.
func Of(tb testing.TB, few, many int) int {
	tb.Helper()
	n, err := rounds(os.Getenv(variable), few, many)
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
		return 0, fmt.Errorf("%s is %q; it must be a number from 1, or not set", variable, setting)
	}
	return n * many, nil
}
