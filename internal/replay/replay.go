// Package replay remembers what a transaction has asked the server and what the
// server answered, so that a savepoint can be returned to: the transaction is rolled
// back, and what came before the savepoint is run again in another one. That is right
// only if the server gives the same answers again; this package compares them, and
// sends nothing itself.
package replay

import "hash/maphash"

// Call is a call of a transaction that the server has answered.
type Call struct {
	Method  string
	Request []byte // not to be changed any more
	Unary   bool   // the answer is one message; else it is a stream

	// Writes reports whether the call may change data.
	Writes bool
	// Tells reports whether its answer depends on the data that it found.
	Tells bool

	Answer Answer
}

// Answer is a fingerprint of what the server answered, as far as it was received. The
// zero value is an empty answer.
type Answer struct {
	sum      uint64
	messages int
	whole    bool // its end was received
	failed   bool
}

var seed = maphash.MakeSeed()

// add adds a part to the fingerprint.
func (a *Answer) add(part uint64) {
	a.sum = (a.sum<<7 | a.sum>>57) ^ part*0x9e3779b97f4a7c15
	a.messages++
}

// Message adds a message of the answer.
func (a *Answer) Message(message []byte) { a.add(maphash.Bytes(seed, message)) }

// Number adds a number that the answer holds.
func (a *Answer) Number(n int64) { a.add(uint64(n)) }

// End says that the answer has ended.
func (a *Answer) End() { a.whole = true }

// Fail makes the answer an error with the given text.
func (a *Answer) Fail(text string) {
	a.add(maphash.String(seed, text))
	a.failed, a.whole = true, true
}

// Failed reports whether the answer is an error.
func (a *Answer) Failed() bool { return a.failed }

// Reaches reports whether got is as long as a, which was not received to its end, so
// that nothing more of got counts.
func (a *Answer) Reaches(got *Answer) bool { return !a.whole && got.messages == a.messages }

// Same reports whether got, which was received until [Answer.Reaches] or to its end,
// is the same answer.
func (a *Answer) Same(got *Answer) bool {
	return a.sum == got.sum && a.messages == got.messages && a.failed == got.failed && (!a.whole || got.whole)
}

// Log is what a transaction has asked and been answered, and its savepoints. S is
// the state of the transaction that its owner wants back at a savepoint.
type Log[S any] struct {
	limit, size int
	full        bool
	calls       []*Call
	marks       []mark[S]
}

type mark[S any] struct {
	name  string
	at    int // how many calls came before
	state S
}

// New makes a log that holds at most limit bytes.
func New[S any](limit int) *Log[S] { return &Log[S]{limit: limit} }

// overhead is about what a call takes beside its request.
const overhead = 128

// Add remembers a call, whose answer the caller completes. A log that is full forgets
// all calls and remembers no more.
func (l *Log[S]) Add(c Call) *Call {
	kept := &c
	if l.size += cap(c.Request) + overhead; l.full || l.size > l.limit {
		l.full, l.calls = true, nil
		return kept
	}
	l.calls = append(l.calls, kept)
	return kept
}

// Full reports whether the transaction is longer than what can be remembered, so that
// it cannot return to any savepoint.
func (l *Log[S]) Full() bool { return l.full }

// Mark makes a savepoint. It hides an earlier one with the same name.
func (l *Log[S]) Mark(name string, state S) {
	l.marks = append(l.marks, mark[S]{name, len(l.calls), state})
}

func (l *Log[S]) find(name string) int {
	for i := len(l.marks) - 1; i >= 0; i-- {
		if l.marks[i].name == name {
			return i
		}
	}
	return -1
}

// Release forgets the savepoint and those made after it. ok is false if there is no
// savepoint with that name.
func (l *Log[S]) Release(name string) (ok bool) {
	i := l.find(name)
	if i >= 0 {
		l.marks = l.marks[:i]
	}
	return i >= 0
}

// Return is the way back to a savepoint.
type Return[S any] struct {
	State S

	// Keep is what must be run again and answered in the same way: what came before
	// the savepoint, and what was read after it before anything was written. The
	// caller knows these answers, so they must still hold.
	Keep []*Call
	// Undone is the rest, which is not to be kept.
	Undone []*Call

	log  *Log[S]
	mark int
}

// Back finds the way back to a savepoint. ok is false if there is none with that name.
func (l *Log[S]) Back(name string) (r Return[S], ok bool) {
	i := l.find(name)
	if i < 0 {
		return r, false
	}
	r = Return[S]{State: l.marks[i].state, log: l, mark: i}
	if l.full {
		return r, true
	}
	end := l.marks[i].at
	for end < len(l.calls) && !l.calls[end].Writes {
		end++
	}
	r.Keep, r.Undone = l.calls[:end:end], l.calls[end:]
	return r, true
}

// Tells reports whether the caller has learned something of the data from what is
// undone.
func (r *Return[S]) Tells() bool {
	for _, c := range r.Undone {
		if c.Tells {
			return true
		}
	}
	return false
}

// Done says that the transaction has returned. The savepoint stays, those made after it
// are forgotten.
func (r *Return[S]) Done() {
	l := r.log
	for _, c := range r.Undone {
		l.size -= cap(c.Request) + overhead
	}
	clear(l.calls[len(r.Keep):])
	l.calls = l.calls[:len(r.Keep)]
	l.marks = l.marks[:r.mark+1]
}
