package trust

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/immudb-go/immudb/internal/proof"
)

// Kind is what an [Error] is about.
type Kind int

const (
	Other         Kind = iota
	Tampered           // the server contradicts what is trusted; the cause is a [*Tampering]
	StateMissing       // nothing is trusted yet, and FirstUse is not set
	BadSignature       // a signature of the server is missing or wrong
	ServerOlder        // the server's history ends before the trusted state
	SchemaChanged      // a table's definition gives rows another meaning than the one relied on
	NoSuchTable        // the proven history has no such table
	NoSuchRow          // a transaction wrote no such row
	InvalidValue       // a mistake of the caller
)

// Error is an error that this package found. Errors of calls and stores are not
// of this type.
type Error struct {
	Kind     Kind
	Message  string
	SQLState string
	Cause    error // or nil
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return "immudb: " + e.Message
	}
	return "immudb: " + e.Message + ": " + strings.TrimPrefix(e.Cause.Error(), "immudb: ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Tampering says what an error of the kind [Tampered] found.
type Tampering struct {
	Check    string // the condition that does not hold, in words
	TxID     uint64 // the transaction concerned, 0 if none
	Expected string // a hash, a number or a UUID, never a value of a row; "" where the check compares nothing
	Found    string

	ServerUUID, Database, Host string
}

func (t *Tampering) Error() string { return t.Check }

// is reports whether err is an [Error] of one of the kinds.
func is(err error, kinds ...Kind) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, k := range kinds {
		if e.Kind == k {
			return true
		}
	}
	return false
}

// isVerdict reports whether err is proof that the server does not show the trusted
// history; other errors only leave that open.
func isVerdict(err error) bool { return is(err, Tampered, BadSignature, ServerOlder) }

func (p *Prover) tampered(t *Tampering) error {
	t.ServerUUID, t.Database, t.Host = p.server.UUID, p.id.database, p.server.Host
	p.contradicted("immudb server contradicts what is trusted", slog.String("check", t.Check), slog.Uint64("tx", t.TxID))
	return &Error{
		Kind:     Tampered,
		Message:  fmt.Sprintf("verification failed: what the server at %s says of database %s contradicts what is trusted", t.Host, t.Database),
		SQLState: "XX001",
		Cause:    t,
	}
}

// Tampering turns an error of package proof into one of this package. It returns
// other errors unchanged.
func (p *Prover) Tampering(err error) error {
	var e *proof.Error
	switch {
	case errors.As(err, &e):
		return p.tampered(&Tampering{Check: e.Check, TxID: e.TxID, Expected: e.Expected, Found: e.Found})
	case errors.Is(err, proof.ErrSignature):
		p.contradicted("immudb server does not sign as server_public_key demands")
		return &Error{
			Kind:     BadSignature,
			Message:  fmt.Sprintf("the server at %s does not sign as server_public_key demands: %v", p.server.Host, err),
			SQLState: "XX001",
		}
	case errors.Is(err, proof.ErrUnlinked):
		return p.tampered(&Tampering{Check: "the proof is complete"})
	case errors.Is(err, proof.ErrArgument):
		return &Error{Kind: InvalidValue, Message: err.Error(), SQLState: "22023"}
	case errors.Is(err, proof.ErrSchema):
		return &Error{Message: err.Error(), SQLState: "XX000"}
	}
	return err
}

// NotAProof is the error for an answer that cannot be decoded.
func (p *Prover) NotAProof(err error) error {
	return p.tampered(&Tampering{Check: "the answer is well-formed: " + err.Error()})
}
