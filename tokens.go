package immudb

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"google.golang.org/grpc/metadata"
)

// redacted stands for a secret wherever a value of this package is printed.
const redacted = "[redacted]"

// UserSessionCredentials are what a user proves its identity with when a
// session is opened.
//
// Printing a value (with any fmt verb, through slog or as JSON) shows the user
// and hides the password. Marshalling is therefore one-way: read the fields to
// store or pass on the credentials themselves. One place is out of reach: fmt
// does not ask a value in an unexported field of another struct, so keep a
// pointer there, or give that struct a Format method of its own.
type UserSessionCredentials struct {
	User, Password string
}

// UserDatabaseSession names a session to open: who opens it, in which database.
// It prints like [UserSessionCredentials].
type UserDatabaseSession struct {
	UserSessionCredentials
	Database string
}

// SessionTokens identify an open session in every call made on it. Whoever
// holds SessionID acts as the session's user, so it is hidden when printed;
// ServerUUID only names the server.
type SessionTokens struct {
	ServerUUID, SessionID string
}

// TransactionTokens identify an open transaction in every call made in it,
// beside the [SessionTokens] of its session. TransactionID is hidden when
// printed.
type TransactionTokens struct {
	TransactionID string
}

// metadata is what a call on the session, inside tx unless tx is zero, carries
// as gRPC metadata. Empty tokens are left out. The tokens of a session and of
// a transaction never change: build this once for each, and share it, since
// gRPC only reads it.
func (s SessionTokens) metadata(tx TransactionTokens) metadata.MD {
	md := make(metadata.MD, 3)
	for _, t := range [...]struct{ key, value string }{
		{"immudb-uuid", s.ServerUUID},
		{"sessionid", s.SessionID},
		{"transactionid", tx.TransactionID},
	} {
		if t.value != "" {
			md[t.key] = []string{t.value}
		}
	}
	return md
}

// LogValue shows the user and hides the password.
func (c UserSessionCredentials) LogValue() slog.Value {
	return slog.GroupValue(slog.String("User", c.User), secretAttr("Password", c.Password))
}

// LogValue shows the user and the database and hides the password.
func (s UserDatabaseSession) LogValue() slog.Value {
	return slog.GroupValue(slog.String("User", s.User), secretAttr("Password", s.Password),
		slog.String("Database", s.Database))
}

// LogValue shows the server and hides the session.
func (s SessionTokens) LogValue() slog.Value {
	return slog.GroupValue(slog.String("ServerUUID", s.ServerUUID), secretAttr("SessionID", s.SessionID))
}

// LogValue hides the transaction.
func (t TransactionTokens) LogValue() slog.Value {
	return slog.GroupValue(secretAttr("TransactionID", t.TransactionID))
}

// String is the redacted form.
func (c UserSessionCredentials) String() string { return redactedString(c) }

// String is the redacted form.
func (s UserDatabaseSession) String() string { return redactedString(s) }

// String is the redacted form.
func (s SessionTokens) String() string { return redactedString(s) }

// String is the redacted form.
func (t TransactionTokens) String() string { return redactedString(t) }

// Format prints the redacted form for every verb.
func (c UserSessionCredentials) Format(f fmt.State, verb rune) {
	formatRedacted(f, verb, "immudb.UserSessionCredentials", c.String())
}

// Format prints the redacted form for every verb.
func (s UserDatabaseSession) Format(f fmt.State, verb rune) {
	formatRedacted(f, verb, "immudb.UserDatabaseSession", s.String())
}

// Format prints the redacted form for every verb.
func (s SessionTokens) Format(f fmt.State, verb rune) {
	formatRedacted(f, verb, "immudb.SessionTokens", s.String())
}

// Format prints the redacted form for every verb.
func (t TransactionTokens) Format(f fmt.State, verb rune) {
	formatRedacted(f, verb, "immudb.TransactionTokens", t.String())
}

// MarshalJSON is the redacted form: slog's JSON handler marshals what lies
// inside another struct without asking LogValue.
func (c UserSessionCredentials) MarshalJSON() ([]byte, error) { return redactedJSON(c) }

// MarshalJSON is the redacted form.
func (s UserDatabaseSession) MarshalJSON() ([]byte, error) { return redactedJSON(s) }

// MarshalJSON is the redacted form.
func (s SessionTokens) MarshalJSON() ([]byte, error) { return redactedJSON(s) }

// MarshalJSON is the redacted form.
func (t TransactionTokens) MarshalJSON() ([]byte, error) { return redactedJSON(t) }

// secretAttr tells only whether there is a secret: a missing one is worth
// seeing in a log.
func secretAttr(name, secret string) slog.Attr {
	if secret != "" {
		secret = redacted
	}
	return slog.String(name, secret)
}

// The printed forms below all derive from LogValue, so that one method per
// type decides what is a secret.

func redactedString(v slog.LogValuer) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, a := range v.LogValue().Group() {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s:%q", a.Key, a.Value.String())
	}
	b.WriteByte('}')
	return b.String()
}

func redactedJSON(v slog.LogValuer) ([]byte, error) {
	m := make(map[string]any)
	for _, a := range v.LogValue().Group() {
		m[a.Key] = a.Value.Any()
	}
	return json.Marshal(m)
}

// formatRedacted prints the redacted string with the flags, width and verb
// asked for; %#v adds the type's name.
func formatRedacted(f fmt.State, verb rune, typeName, s string) {
	if verb == 'v' && f.Flag('#') {
		fmt.Fprint(f, typeName, s)
		return
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), s)
}
