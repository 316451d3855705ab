package trust

import (
	"math"
	"testing"
)

// Whatever times the server claims, and in whatever order, each transaction is in the
// period of its time, and the periods are few and have no gap.
func TestActivityCountsEachTransactionInThePeriodOfItsTime(t *testing.T) {
	for name, times := range map[string][]int64{
		"none":             nil,
		"one":              {1_700_000_000},
		"in order":         {100, 100, 101, 163, 164, 165, 10_000},
		"a clock set back": {10_000, 9_999, 3, 10_001, 2},
		"hostile":          {math.MaxInt64, math.MinInt64, 0, -1, 1_700_000_000},
	} {
		var a activity
		for _, at := range times {
			a.add(at, 2)
		}
		list, total := a.list(), int64(0)
		if len(list) > maxPeriods {
			t.Errorf("%s: %d periods", name, len(list))
		}
		for i, p := range list {
			var want int64
			for _, at := range times {
				if at = min(max(at, 0), maxTime); at >= p.Begin && at < p.Begin+p.Seconds {
					want++
				}
			}
			if p.Transactions != want || p.Entries != 2*want {
				t.Errorf("%s: %+v, want %d transactions", name, p, want)
			}
			if i > 0 && p.Begin != list[i-1].Begin+list[i-1].Seconds {
				t.Errorf("%s: a gap before %+v", name, p)
			}
			total += p.Transactions
		}
		if total != int64(len(times)) {
			t.Errorf("%s: %d transactions are counted, want %d", name, total, len(times))
		}
	}
}

// The periods of every length reach over all times, and merge into those of the next.
func TestLengthsOfPeriodsDivideEachOther(t *testing.T) {
	for i, length := range lengths[1:] {
		if length%lengths[i] != 0 {
			t.Errorf("%d s is no multiple of %d s", length, lengths[i])
		}
	}
	if longest := lengths[len(lengths)-1]; maxTime/longest >= maxPeriods-1 {
		t.Errorf("%d periods of %d s do not reach over all times", maxPeriods, longest)
	}
}
