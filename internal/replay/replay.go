// Package replay records the calls of a transaction and fingerprints of their answers, so
// that the driver can roll back to a savepoint: it rolls back the whole transaction, and
// runs the calls before the savepoint again in another one. That is right only if the
// server gives the same answers again. This package compares the answers; it sends nothing.
package replay

import "hash/maphash"

// Call is a call of a transaction that the server has answered.
type Call struct {
	Method  string
	Request []byte // must not be changed any more
	Unary   bool   // the answer is one message; else it is a stream

	// Writes reports whether the call may change data.
	Writes bool
	// Tells reports whether the answer depends on the data in the database.
	Tells bool

	Answer Answer
}

// Answer is a fingerprint of the received part of an answer. The zero value is an empty
// answer.
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

// Number adds a number of the answer.
func (a *Answer) Number(n int64) { a.add(uint64(n)) }

// End marks the answer as received to its end.
func (a *Answer) End() { a.whole = true }

// Fail makes the answer an error with the given text.
func (a *Answer) Fail(text string) {
	a.add(maphash.String(seed, text))
	a.failed, a.whole = true, true
}

// Failed reports whether the answer is an error.
func (a *Answer) Failed() bool { return a.failed }

// Reaches reports whether got has as many messages as a, if a was not received to its
// end. The rest of got is then not compared.
func (a *Answer) Reaches(got *Answer) bool { return !a.whole && got.messages == a.messages }

// Same reports whether got, which was received until [Answer.Reaches] or to its end,
// is the same answer.
func (a *Answer) Same(got *Answer) bool {
	return a.sum == got.sum && a.messages == got.messages && a.failed == got.failed && (!a.whole || got.whole)
}

// Log holds the calls and answers of a transaction, and its savepoints. S is the state of
// the transaction that is restored at a savepoint.
type Log[S any] struct {
	limit, size int
	full        bool
	calls       []*Call
	marks       []mark[S]
}

type mark[S any] struct {
	name  string
	at    int // the number of calls before it
	state S
}

// New makes a log that holds at most limit bytes.
func New[S any](limit int) *Log[S] { return &Log[S]{limit: limit} }

// overhead is the approximate memory for a call without its request, in bytes.
const overhead = 128

// Add records a call; the caller completes its answer. A full log drops all calls and
// records no more.
func (l *Log[S]) Add(c Call) *Call {
	kept := &c
	if l.size += cap(c.Request) + overhead; l.full || l.size > l.limit {
		l.full, l.calls = true, nil
		return kept
	}
	l.calls = append(l.calls, kept)
	return kept
}

// Full reports whether the calls exceeded the limit, so that the transaction cannot roll
// back to any savepoint.
func (l *Log[S]) Full() bool { return l.full }

// Calls are the calls of the transaction as it is now, without undone ones.
func (l *Log[S]) Calls() []*Call { return l.calls }

// Messages is how many messages the answers to the calls had.
func (l *Log[S]) Messages() (n int) {
	for _, c := range l.calls {
		n += c.Answer.messages
	}
	return n
}

// Drop removes the last call, which is not one of before a savepoint.
func (l *Log[S]) Drop() {
	last := len(l.calls) - 1
	l.size -= cap(l.calls[last].Request) + overhead
	l.calls[last] = nil
	l.calls = l.calls[:last]
}

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

// Release removes the savepoint and those made after it. ok is false if there is no
// savepoint with that name.
func (l *Log[S]) Release(name string) (ok bool) {
	i := l.find(name)
	if i >= 0 {
		l.marks = l.marks[:i]
	}
	return i >= 0
}

// Return is a rollback to a savepoint.
type Return[S any] struct {
	State S

	// Keep are the calls that must be run again and have the same answers: the calls
	// before the savepoint, and the reads after it up to the first write. The caller has
	// seen these answers, so they must still be true.
	Keep []*Call
	// Undone are the other calls.
	Undone []*Call

	log  *Log[S]
	mark int
}

// Back prepares a rollback to a savepoint. ok is false if there is none with that name.
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

// Tells reports whether an answer of the undone calls depends on data in the database.
func (r *Return[S]) Tells() bool {
	for _, c := range r.Undone {
		if c.Tells {
			return true
		}
	}
	return false
}

// Done completes the rollback. The savepoint stays; those made after it are removed.
func (r *Return[S]) Done() {
	l := r.log
	for _, c := range r.Undone {
		l.size -= cap(c.Request) + overhead
	}
	clear(l.calls[len(r.Keep):])
	l.calls = l.calls[:len(r.Keep)]
	l.marks = l.marks[:r.mark+1]
}
