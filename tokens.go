package immudb

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"google.golang.org/grpc/metadata"
)

// redacted replaces a secret when a value of this package is printed.
const redacted = "[redacted]"

// UserSessionCredentials are the name and the password with which a session is opened.
//
// Printing a value (with any fmt verb, through slog or as JSON) shows the user and hides
// the password. So the password cannot be marshalled: read the fields to store the
// credentials or to pass them on. One case is not covered: fmt does not call methods of a
// value in an unexported field of another struct. Keep a pointer there, or give that
// struct a Format method.
type UserSessionCredentials struct {
	User, Password string
}

// UserDatabaseSession holds the user and the database of a session to open. It prints
// like [UserSessionCredentials].
type UserDatabaseSession struct {
	UserSessionCredentials
	Database string
}

// SessionTokens identify an open session in each of its calls. A client with the
// SessionID acts as the session's user, so the SessionID is hidden when printed.
// ServerUUID only names the server.
type SessionTokens struct {
	ServerUUID, SessionID string
}

// TransactionTokens identify an open transaction in each of its calls, together with the
// [SessionTokens] of its session. TransactionID is hidden when printed.
type TransactionTokens struct {
	TransactionID string
}

// metadata returns the gRPC metadata for calls on the session, and in tx unless tx is
// zero. Empty tokens are left out. The tokens of a session and of a transaction never
// change, so the metadata is built once for each and shared; gRPC only reads it.
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

// MarshalJSON is the redacted form. slog's JSON handler marshals a value inside another
// struct without calling LogValue.
func (c UserSessionCredentials) MarshalJSON() ([]byte, error) { return redactedJSON(c) }

// MarshalJSON is the redacted form.
func (s UserDatabaseSession) MarshalJSON() ([]byte, error) { return redactedJSON(s) }

// MarshalJSON is the redacted form.
func (s SessionTokens) MarshalJSON() ([]byte, error) { return redactedJSON(s) }

// MarshalJSON is the redacted form.
func (t TransactionTokens) MarshalJSON() ([]byte, error) { return redactedJSON(t) }

// secretAttr shows only whether the secret is empty, because a log should show that it is
// missing.
func secretAttr(name, secret string) slog.Attr {
	if secret != "" {
		secret = redacted
	}
	return slog.String(name, secret)
}

// The printed forms below are all made from LogValue, so that one method per type decides
// which fields are secret.

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
