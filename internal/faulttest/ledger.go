package faulttest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// ledger records the results of writes of rows, each of which must be written once.
type ledger struct {
	mu   sync.Mutex
	told map[int64]fate
}

func newLedger() *ledger { return &ledger{told: map[int64]fate{}} }

// note records the result for a row.
func (l *ledger) note(id int64, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told[id] = f
}

// judge compares the results with the rows in the table: an acknowledged row must exist once, an unknown one at most once,
// and a failed one, or one that was never written, not at all.
func (l *ledger) judge(rows map[int64]int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lost, there, stray, doubled []int64
	for id, f := range l.told {
		switch n := rows[id]; {
		case f == acked && n == 0:
			lost = append(lost, id)
		case f == failed && n > 0:
			there = append(there, id)
		}
	}
	for id, n := range rows {
		if _, asked := l.told[id]; !asked {
			stray = append(stray, id)
		}
		if n > 1 {
			doubled = append(doubled, id)
		}
	}
	var v violations
	v.ids(lost, "acknowledged rows are not there")
	v.ids(there, "rows are there of which the call said that they were not written")
	v.ids(stray, "rows are there that nobody wrote")
	v.ids(doubled, "rows are there more than once")
	return v
}

// violations are sentences, one for each kind of violation.
type violations []string

// ids adds a sentence about some ids, unless there are none.
func (v *violations) ids(ids []int64, what string) {
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	shown := ids[:min(len(ids), 3)]
	*v = append(*v, fmt.Sprintf("%d %s (%s)", len(ids), what, strings.Trim(fmt.Sprint(shown), "[]")))
}

func (v *violations) addf(format string, args ...any) {
	*v = append(*v, fmt.Sprintf(format, args...))
}

// seen collects violations that are found while the work runs: the first of each kind, and their number.
type seen struct {
	mu    sync.Mutex
	first map[string]string
	n     map[string]int
}

// addf records a violation of a kind; format and args are for the first of its kind.
func (s *seen) addf(kind, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == nil {
		s.n, s.first = map[string]int{}, map[string]string{}
	}
	if s.n[kind]++; s.n[kind] == 1 {
		s.first[kind] = fmt.Sprintf(format, args...)
	}
}

func (s *seen) violations() violations {
	s.mu.Lock()
	defer s.mu.Unlock()
	var v violations
	for kind, n := range s.n {
		v.addf("%d × %s, first: %s", n, kind, s.first[kind])
	}
	slices.Sort(v)
	return v
}

// ids generates numbers for workers: a prefix for each worker and a count.
type ids struct {
	mu   sync.Mutex
	next map[int]int64
}

// take returns the first of n numbers that no other worker gets.
func (i *ids) take(worker int, n int64) int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.next == nil {
		i.next = map[int]int64{}
	}
	first := int64(worker)*1_000_000_000 + i.next[worker]
	i.next[worker] += n
	return first
}
