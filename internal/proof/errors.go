package proof

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrInvalid is matched by every [*Error]: the answer contradicts what is trusted, or is not a
	// well-formed proof.
	ErrInvalid = errors.New("proof does not hold")

	// ErrSignature means that a state is not signed by the expected key.
	ErrSignature = errors.New("state signature does not verify")

	// ErrArgument is a mistake of the caller: a key value of the wrong type, a wrong number of them.
	ErrArgument = errors.New("invalid argument")

	// ErrSchema means that a table definition is malformed, differs from the proven one or is older
	// than the row it should explain. It says nothing about the row.
	ErrSchema = errors.New("table definition does not fit")

	// ErrNoState means that there is no trusted state to prove anything against. First use is the
	// caller's explicit decision, never a default of this package.
	ErrNoState = errors.New("no trusted state")

	// ErrUnlinked means that the proof can be checked only with [DualProof.BlLinear], which is not
	// part of the server's answer. It occurs only for transactions of old servers, which updated the
	// binary linking tree late.
	ErrUnlinked = errors.New("proof needs the linear proof between tree and source")
)

// Error says which check failed. Expected and Found are hex digests or numbers, and empty if the
// check compares nothing; they never hold row data.
type Error struct {
	Check    string // the condition that does not hold, in words
	TxID     uint64 // the transaction concerned, 0 if none
	Expected string
	Found    string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("proof does not hold: ")
	b.WriteString(e.Check)
	if e.TxID != 0 {
		fmt.Fprintf(&b, " (tx %d)", e.TxID)
	}
	if e.Expected != "" || e.Found != "" {
		fmt.Fprintf(&b, ": expected %s, found %s", e.Expected, e.Found)
	}
	return b.String()
}

// Is makes every Error match [ErrInvalid].
func (e *Error) Is(target error) bool { return target == ErrInvalid }

func failed(tx uint64, format string, args ...any) error {
	return &Error{Check: fmt.Sprintf(format, args...), TxID: tx}
}

func differs[T any](tx uint64, check string, expected, found T) error {
	return &Error{Check: check, TxID: tx, Expected: fmt.Sprint(expected), Found: fmt.Sprint(found)}
}
