package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/immudb-go/immudb/internal/wire"
)

// What can go wrong, for errors.Is. An *[Error] matches at most one of them,
// and through the error it wraps the sentinels of what caused it.
var (
	// ErrConflict: another transaction changed what this one read. Nothing was
	// committed; running the transaction again is the remedy, see [RunTx].
	ErrConflict = errors.New("immudb: conflict")
	// ErrOverloaded: the server refused to start the work (too many concurrent
	// transactions). Nothing was committed.
	ErrOverloaded = errors.New("immudb: server overloaded")
	// ErrOutcomeUnknown: the answer to a write was lost, so it may or may not
	// have been committed. It is never sent again by the driver.
	ErrOutcomeUnknown = errors.New("immudb: outcome unknown")

	ErrDuplicateKey   = errors.New("immudb: duplicate key")
	ErrNotNull        = errors.New("immudb: null in a not-null column")
	ErrCheck          = errors.New("immudb: check constraint violated")
	ErrInvalidValue   = errors.New("immudb: invalid value")
	ErrTooLong        = errors.New("immudb: value or key too long")
	ErrTooManyEntries = errors.New("immudb: too many entries in one transaction")
	ErrNoSuchTable    = errors.New("immudb: no such table")
	ErrNoSuchColumn   = errors.New("immudb: no such column")
	ErrNoSuchDatabase = errors.New("immudb: no such database")
	ErrExists         = errors.New("immudb: table, column, index or database exists")
	ErrSyntax         = errors.New("immudb: syntax error")

	ErrReadOnly       = errors.New("immudb: read-only transaction")
	ErrReplica        = errors.New("immudb: database is a read-only replica")
	ErrPermission     = errors.New("immudb: permission denied")
	ErrAuthentication = errors.New("immudb: authentication failed")

	// ErrSessionLost: the server no longer knows the session (it was restarted,
	// or the session idled out). What the call asked for was not done, and an
	// open transaction is gone.
	ErrSessionLost = errors.New("immudb: session lost")
	// ErrMaxSessions: the server has as many sessions as it allows.
	ErrMaxSessions = errors.New("immudb: too many sessions")
	// ErrTxAborted: an earlier statement failed and the transaction with it. The
	// error wraps that statement's error.
	ErrTxAborted = errors.New("immudb: transaction aborted")
	// ErrUnsupported: the server cannot do it, or would answer yes and do
	// something else.
	ErrUnsupported = errors.New("immudb: not supported")
)

// errNoSuchKey: a verified read found no row. Callers are told sql.ErrNoRows.
var errNoSuchKey = errors.New("immudb: no such key")

// Error is an answer of the server that is not a yes, or the lack of an answer.
type Error struct {
	// Message says what happened, in the server's words where it gave any.
	Message string
	// SQLState is the SQLSTATE the message stands for, such as 23505 for a
	// duplicate key, else the one the server sent, else "".
	SQLState string
	// GRPC is the code of the call's status; OK if no call was involved.
	GRPC codes.Code

	kind  error // one of the sentinels above, or nil
	cause error // what this error wraps, or nil
	safe  bool  // nothing was committed, so that running the work again is safe
}

// Error returns the message with the driver's name before it and the SQLSTATE
// behind it.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("immudb: ")
	b.WriteString(e.Message)
	if e.SQLState != "" {
		b.WriteString(" (SQLSTATE ")
		b.WriteString(e.SQLState)
		b.WriteString(")")
	}
	if e.cause != nil {
		b.WriteString(": ")
		b.WriteString(strings.TrimPrefix(e.cause.Error(), "immudb: "))
	}
	return b.String()
}

// Is reports whether target is the sentinel of this error.
func (e *Error) Is(target error) bool { return e.kind != nil && e.kind == target }

// Unwrap returns the error that led to this one: a context's error for a lost
// answer, the failed statement's for an aborted transaction.
func (e *Error) Unwrap() error { return e.cause }

// Retryable reports whether the statement, or the whole transaction it belongs
// to, can be run again: nothing of it was committed, and trying again may
// succeed.
func (e *Error) Retryable() bool { return e.safe }

