package immudb

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/immudb-go/immudb/internal/trust"
)

// The errors of verification, for errors.Is. The driver never retries after one of them,
// and none of them changes the trusted state.
var (
	// ErrTampered: the server's answer contradicts the trusted state, or is not a valid
	// proof. errors.As finds a [*Tampering], which says which check failed. The data,
	// the server or the connection was tampered with; a retry does not help.
	ErrTampered = errors.New("immudb: tampered")
	// ErrStateMissing: there is no trusted state yet for this database on this server,
	// and trust on first use is not allowed.
	ErrStateMissing = errors.New("immudb: no trusted state")
	// ErrSignature: server_public_key is set, and the state that the server sent is not
	// signed with that key.
	ErrSignature = errors.New("immudb: server signature does not verify")
	// ErrServerOlder: the server's newest transaction is older than the trusted
	// state. The server was restored from a backup, or lost its last transactions, or is
	// a replica that lags behind.
	ErrServerOlder = errors.New("immudb: server is older than the trusted state")
	// ErrSchemaChanged: since the table's definition was first relied on, the table or
	// some of its columns were renamed, or the table was dropped and created again, so
	// that its rows mean something else. Look at the changes
	// ([AuditReport.SchemaChanges]) and accept them with [Verifier.AcceptSchema].
	ErrSchemaChanged = errors.New("immudb: the schema has changed")
)

// isVerdict reports whether an error says that the server contradicts the trusted state,
// and not only that a check could not be made.
func isVerdict(err error) bool {
	return errors.Is(err, ErrTampered) || errors.Is(err, ErrSignature) || errors.Is(err, ErrServerOlder)
}

// Tampering is the failed check of an error that matches [ErrTampered].
type Tampering struct {
	Check    string // the statement that should have been true
	TxID     uint64 // the transaction that was checked, 0 if none
	Expected string // a hash, a number or a UUID, never a value of a row; "" if the check compares nothing
	Found    string

	ServerUUID, Database, Host string
}

// Error returns the check, the expected value and the found one.
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

// fromTrust turns an error of package trust into an [*Error]. Errors of calls and of
// state stores are returned unchanged.
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
