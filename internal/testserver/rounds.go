package testserver

import (
	"testing"

	"github.com/immudb-go/immudb/internal/testserver/rounds"
)

// Rounds returns how often a test repeats its work to find a rare fault: few times by default, so that all tests are fast;
// many times with IMMUDB_TEST_LONG=1, as in CI; and n times many with IMMUDB_TEST_LONG=n, for use after a change of the
// tested code. It is [rounds.Of].
func Rounds(tb testing.TB, few, many int) int {
	tb.Helper()
	return rounds.Of(tb, few, many)
}
