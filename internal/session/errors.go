package session

import (
	"errors"

	"github.com/immudb-go/immudb/internal/wire"
)

// ErrConnectTimeout is the cause of an error that ended a wait for a session.
var ErrConnectTimeout = errors.New("connect_timeout passed")

// HostError says why no session could be opened on a server.
type HostError struct {
	Addr    string
	Failure *wire.Failure // the failed call; nil if none was made
	Err     error         // what ended the call or the attempt, or nil
	Connect error         // why the last attempt to connect failed; nil if it did not
}

func (e *HostError) Error() string {
	switch {
	case e.Failure != nil && e.Failure.Ended == nil:
		return e.Addr + ": " + e.Failure.Message
	case e.Err != nil:
		return e.Addr + ": " + e.Err.Error()
	}
	return e.Addr + ": no answer"
}

func (e *HostError) Unwrap() error { return e.Err }

// RequestError says that no request to open a session could be made.
type RequestError struct{ Err error }

func (e *RequestError) Error() string { return e.Err.Error() }

func (e *RequestError) Unwrap() error { return e.Err }

// LimitError says that a limit allows no further session.
type LimitError struct {
	Own     bool          // the limit is max_sessions; false: it is the server's own
	Failure *wire.Failure // the server's refusal, or nil
	Waited  error         // what ended the wait for a session
}

func (e *LimitError) Error() string { return "no session is left" }

func (e *LimitError) Unwrap() error { return e.Waited }

func (e *LimitError) after(waited error) error {
	return &LimitError{Own: e.Own, Failure: e.Failure, Waited: waited}
}

// joinErrors is errors.Join, but returns a single error unwrapped, and leaves
// LimitErrors out unless there is no other error.
func joinErrors(errs ...error) error {
	var others []error
	var limit error
	for _, err := range errs {
		if _, ok := err.(*LimitError); ok {
			limit = err
		} else if err != nil {
			others = append(others, err)
		}
	}
	switch len(others) {
	case 0:
		return limit
	case 1:
		return others[0]
	}
	return errors.Join(others...)
}
