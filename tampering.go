package immudb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/immudb-go/immudb/internal/proof"
)

// What verification can end with, for errors.Is. None is ever retried by the
// driver, and none changes what is trusted.
var (
	// ErrTampered: what the server sent contradicts what is trusted, or is no
	// proof at all. errors.As finds a [*Tampering], which says what failed. The
	// data, the server or the way to it was altered; asking again is no remedy.
	ErrTampered = errors.New("immudb: tampered")
	// ErrStateMissing: nothing is trusted yet of this database on this server, and
	// nobody said that what it shows first is to be trusted.
	ErrStateMissing = errors.New("immudb: no trusted state")
	// ErrSignature: server_public_key is set, and what the server sent is not
	// signed with that key.
	ErrSignature = errors.New("immudb: server signature does not verify")
	// ErrServerOlder: the server's newest transaction is older than the trusted
	// state. It was restored from a backup or lost its last transactions, or it is a
	// replica that lags behind.
	ErrServerOlder = errors.New("immudb: server is older than the trusted state")
)

// isVerdict reports an error that says of the server that it does not show what
// is trusted, rather than that nobody knows.
func isVerdict(err error) bool {
	return errors.Is(err, ErrTampered) || errors.Is(err, ErrSignature) || errors.Is(err, ErrServerOlder)
}

// Tampering says what an error that matches [ErrTampered] found.
type Tampering struct {
	Check    string // what should have held, in words
	TxID     uint64 // the transaction it was about, 0 if none
	Expected string // a hash, a number or a UUID, never a value of a row; "" where the check compares nothing
	Found    string

	ServerUUID, Database, Host string
}

// Error returns what should have held, what was expected and what was found.
func (t *Tampering) Error() string {
	var b strings.Builder
	b.WriteString(t.Check)
	if t.TxID != 0 {
		fmt.Fprintf(&b, " (tx %d)", t.TxID)
	}
	if t.Expected != "" || t.Found != "" {
		fmt.Fprintf(&b, ": expected %s, found %s", t.Expected, t.Found)
	}
	return b.String()
}

func tampered(t *Tampering) error {
	return &Error{
		Message:  fmt.Sprintf("verification failed: what the server at %s says of database %s contradicts what is trusted", t.Host, t.Database),
		SQLState: "XX001",
		kind:     ErrTampered,
		cause:    t,
	}
}

// tampering makes an error of a check that proof or a decoder has made for h.
// Errors that say nothing of the server's honesty pass as they are.
func (h *history) tampering(err error) error {
	t := &Tampering{ServerUUID: h.id.serverUUID, Database: h.id.database, Host: h.host}
	var e *proof.Error
	switch {
	case errors.As(err, &e):
		t.Check, t.TxID, t.Expected, t.Found = e.Check, e.TxID, e.Expected, e.Found
		return tampered(t)
	case errors.Is(err, proof.ErrSignature):
		return &Error{
			Message:  fmt.Sprintf("the server at %s does not sign as server_public_key demands: %v", h.host, err),
			SQLState: "XX001",
			kind:     ErrSignature,
		}
	case errors.Is(err, proof.ErrUnlinked):
		t.Check = "the proof is complete"
		return tampered(t)
	case errors.Is(err, proof.ErrArgument):
		return newError(ErrInvalidValue, "22023", err.Error())
	case errors.Is(err, proof.ErrSchema):
		return newError(nil, "XX000", err.Error())
	}
	return err
}

// notAProof is for answers that cannot be decoded.
func (h *history) notAProof(err error) error {
	return tampered(&Tampering{
		Check:      "the answer is well-formed: " + err.Error(),
		ServerUUID: h.id.serverUUID, Database: h.id.database, Host: h.host,
	})
}
