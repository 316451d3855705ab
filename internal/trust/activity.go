package trust

import "slices"

// maxPeriods is how many periods an audit's activity has at most.
const maxPeriods = 64

// maxTime bounds the times of transactions, in Unix seconds (the year 6325): a
// transaction has the time that the server's clock showed, which may be anything.
const maxTime = 1 << 37

// lengths are those that periods have, in seconds. Each divides the next, and the
// longest ones reach from 0 to maxTime.
var lengths = []int64{1, 5, 15, minute, 5 * minute, 15 * minute, hour, 6 * hour, day, 10 * day, 30 * day, 360 * day, 3600 * day, 36000 * day}

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
)

// Period is what the transactions of a part of the time wrote.
type Period struct {
	Begin, Seconds        int64 // Unix seconds
	Transactions, Entries int64
}

// activity counts transactions by time in periods of one length, which grows
// whenever the periods become too many. The times need not be in order.
type activity struct {
	length  int      // of a period, in lengths
	periods []Period // without a gap; Begin and Seconds are set by list
	first   int64    // the number of the first period: its begin by its length
}

func (a *activity) add(unix, entries int64) {
	unix = min(max(unix, 0), maxTime)
	if len(a.periods) == 0 {
		a.first, a.periods = a.number(unix), make([]Period, 1, maxPeriods)
	}
	for max(a.number(unix), a.last())-min(a.number(unix), a.first) >= maxPeriods {
		a.lengthen()
	}
	n := a.number(unix)
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

// number is that of the period of a time.
func (a *activity) number(unix int64) int64 { return unix / lengths[a.length] }

func (a *activity) last() int64 { return a.first + int64(len(a.periods)) - 1 }

func (a *activity) lengthen() {
	times := lengths[a.length+1] / lengths[a.length]
	first := a.first / times
	merged := make([]Period, a.last()/times-first+1, maxPeriods)
	for i, p := range a.periods {
		m := &merged[(a.first+int64(i))/times-first]
		m.Transactions += p.Transactions
		m.Entries += p.Entries
	}
	a.length, a.first, a.periods = a.length+1, first, merged
}

func (a *activity) list() []Period {
	list := slices.Clone(a.periods)
	for i := range list {
		length := lengths[a.length]
		list[i].Begin, list[i].Seconds = (a.first+int64(i))*length, length
	}
	return list
}
