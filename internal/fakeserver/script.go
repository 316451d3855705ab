package fakeserver

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"
)

// Rule is a fault and the calls that have it. If several rules match a call, the first
// applies.
type Rule struct {
	Method string // such as "SQLExec"; "": any
	SQL    string // only calls with this in their text; "": any
	Nth    int    // the n-th call that matches Method and SQL, counted from 1; 0: each
	Do     Fault
}

// Fault is the treatment of a call, in the order of the fields. The zero value is the
// default behaviour.
type Fault struct {
	// CutBefore cuts the connection before the call is run.
	CutBefore bool
	// Delay passes before the call is run. If the client cancels the call meanwhile, it is
	// not run, unless Deaf is set.
	Delay time.Duration
	// Fail is returned, and the call is not run.
	Fail *Failure
	// Status is returned after Messages, although the call was run.
	Status *Failure
	// AnswerDelay passes after the call was run. Deaf applies here too.
	AnswerDelay time.Duration
	Deaf        bool
	// CutAfter cuts the connection after the call was run, before any byte of the answer
	// is sent.
	CutAfter bool
	// Messages replace the answer, byte for byte. nil: the default answer.
	Messages [][]byte
	// Pause passes before each message after the first.
	Pause time.Duration
	// CutAfterMessages cuts the connection once the messages were sent.
	CutAfterMessages bool
}

// Failure is an error as a server answers it.
type Failure struct {
	Code     codes.Code // 0: Unknown, as most of immudb's errors
	Message  string
	SQLState string // in an ErrorInfo; "": the status has no details
}

const (
	errorInfo = "type.googleapis.com/immudb.schema.ErrorInfo"
	retryInfo = "type.googleapis.com/immudb.schema.RetryInfo"
)

func (f Failure) err() error {
	if f.Code == codes.OK {
		f.Code = codes.Unknown
	}
	p := status.New(f.Code, f.Message).Proto()
	if f.SQLState != "" {
		info := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), f.SQLState)
		info = protowire.AppendString(protowire.AppendTag(info, 2, protowire.BytesType), f.Message)
		retry := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 10)
		p.Details = append(p.Details, &anypb.Any{TypeUrl: errorInfo, Value: info}, &anypb.Any{TypeUrl: retryInfo, Value: retry})
	}
	return status.FromProto(p).Err()
}
