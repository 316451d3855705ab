package immudb

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/immudb-go/immudb/internal/trust"
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
	// ErrSchemaChanged: the history has renamed the table or columns of it, or has
	// dropped the table and made another of that name, since its definition was first
	// relied on, so that its rows mean something else. Look at what changed
	// ([AuditReport.SchemaChanges]) and accept it with [Verifier.AcceptSchema].
	ErrSchemaChanged = errors.New("immudb: the schema has changed")
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

// fromTrust turns an error of package trust into an [*Error]. All others pass as
// they are: those of calls and of state stores.
func fromTrust(err error) error {
	var e *trust.Error
	if !errors.As(err, &e) {
		return err
	}
	converted := &Error{Message: e.Message, SQLState: e.SQLState, kind: trustKinds[e.Kind]}
	var found *trust.Tampering
	switch {
	case errors.As(e.Cause, &found):
		converted.cause = (*Tampering)(found)
	case e.Cause != nil:
		converted.cause = fromTrust(e.Cause)
	}
	return converted
}

var trustKinds = map[trust.Kind]error{
	trust.Tampered:      ErrTampered,
	trust.StateMissing:  ErrStateMissing,
	trust.BadSignature:  ErrSignature,
	trust.ServerOlder:   ErrServerOlder,
	trust.SchemaChanged: ErrSchemaChanged,
	trust.NoSuchTable:   ErrNoSuchTable,
	trust.NoSuchRow:     sql.ErrNoRows,
	trust.InvalidValue:  ErrInvalidValue,
}
