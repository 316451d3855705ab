package fakeserver

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"
)

// Rule is what the server does at the calls it names. Of several rules that fit
// a call the first counts.
type Rule struct {
	Method string // such as "SQLExec"; "": any
	SQL    string // only calls with this in their text; "": any
	Nth    int    // the n-th call that Method and SQL fit, counted from 1; 0: each
	Do     Fault
}

// Fault is how a call is treated, in the order of its fields. The zero value is
// the default behaviour.
type Fault struct {
	// CutBefore cuts the connection before the call is carried out.
	CutBefore bool
	// Delay passes before the call is carried out. A client that goes away
	// meanwhile ends it, unless Deaf is set.
	Delay time.Duration
	// Fail is answered, and the call not carried out.
	Fail *Failure
	// Status is answered though the call was carried out, after Messages.
	Status *Failure
	// AnswerDelay passes after the call was carried out. Deaf counts here too.
	AnswerDelay time.Duration
	Deaf        bool
	// CutAfter cuts the connection after the call was carried out, before
	// anything of the answer is sent.
	CutAfter bool
	// Messages take the place of the answer, byte for byte. nil: the answer.
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