// isRetryable reports whether err says that nothing was committed and that
// another try may succeed. The sentinels alone, as a mock answers with, say so
// by what they mean. Nothing beside an unknown outcome is safe to run again.
func isRetryable(err error) bool {
	if errors.Is(err, ErrOutcomeUnknown) {
		return false
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Retryable()
	}
	return slices.ContainsFunc([]error{ErrConflict, ErrOverloaded, ErrSessionLost, ErrMaxSessions}, func(kind error) bool {
		return errors.Is(err, kind)
	})
}

// newError makes an error of the driver's own.
func newError(kind error, sqlState, message string) *Error {
	return &Error{Message: message, SQLState: sqlState, kind: kind}
}

func unsupported(message string) error { return newError(ErrUnsupported, "0A000", message) }

// outcomeUnknown wraps the reason why the answer to a write is missing.
func outcomeUnknown(what string, cause error) error {
	return &Error{
		Message:  "the answer to " + what + " was lost, it may or may not have been committed",
		SQLState: "08007",
		GRPC:     status.Code(cause),
		kind:     ErrOutcomeUnknown,
		cause:    cause,
	}
}

// badConn marks an error after which the connection is of no use and the call
// it answers was not run: database/sql then tries again on another connection.
// The cause is kept for whoever sees the last try fail.
type badConn struct{ cause error }

func (b badConn) Error() string        { return b.cause.Error() }
func (b badConn) Unwrap() error        { return b.cause }
func (b badConn) Is(target error) bool { return target == driver.ErrBadConn }

// messages maps what the server says to what it means. The server sends most
// SQL errors as bare text (code Unknown, no details), so the text is all there
// is. The first row that fits counts. Messages come as "text", "text (name)",
// "text: more" or "wrapper: text".
var messages = []struct {
	text     string
	prefix   bool // text must begin the message; else it may stand anywhere
	kind     error
	sqlState string
	safe     bool
}{
	{"tx read conflict", false, ErrConflict, "40001", true},
	{"max concurrency limit exceeded", false, ErrOverloaded, "53000", true},
	{"max active transactions limit exceeded", false, ErrOverloaded, "53000", true},
	{"read tx pool exhausted", false, ErrOverloaded, "53000", true},
	{"transaction pool exhausted", false, ErrOverloaded, "53000", true},
	{"max active snapshots limit reached", false, ErrOverloaded, "53000", true},
	{"write stalling", false, ErrOverloaded, "53000", true},

	{"session not found", true, ErrSessionLost, "08003", true},
	{"no session found", true, ErrSessionLost, "08003", true},
	{"max sessions number reached", false, ErrMaxSessions, "53300", true},
	{"no transaction found", false, ErrTxAborted, "25P02", true},
	{"no ongoing transaction", false, ErrTxAborted, "25P02", true},

	{"key already exists", false, ErrDuplicateKey, "23505", false},
	{"not nullable column can not be null", false, ErrNotNull, "23502", false},
	{"primary key can not be null", false, ErrNotNull, "23502", false},
	{"check constraint violation", false, ErrCheck, "23514", false},
	{"max length exceeded", false, ErrTooLong, "22001", false},
	{"max key length exceeded", false, ErrTooLong, "54000", false},
	{"max value length exceeded", false, ErrTooLong, "54000", false},
	{tooLargeForServer, true, ErrTooLong, "54000", false},
	{"max number of entries per tx exceeded", false, ErrTooManyEntries, "54000", false},
	{"tx size greater than max tx size", false, ErrTooManyEntries, "54000", false},
	{"invalid value provided", false, ErrInvalidValue, "22P02", false},
	{"values are not comparable", false, ErrInvalidValue, "42804", false},
	{"division by zero", false, ErrInvalidValue, "22012", false},

	{"key not found", false, errNoSuchKey, "02000", false},
	{"table does not exist", false, ErrNoSuchTable, "42P01", false},
	{"column does not exist", false, ErrNoSuchColumn, "42703", false},
	{"database does not exist", false, ErrNoSuchDatabase, "3D000", false},
	{"table already exists", false, ErrExists, "42P07", false},
	{"index already exists", false, ErrExists, "42P07", false},
	{"column already exists", false, ErrExists, "42701", false},
	{"database already exists", false, ErrExists, "42P04", false},
	{"syntax error", true, ErrSyntax, "42601", false},
	{"parsing error", true, ErrSyntax, "42601", false},
	{"missing parameter", true, ErrSyntax, "07001", false},

	{"read-only transaction", true, ErrReadOnly, "25006", false},
	{"database is read-only because it's a replica", false, ErrReplica, "25006", false},

	{"invalid user name or password", false, ErrAuthentication, "28P01", false},
	{"user is not active", false, ErrAuthentication, "28000", false},
	{"not logged in", true, ErrAuthentication, "28000", false},
	{"access denied", false, ErrPermission, "42501", false},
	{"permission denied", false, ErrPermission, "42501", false},
	{"does not have permission", false, ErrPermission, "42501", false},
	{"insufficient permission", false, ErrPermission, "42501", false},
	{indexedTwice, false, ErrUnsupported, "0A000", false},
	{"not supported", false, ErrUnsupported, "0A000", false},
}

