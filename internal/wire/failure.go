package wire

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Fate is how a failed call ended. It is decided once, here, where it is known
// whether the request was sent.
type Fate uint8

const (
	_ Fate = iota
	// NotSent: the request did not reach a server.
	NotSent
	// Refused: the server answered with an error. Its meaning is the Class.
	Refused
	// NoSession: the server answered that it does not know the session. It has run
	// nothing.
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
	Class    Class      // what the server's message means; ClassNone if it is not known
	Code     codes.Code // of the call's gRPC status
	Message  string     // the server's, or gRPC's
	SQLState string     // that of the class, else the one the server sent, else ""

	// Ended is the error of the caller's context, if that is what ended the call.
	Ended error
}

// newFailure decides how a call made under ctx ended, from gRPC's error and whether
// the request had been sent.
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

// refused takes the meaning of the server's error from its status.
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
	case f.SQLState == "3F000": // "'name' does not exist"; the server sends it for databases only
		f.Class, f.SQLState = NoSuchDatabase, "3D000"
	case f.SQLState == "XX000": // the server's value for errors without a SQLSTATE
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
		// The server knows the deadline too, and may answer that it has passed a moment
		// before ctx ends.
		if _, ok := ctx.Deadline(); ok {
			return context.DeadlineExceeded
		}
	}
	return nil
}

// Ended returns the error of a context that has ended. So has one whose deadline has
// passed, although on a busy machine its timer may not have fired yet: gRPC fails a call
// by the clock.
func Ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// answered reports whether a status comes from the server and not from the
// transport. The server's own errors carry one of the codes below, or Internal with
// details, which errors of the transport never have.
func answered(st *status.Status) bool {
	switch st.Code() {
	case codes.ResourceExhausted:
		// The server's limit on requests; the driver itself takes answers of any size.
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
