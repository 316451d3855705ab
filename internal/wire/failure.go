package wire

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Fate is how a call ended that brought no answer to use. It is decided once,
// here, where it is known whether the request left.
type Fate uint8

const (
	_ Fate = iota
	// NotSent: no server has seen the call.
	NotSent
	// Refused: the server answered no. What the refusal means is its Class.
	Refused
	// NoSession: the server does not know the session. It has run nothing.
	NoSession
	// Unknown: the call was sent and its answer has not arrived. The server may
	// have carried it out, or may yet do so.
	Unknown
)

func (f Fate) String() string {
	return [...]string{"no fate", "not sent", "refused", "no session", "unknown"}[f]
}

// Failure is a failed call.
type Failure struct {
	Fate     Fate
	Class    Class      // what the server's words mean; ClassNone where it said nothing known
	Code     codes.Code // of the call's status
	Message  string     // the server's, or gRPC's
	SQLState string     // what the class stands for, else what the server sent, else ""

	// Ended is the error of the caller's context, if that is what ended the call.
	Ended error
}

// newFailure decides how a call made under ctx ended, from what gRPC says and
// whether the call had left.
func newFailure(ctx context.Context, err error, sent bool) *Failure {
	st := status.Convert(err)
	f := &Failure{Fate: Unknown, Code: st.Code(), Message: st.Message()}
	switch {
	case !sent:
		f.Fate = NotSent
		if f.Ended = ctx.Err(); f.Ended == nil {
			f.Ended = endedBy(ctx, st.Code())
		}
	case !answered(st):
		f.Ended = endedBy(ctx, st.Code())
	default:
		f.refused(ctx, st)
	}
	return f
}

// refused reads the server's refusal.
func (f *Failure) refused(ctx context.Context, st *status.Status) {
	f.Fate = Refused
	for _, detail := range st.Proto().GetDetails() {
		if d, ok := DecodeErrorDetail(detail.GetTypeUrl(), detail.GetValue()); ok {
			f.SQLState = d.SQLState
		}
	}
	switch p := classify(f.Message); {
	case p != nil:
		f.Class, f.SQLState = p.class, p.sqlState
		if p.verdict != decided {
			f.Fate = Unknown
		}
		if p.verdict == deadlinePassed {
			f.Ended = endedBy(ctx, codes.DeadlineExceeded)
		}
	case f.SQLState == "3F000": // "'name' does not exist", said of databases only
		f.Class, f.SQLState = NoSuchDatabase, "3D000"
	case f.SQLState == "XX000": // what the server sends when it has no state to tell
		f.SQLState = ""
	}
	if f.Class == SessionLost {
		f.Fate = NoSession
	}
}

// endedBy returns the context's error if the end of the context is what ended a
// call with this code.
func endedBy(ctx context.Context, code codes.Code) error {
	switch code {
	case codes.Canceled:
		return ctx.Err()
	case codes.DeadlineExceeded:
		// The deadline travels with the call, so that the server may notice it a
		// moment before ctx does.
		if _, ok := ctx.Deadline(); ok {
			return context.DeadlineExceeded
		}
	}
	return nil
}

// answered reports whether a status comes from the server rather than from the
// way to it. The server's own errors carry one of the codes below, or Internal
// with details, which errors of the transport never have.
func answered(st *status.Status) bool {
	switch st.Code() {
	case codes.ResourceExhausted:
		// Said by the server of the request: no answer is too large for us.
		return strings.HasPrefix(st.Message(), requestTooLarge)
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.Unauthenticated,
		codes.FailedPrecondition, codes.Aborted, codes.OutOfRange, codes.Unimplemented:
		return true
	case codes.Internal:
		return len(st.Proto().GetDetails()) > 0
	case codes.Unknown:
		return !strings.HasPrefix(st.Message(), "stream terminated by RST_STREAM") &&
			!strings.HasPrefix(st.Message(), "unexpected HTTP status code")
	}
	return false
}

// Malformed is the failure of a call whose answer makes no sense: the server may
// have carried the call out.
func Malformed(message string) *Failure {
	return &Failure{Fate: Unknown, Code: codes.Internal, Message: message}
}
