package immudb

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/trust"
	"github.com/immudb-go/immudb/internal/wire"
)

// The kinds of errors, for errors.Is. An *[Error] matches at most one of them
// itself, and those of the error that it wraps.
var (
	// ErrConflict: another transaction changed rows that this one read. Nothing was
	// committed; run the transaction again, see [RunTx].
	ErrConflict = errors.New("immudb: conflict")
	// ErrOverloaded: the server refused to start the work (too many concurrent
	// transactions). Nothing was committed.
	ErrOverloaded = errors.New("immudb: server overloaded")
	// ErrOutcomeUnknown: the answer to a write was lost, so it may or may not
	// have been committed. The driver never sends such a write again.
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

	ErrReadOnly = errors.New("immudb: read-only transaction")
	ErrReplica  = errors.New("immudb: database is a read-only replica")
	// ErrSplitBrain: a host says that it is a primary, but another one has taken its place
	// since this Connector used it: that one has what this host lacks, or still says that it
	// is a primary. The host is not used.
	ErrSplitBrain     = errors.New("immudb: split brain")
	ErrPermission     = errors.New("immudb: permission denied")
	ErrAuthentication = errors.New("immudb: authentication failed")

	// ErrSessionLost: the server no longer knows the session (it was restarted,
	// or the session expired). The call was not run, and the session's open
	// transaction was rolled back.
	ErrSessionLost = errors.New("immudb: session lost")
	// ErrUnreachable: the server could not be reached, or the connection to it broke.
	// Nothing was committed. It is retryable unless another try would fail as well: the
	// host's name is unknown, or the two sides do not agree on TLS.
	ErrUnreachable = errors.New("immudb: server unreachable")
	// ErrMaxSessions: the server has as many sessions as it allows.
	ErrMaxSessions = errors.New("immudb: too many sessions")
	// ErrTxAborted: an earlier statement failed and the transaction with it. The
	// error wraps that statement's error.
	ErrTxAborted = errors.New("immudb: transaction aborted")
	// ErrUnsupported: the server cannot do it, or would report success and do
	// something else.
	ErrUnsupported = errors.New("immudb: not supported")
)

// errNoSuchKey: a verified read found no row. Callers are told sql.ErrNoRows.
var errNoSuchKey = errors.New("immudb: no such key")

// errNoSuchTx: the server says that it has no such transaction.
var errNoSuchTx = errors.New("immudb: no such transaction")

// Error is a failed call: the server refused it, or its answer never arrived. The
// driver's own refusals, which need no call, are Errors too.
type Error struct {
	// Message says what happened; if the server sent a message, it is that one.
	Message string
	// SQLState is the SQLSTATE of the message, such as 23505 for a duplicate key.
	// If the driver does not know the message, it is the one that the server sent,
	// or "".
	SQLState string
	// GRPC is the code of the call's status; OK if no call was made.
	GRPC codes.Code

	kind   error  // one of the sentinels above, or nil
	cause  error  // what this error wraps, or nil
	safe   bool   // nothing was committed, so running the work again is safe
	remedy string // what the caller can do, if the server's message does not say it

	tables []string // for WithSnapshot, if the transaction read them at different moments
}

// Error returns "immudb: ", the message, a remedy if there is one to say, and the SQLSTATE,
// and the error that it wraps.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("immudb: ")
	b.WriteString(e.Message)
	if e.remedy != "" {
		b.WriteString(": ")
		b.WriteString(e.remedy)
	}
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

// Unwrap returns the cause of this error: for a lost answer the context's error,
// for an aborted transaction the error of the failed statement.
func (e *Error) Unwrap() error { return e.cause }

// Retryable reports whether the statement, or the whole transaction it belongs
// to, can be run again: nothing of it was committed, and trying again may
// succeed.
func (e *Error) Retryable() bool { return e.safe }

// isRetryable reports whether err means that nothing was committed and that
// another try may succeed. A mock may return a sentinel without an *Error; then the
// sentinel decides. An error that also reports an unknown outcome is never
// retryable.
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

// newError makes an error that does not come from a call.
func newError(kind error, sqlState, message string) *Error {
	return &Error{Message: message, SQLState: sqlState, kind: kind}
}

func unsupported(message string) error { return newError(ErrUnsupported, "0A000", message) }

// outcomeUnknown is the error for a write whose answer was lost. cause is the reason.
func outcomeUnknown(write string, cause error) error {
	e := &Error{
		Message:  "the answer to " + write + " was lost, it may or may not have been committed",
		SQLState: "08007",
		kind:     ErrOutcomeUnknown,
		cause:    cause,
	}
	var failed *Error
	if errors.As(cause, &failed) {
		e.GRPC = failed.GRPC
	}
	return e
}

