package trust

import "slices"

// maxPeriods is how many periods an audit's activity has at most.
const maxPeriods = 64

// maxTime bounds the times of transactions, in Unix seconds (the year 6325): a
// transaction has the time that the server's clock showed, which may be anything.
const maxTime = 1 << 37

// Period is what the transactions of a part of the time wrote.
type Period struct {
	Begin, Seconds        int64 // Unix seconds
	Transactions, Entries int64
}

// activity counts transactions by time in periods of one length, which doubles
// whenever the periods become too many. The times need not be in order.
type activity struct {
	shift   uint     // a period has 1<<shift seconds
	periods []Period // without a gap; Begin and Seconds are set by list
	first   int64    // the number of the first period: its begin >> shift
}

func (a *activity) add(unix, entries int64) {
	unix = min(max(unix, 0), maxTime)
	if len(a.periods) == 0 {
		a.first, a.periods = unix>>a.shift, make([]Period, 1, maxPeriods)
	}
	for max(unix>>a.shift, a.last())-min(unix>>a.shift, a.first) >= maxPeriods {
		a.double()
	}
	n := unix >> a.shift
	if n < a.first {
		a.periods = slices.Insert(a.periods, 0, make([]Period, a.first-n)...)
		a.first = n
	}
	if n > a.last() {
		a.periods = append(a.periods, make([]Period, n-a.last())...)
	}
	p := &a.periods[n-a.first]
	p.Transactions++
	p.Entries += entries
}

func (a *activity) last() int64 { return a.first + int64(len(a.periods)) - 1 }

func (a *activity) double() {
	first := a.first >> 1
	merged := make([]Period, a.last()>>1-first+1, maxPeriods)
	for i, p := range a.periods {
		m := &merged[(a.first+int64(i))>>1-first]
		m.Transactions += p.Transactions
		m.Entries += p.Entries
	}
	a.shift, a.first, a.periods = a.shift+1, first, merged
}

func (a *activity) list() []Period {
	list := slices.Clone(a.periods)
	for i := range list {
		list[i].Begin, list[i].Seconds = (a.first+int64(i))<<a.shift, 1<<a.shift
	}
	return list
}
