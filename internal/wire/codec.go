// Package wire is the part of immudb's gRPC protocol that the driver uses. Only
// this package knows the method paths, the field numbers and the server's error
// messages.
//
// The package encodes requests and decodes answers by hand, without generated
// protobuf types. Generated types register the names immudb.schema.* in the
// process, and a program that links the official client beside this driver would
// register them twice and panic. The names are not part of the encoded messages.
package wire

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Answer decodes itself from the bytes of one response message. The bytes belong to
// gRPC and are valid during the call of decode only.
type Answer interface{ decode(msg []byte) error }

// codec passes request bytes to gRPC unchanged and answers to their decoder. Its
// name sets the content type, application/grpc+proto.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch v := v.(type) {
	case []byte:
		return mem.BufferSlice{mem.SliceBuffer(v)}, nil
	case *Request:
		v.buffer = v.Bytes
		v.slice[0] = &v.buffer
		return v.slice[:], nil
	}
	return nil, fmt.Errorf("wire: request of type %T", v)
}

// Request is a request together with the slices that gRPC needs for it: embedded in
// a struct that is allocated anyway, it saves three allocations. From the call on
// it belongs to gRPC and must not be changed or used for another call.
type Request struct {
	Bytes []byte

	buffer mem.SliceBuffer
	slice  [1]mem.Buffer
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch v := v.(type) {
	case *Batch:
		return v.take(data)
	case Answer:
		buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer buf.Free()
		return v.decode(buf.ReadOnlyData())
	}
	return fmt.Errorf("wire: answer of type %T", v)
}

// CallOptions are the call options of every channel to a server: the codec above,
// and no limit on the size of an answer, because the server sends 2,048 rows in one
// message however large they are (gRPC's default limit of 4 MB fails at rows of
// 2 kB). Rows are decoded one at a time, out of the message itself; answers that
// are decoded whole have the limit [maxRaw].
func CallOptions() []grpc.CallOption {
	return []grpc.CallOption{
		grpc.ForceCodecV2(codec{}),
		grpc.MaxCallRecvMsgSize(maxMessage),
		grpc.MaxCallSendMsgSize(maxMessage),
	}
}

// maxMessage is the largest message, in bytes, that gRPC can send: 2 GiB less one.
const maxMessage = 1<<31 - 1

// maxRaw is the largest answer, in bytes, that is received as [Raw]: a whole
// transaction with its values. Decoded it takes a few times as much memory. A
// transaction is smaller as a rule: by default the server takes at most 32 MiB in
// one request.
const maxRaw = 128 << 20

// Channel is gRPC's channel to one server, and counts the calls on it that have not
// ended.
type Channel struct {
	cc      *grpc.ClientConn
	pending atomic.Int64
}

// NewChannel makes a Channel that owns cc: Close closes both.
func NewChannel(cc *grpc.ClientConn) *Channel { return &Channel{cc: cc} }

// Close ends every call and the connection.
func (ch *Channel) Close() error { return ch.cc.Close() }

// Connection is gRPC's channel, for its state and its attempts to connect. Calls go
// through Call.
func (ch *Channel) Connection() *grpc.ClientConn { return ch.cc }

// Pending is how many calls have not ended.
func (ch *Channel) Pending() int64 { return ch.pending.Load() }

// Call makes a unary call. It returns nil if ans holds the answer.
func (ch *Channel) Call(ctx context.Context, method string, req []byte, ans Answer, options ...grpc.CallOption) *Failure {
	ch.pending.Add(1)
	defer ch.pending.Add(-1)
	var p peer.Peer // filled by gRPC once the call has a stream, and only then
	options = append(options, grpc.Peer(&p))
	_, raw := ans.(*Raw)
	if raw {
		options = append(options, grpc.MaxCallRecvMsgSize(maxRaw))
	}
	err := ch.cc.Invoke(ctx, method, req, ans, options...)
	if err == nil {
		return nil
	}
	// Requests for Raw answers are short, so it is the answer that is too large.
	if st := status.Convert(err); raw && st.Code() == codes.ResourceExhausted && strings.HasPrefix(st.Message(), requestTooLarge) {
		return Malformed(fmt.Sprintf("the server's answer is larger than %d MiB, the limit for an answer that carries a proof", maxRaw>>20))
	}
	return newFailure(ctx, err, p.Addr != nil)
}

// none is the answer of methods that answer with google.protobuf.Empty.
type none struct{}

func (none) decode([]byte) error { return nil }

// Empty is the Answer to pass for methods whose answer has no content.
var Empty Answer = none{}

// Probe makes a small call that every server answers, if only with an error. It does
// not count as pending.
func (ch *Channel) Probe(ctx context.Context) error {
	return ch.cc.Invoke(ctx, MethodHealth, []byte(nil), Empty)
}