// badConn wraps the error of a call that was not run and may succeed on another
// connection. It matches driver.ErrBadConn, so database/sql tries again there. If
// the last attempt fails too, the caller gets an error that wraps cause.
type badConn struct{ cause error }

func (b badConn) Error() string        { return b.cause.Error() }
func (b badConn) Unwrap() error        { return b.cause }
func (b badConn) Is(target error) bool { return target == driver.ErrBadConn }

// withoutBadConn returns the cause of a badConn, for callers other than database/sql.
func withoutBadConn(err error) error {
	if bad, ok := errors.AsType[badConn](err); ok {
		return bad.cause
	}
	return err
}

// kinds are the sentinels for the classes of the server's errors.
var kinds = [...]error{
	wire.ClassNone:       nil,
	wire.Conflict:        ErrConflict,
	wire.Overloaded:      ErrOverloaded,
	wire.SessionLost:     ErrSessionLost,
	wire.MaxSessions:     ErrMaxSessions,
	wire.TxAborted:       ErrTxAborted,
	wire.DuplicateKey:    ErrDuplicateKey,
	wire.NotNull:         ErrNotNull,
	wire.Check:           ErrCheck,
	wire.TooLong:         ErrTooLong,
	wire.RequestTooLarge: ErrTooLong,
	wire.TooManyEntries:  ErrTooManyEntries,
	wire.InvalidValue:    ErrInvalidValue,
	wire.NoSuchKey:       errNoSuchKey,
	wire.NoSuchTx:        errNoSuchTx,
	wire.NoSuchTable:     ErrNoSuchTable,
	wire.NoSuchColumn:    ErrNoSuchColumn,
	wire.NoSuchDatabase:  ErrNoSuchDatabase,
	wire.Exists:          ErrExists,
	wire.Syntax:          ErrSyntax,
	wire.ReadOnlyTx:      ErrReadOnly,
	wire.Replica:         ErrReplica,
	wire.Authentication:  ErrAuthentication,
	wire.Permission:      ErrPermission,
	wire.Unsupported:     ErrUnsupported,
	wire.IndexedTwice:    ErrUnsupported,
}

// newCallError makes an *[Error] of a failed call.
func newCallError(f *wire.Failure) *Error {
	e := &Error{Message: f.Message, SQLState: f.SQLState, GRPC: f.Code, kind: kinds[f.Class], safe: f.Class.Safe()}
	switch f.Class {
	case wire.ClassNone:
		if f.Code == codes.Unavailable && f.Ended == nil && (f.Fate == wire.NotSent || f.Fate == wire.Unknown) {
			e.kind, e.SQLState = ErrUnreachable, "08006"
		}
	case wire.RequestTooLarge:
		e.Message = "the request is larger than the server takes (its max-recv-msg-size, 32 MiB by default): send less at once"
	case wire.TooManyEntries:
		e.remedy = "commit in between, insert rows with CopyFrom, change and delete them in portions with LIMIT"
	case wire.IndexedTwice:
		e.Message = "the server cannot write and remove the same value of an indexed column in one transaction: commit in between (" + e.Message + ")"
	}
	return e
}

// ifReplica is what to set when a host has refused a write because it is a replica.
func (c *Config) ifReplica() string {
	switch target := c.target(); {
	case len(c.Hosts) == 1:
		return "is a replica: name its primary in the DSN, alone or beside it with target_session_attrs=read-write"
	case target == session.Primary:
		return "is a replica: the next transaction looks for the primary among the other hosts"
	case target == session.AnyRole:
		return "is a replica: set target_session_attrs=read-write, so that the primary is looked for among the hosts"
	}
	return "is a replica, and target_session_attrs=" + c.TargetSessionAttrs + " asks for one: write through a sql.DB with target_session_attrs=read-write"
}

// leaseError turns an error of package session, which found no session, into the
// caller's error. Nothing was run.
func (c *Connector) leaseError(err error) error {
	var (
		host  *session.HostError
		made  *session.RequestError
		limit *session.LimitError
		many  interface{ Unwrap() []error }
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &many):
		var all []error
		for _, err := range many.Unwrap() {
			all = append(all, c.leaseError(err))
		}
		return errors.Join(all...)
	case errors.As(err, &made):
		return made.Err
	case errors.As(err, &host):
		return c.hostError(host)
	case errors.As(err, &limit):
		return maxSessionsError(limit)
	case errors.Is(err, session.ErrClosed):
		return errClosed
	}
	return err
}

var errClosed = errors.New("immudb: " + session.ErrClosed.Error())

