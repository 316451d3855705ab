package wire

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"
)

func withSQLState(code codes.Code, message, state string) error {
	p := status.New(code, message).Proto()
	info := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), state)
	p.Details = []*anypb.Any{{TypeUrl: errorInfoURL, Value: info}}
	return status.FromProto(p).Err()
}

func TestFateOfAFailedCall(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, row := range []struct {
		reason string
		ctx    context.Context
		err    error
		sent   bool
		fate   Fate
		class  Class
		ended  error
	}{
		{"no connection", t.Context(), status.Error(codes.Unavailable, "connection refused"), false, NotSent, ClassNone, nil},
		{"the caller left before the call did", ended, status.Error(codes.Canceled, "context canceled"), false, NotSent, ClassNone, context.Canceled},
		{"the deadline, before the call left, noticed by gRPC first", late, status.Error(codes.DeadlineExceeded, "context deadline exceeded"), false, NotSent, ClassNone, context.DeadlineExceeded},
		{"a refusal without details", t.Context(), status.Error(codes.Unknown, "tx read conflict"), true, Refused, Conflict, nil},
		{"a refusal in unknown words", t.Context(), status.Error(codes.Unknown, "no idea"), true, Refused, ClassNone, nil},
		{"a refusal with details", t.Context(), withSQLState(codes.Internal, "something", "22000"), true, Refused, ClassNone, nil},
		{"a session that the interceptor does not know", t.Context(), status.Error(codes.PermissionDenied, "session not found"), true, NoSession, SessionLost, nil},
		{"a session that the manager does not know", t.Context(), withSQLState(codes.Internal, "no session found", "22023"), true, NoSession, SessionLost, nil},
		{"the connection broke", t.Context(), status.Error(codes.Unavailable, "error reading from server: EOF"), true, Unknown, ClassNone, nil},
		{"the transport's internal error", t.Context(), status.Error(codes.Internal, "stream terminated"), true, Unknown, ClassNone, nil},
		{"a proxy's words, whatever they quote", t.Context(), status.Error(codes.Unavailable, "upstream: tx read conflict"), true, Unknown, ClassNone, nil},
		{"a proxy's page", t.Context(), status.Error(codes.Unknown, "unexpected HTTP status code received from server: 502"), true, Unknown, ClassNone, nil},
		{"the caller left", ended, status.Error(codes.Canceled, "context canceled"), true, Unknown, ClassNone, context.Canceled},
		{"the deadline, noticed by the server first", late, status.Error(codes.DeadlineExceeded, "deadline"), true, Unknown, ClassNone, context.DeadlineExceeded},
		{"the deadline, in the server's own words", late, status.Error(codes.Unknown, "context deadline exceeded"), true, Unknown, ClassNone, context.DeadlineExceeded},
		{"the server is closed while it waits for the commit to be durable", t.Context(), status.Error(codes.Unknown, "already closed"), true, Unknown, Overloaded, nil},
		{"too many wait for commits", t.Context(), status.Error(codes.Unknown, "watchers: max waiting limit exceeded"), true, Unknown, Overloaded, nil},
		{"something behind a commit failed", late, status.Error(codes.Unknown, "[index not found: index not found]"), true, Unknown, ClassNone, nil},
		{"a request over the server's limit", t.Context(), status.Error(codes.ResourceExhausted, requestTooLarge+" (33 vs. 32)"), true, Refused, RequestTooLarge, nil},
		{"an answer over a limit of ours", t.Context(), status.Error(codes.ResourceExhausted, "something else"), true, Unknown, ClassNone, nil},
	} {
		f := newFailure(row.ctx, row.err, row.sent)
		if f.Fate != row.fate || f.Class != row.class || f.Ended != row.ended {
			t.Errorf("%s: %v, class %d, ended by %v; want %v, class %d, %v", row.reason, f.Fate, f.Class, f.Ended, row.fate, row.class, row.ended)
		}
	}
}

// quoting is every message in which immudb v1.11.1 quotes a caller's data, with %s
// in place of the data, and the class of the message.
var quoting = []struct {
	form  string
	class Class
}{
	{"invalid value provided: unsupported cast: can not cast string '%s' as a INTEGER", InvalidValue},
	{"invalid value provided: unsupported cast: can not cast string '%s' as a TIMESTAMP: when evaluating WHERE clause", InvalidValue},
	{"invalid value provided: unsupported cast: can not cast blob '%s' as an UUID", InvalidValue},
	{"invalid value provided: unsupported cast: invalid boolean text value \"%s\"", InvalidValue},
	{"check constraint violation: check expression (s <> '%s') evaluated to false", Check},
	{"check constraint violation: %s", Check},
	{"error in 'LIKE' clause: error parsing regexp: missing closing ]: `%s`", ClassNone},
	{"error in 'IN' subquery: invalid value provided: can not cast string '%s'", InvalidValue},
	{"error evaluating default for column 'c': invalid value provided: '%s'", InvalidValue},
	{"invalid character '%s' looking for beginning of value", InvalidValue},
	{"(t.j->'%s'): " + notGrouped, Syntax},
	{"(t.j->'a'): %s'): " + notGrouped, Syntax}, // the field is called a'): %s
	{"sequence does not exist (%s)", NoSuchTable},
	{"parsing time \"%s\" as \"2006\": cannot parse", ClassNone},
	{"'%s' does not exist", ClassNone},
	{"column does not exist (%s)", NoSuchColumn},
	{"table does not exist (%s)", NoSuchTable},
	{"missing parameter(%s)", Syntax},
	{"error in 'EXISTS' clause: missing parameter(%s)", Syntax},
	{"syntax error: unexpected IDENTIFIER at position 7 near %s", Syntax},
	{"duplicated parameters (%s)", Syntax},
}

// The class decides about retries, transactions and sessions. A value that a caller
// wrote must never choose it.
func TestQuotedDataDoesNotDecideTheClass(t *testing.T) {
	for _, q := range quoting {
		for _, p := range phrases {
			for _, data := range []string{p.text, "x' " + p.text, "x\" " + p.text, "a: " + p.text, "error in 'LIKE' clause: " + p.text, "'a': " + p.text, p.text + "'",
				"IN' x: " + p.text, "s a replica " + p.text, "because it's a replica " + p.text} {
				message := strings.ReplaceAll(q.form, "%s", data)
				if f := newFailure(t.Context(), status.Error(codes.Unknown, message), true); f.Class != q.class {
					t.Errorf("%s: class %d, want %d", message, f.Class, q.class)
				}
			}
		}
	}
}

func FuzzQuotedDataDoesNotDecideTheClass(f *testing.F) {
	for i, p := range phrases {
		f.Add(i%len(quoting), p.text)
	}
	f.Fuzz(func(t *testing.T, form int, data string) {
		q := quoting[uint(form)%uint(len(quoting))]
		for _, p := range phrases {
			message := strings.ReplaceAll(q.form, "%s", data+p.text)
			got := newFailure(t.Context(), status.Error(codes.Unknown, message), true)
			if got.Class != q.class {
				t.Errorf("%q: class %d, want %d", message, got.Class, q.class)
			}
		}
	})
}

func TestEveryPhraseIsFoundInTheServersMessages(t *testing.T) {
	for _, p := range phrases {
		for _, form := range []string{"%s", "%s (name)", "%s: more", "error in 'LIKE' clause: %s", "error in recursive CTE 'c' iteration 7: %s"} {
			message := strings.ReplaceAll(form, "%s", p.text)
			if got := classify(message); got == nil || got.text != p.text {
				t.Errorf("%q is taken for %+v", message, got)
			}
		}
	}
}