// tooLargeForServer begins what gRPC says of a message over the receiver's limit
// (the server's max-recv-msg-size, 32 MiB by default).
const tooLargeForServer = "grpc: received message larger than max"

// indexedTwice is what the server says (seen in v1.11.1) of a transaction that
// writes a value of an indexed column and takes it away, be it of other rows.
const indexedTwice = "cannot change a non-transient key to transient"

// classify turns the error of a call made under ctx into an *[Error], or into
// the context's own error where that is what ended the call. It is the only
// place that reads the server's texts.
func classify(ctx context.Context, err error) error {
	st := status.Convert(err)
	switch st.Code() {
	case codes.Canceled:
		if ctx.Err() != nil {
			return ctx.Err()
		}
	case codes.DeadlineExceeded:
		// The deadline travels with the call, so that the server may notice it a
		// moment before ctx does.
		if _, ok := ctx.Deadline(); ok {
			return context.DeadlineExceeded
		}
	}
	e := &Error{Message: st.Message(), GRPC: st.Code()}
	if answerLost(err) {
		return e // not the server's words, whatever they say
	}
	for _, detail := range st.Proto().GetDetails() {
		if d, ok := wire.DecodeErrorDetail(detail.GetTypeUrl(), detail.GetValue()); ok {
			e.SQLState = d.SQLState
		}
	}
	for _, m := range messages {
		if strings.HasPrefix(e.Message, m.text) || !m.prefix && strings.Contains(e.Message, m.text) {
			e.kind, e.SQLState, e.safe = m.kind, m.sqlState, m.safe
			switch m.text {
			case tooLargeForServer:
				e.Message = "the request is larger than the server takes (its max-recv-msg-size, 32 MiB by default): send less at once"
			case indexedTwice:
				e.Message = "the server cannot write and remove the same value of an indexed column in one transaction: commit in between (" + e.Message + ")"
			}
			return e
		}
	}
	switch e.SQLState {
	case "3F000": // "'name' does not exist", said of databases only
		e.kind, e.SQLState = ErrNoSuchDatabase, "3D000"
	case "XX000": // what the server sends when it has no state to tell
		e.SQLState = ""
	}
	return e
}

// answerLost reports whether err, the error of a call that was sent, comes from
// the way to the server rather than from the server: then the call may have
// been carried out. The server's own errors carry one of the codes below, or
// Internal with details, which transport errors never have.
func answerLost(err error) bool {
	st := status.Convert(err)
	switch st.Code() {
	case codes.ResourceExhausted:
		// Said by the server of the request: no answer is too large for us.
		return !strings.HasPrefix(st.Message(), tooLargeForServer)
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.Unauthenticated,
		codes.FailedPrecondition, codes.Aborted, codes.OutOfRange, codes.Unimplemented:
		return false
	case codes.Internal:
		return len(st.Proto().GetDetails()) == 0
	case codes.Unknown:
		return strings.HasPrefix(st.Message(), "stream terminated by RST_STREAM") ||
			strings.HasPrefix(st.Message(), "unexpected HTTP status code")
	}
	return true
}