func (c *Connector) hostError(h *session.HostError) error {
	e := &Error{Message: "no answer", cause: h.Err}
	if f := h.Failure; f != nil {
		if f.Ended == nil {
			cause := e.cause
			e = newCallError(f)
			e.Message, e.cause = whyNot(e.Message), cause
		}
		e.GRPC = f.Code
		e.safe = e.safe || f.Class == wire.Replica
		if f.Fate == wire.NotSent || f.Fate == wire.Unknown {
			e.kind, e.SQLState, e.safe = ErrUnreachable, "08001", !isSettled(h.Connect)
		}
	}
	e.Message = "connect to " + h.Addr + ": " + e.Message
	if errors.Is(h.Err, session.ErrSplitBrain) {
		e.kind = ErrSplitBrain
	}
	if e.kind == ErrNoSuchDatabase {
		e.Message += " (" + c.cfg.Database + ")"
	}
	return e
}

// isSettled reports whether every attempt to connect fails like the one that ended
// with err, until a setting of the client, the server or the network is changed.
func isSettled(err error) bool {
	var (
		name   *net.DNSError
		cert   *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
		remote *net.OpError
	)
	return errors.As(err, &name) && name.IsNotFound ||
		errors.As(err, &cert) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &remote) && remote.Op == "remote error"
}

// whyNot is the reason why gRPC could not connect, without gRPC's prefixes.
func whyNot(message string) string {
	if _, quoted, ok := strings.Cut(message, "connection error: desc = "); ok {
		if reason, err := strconv.Unquote(quoted); err == nil {
			message = reason
		}
	}
	for _, words := range []string{"transport: authentication handshake failed: ", "transport: Error while dialing: ", "error reading server preface: "} {
		message = strings.TrimPrefix(message, words)
	}
	return message
}

// maxSessionsError is the error for a limit on sessions, with its remedy.
func maxSessionsError(limit *session.LimitError) error {
	e := &Error{
		Message: "the server allows no more sessions (its max-sessions is 100 by default): " +
			"lower max_sessions in the programs that share it, or raise the server's",
		SQLState: "53300",
		kind:     ErrMaxSessions,
		cause:    limit.Waited,
		safe:     true,
	}
	if limit.Own {
		e.Message = "all sessions that max_sessions allows are taken by connections that USE DATABASE has moved, or are ending: raise max_sessions"
	}
	if limit.Failure != nil {
		e.GRPC = limit.Failure.Code
	}
	return e
}

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

// The driver parses a text with the grammar of immudb 1.11. If the server then finds a
// syntax error in it, the server is probably older. Its version number does not tell:
// servers embedded in a program have none. So the driver asks whether the server knows
// RETURNING, which came with 1.11, once for each session and only after such an error.

var errTooOldForReturning = unsupported("RETURNING is not supported by this server: it came with immudb 1.11; " +
	"run the statement with Exec and query for what it wrote")

// grammar is what a connection knows of the grammar of its session's server.
type grammar struct {
	of        *session.Session // the session that was asked
	returning bool             // the server knows RETURNING
}

// knowsReturning reports whether the server can parse a RETURNING clause. It asks
// for one on a table that does not exist: a server that knows RETURNING refuses that
// for another reason than its syntax. If there is no answer, it reports true.
func (c *Conn) knowsReturning(ctx context.Context) bool {
	s := c.session()
	if c.grammar.of == s {
		return c.grammar.returning
	}
	q, err := c.connector.queries.parse("DELETE FROM no_table_of_this_name RETURNING id")
	if err != nil {
		return true
	}
	set, err := c.stream(ctx, q.bind(0, nil))
	if err == nil {
		set.close()
	}
	known := !errors.Is(err, ErrSyntax)
	if c.session() == s && (!known || errors.Is(err, ErrNoSuchTable)) {
		c.grammar = grammar{s, known}
	}
	return known
}

// missingParameter is the SQLSTATE of an ErrSyntax that says nothing of the grammar.
const missingParameter = "07001"

// ifTooOld returns an [ErrUnsupported] instead of a syntax error that only a server
// older than 1.11 finds (an unknown word or function), and other errors unchanged.
func (c *Conn) ifTooOld(ctx context.Context, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.kind != ErrSyntax || e.GRPC == codes.OK || e.SQLState == missingParameter || c.knowsReturning(ctx) {
		return err
	}
	return &Error{
		Message:  "this server does not know a part of the statement: it is older than immudb 1.11; write it without that, or use a newer server",
		SQLState: "0A000",
		GRPC:     e.GRPC,
		kind:     ErrUnsupported,
		cause:    err,
	}
}
