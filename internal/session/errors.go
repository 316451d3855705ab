package session

import (
	"errors"

	"github.com/immudb-go/immudb/internal/wire"
)

// ErrConnectTimeout is the cause of an error that ended a wait for a session.
var ErrConnectTimeout = errors.New("connect_timeout passed")

// HostError says why a server gave no session.
type HostError struct {
	Addr    string
	Failure *wire.Failure // of the call, or nil
	Err     error         // why it ended, or nil
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

// LimitError says that there may be no more sessions.
type LimitError struct {
	Own     bool          // max_sessions allows no more; else the server
	Failure *wire.Failure // the server's refusal, or nil
	Waited  error         // why the wait for one ended
}

func (e *LimitError) Error() string { return "no session is left" }

func (e *LimitError) Unwrap() error { return e.Waited }

func (e *LimitError) after(waited error) error {
	return &LimitError{Own: e.Own, Failure: e.Failure, Waited: waited}
}

// joinErrors is errors.Join that leaves a single error as it is. A limit on one
// server counts for less than a failure of another.
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
