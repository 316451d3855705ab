// Package wire is the part of immudb's gRPC protocol that the driver speaks:
// method paths, field numbers and the bytes between them. It is the only place
// that knows them.
//
// Nothing is generated and nothing is registered: a program may link the
// official client beside this driver, and two packages that register messages
// named immudb.schema.* in one process panic. Message names do not travel, so
// requests are appended as bytes and answers are decoded from bytes, under the
// methods' full paths.
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

// Answer decodes itself from the bytes of one response message. The bytes are
// gRPC's and valid during the call only.
type Answer interface{ decode(msg []byte) error }

// codec hands request bytes to gRPC as they are and answers to their decoder.
// Its name gives the content type application/grpc+proto, which is what the
// bytes are.
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

// Request is a request with the memory that gRPC wants around it: kept in
// something that is allocated anyway it saves three allocations. It belongs to
// gRPC from the call on and is not to be changed or used for another one.
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

// CallOptions are the options every channel to a server is dialled with: the
// codec above, and no limit on the size of an answer, because the server sends
// 2,048 rows in one message whatever they weigh (gRPC's default of 4 MB fails
// at rows of 2 kB). Rows are decoded one at a time, out of the message itself;
// answers that are decoded whole have the limit [maxRaw].
func CallOptions() []grpc.CallOption {
	return []grpc.CallOption{
		grpc.ForceCodecV2(codec{}),
		grpc.MaxCallRecvMsgSize(maxMessage),
		grpc.MaxCallSendMsgSize(maxMessage),
	}
}

// maxMessage is the largest length gRPC's five-byte message header is used
// with: 2 GiB less one.
const maxMessage = 1<<31 - 1

// maxRaw is the largest answer, in bytes, that is taken as [Raw]: a transaction
// whole, its values included. Decoded it takes a few times as much memory. The
// server takes at most 32 MiB in one request by default.
const maxRaw = 128 << 20

// Channel is the way to one server: gRPC's channel, and how many calls on it have
// not ended.
type Channel struct {
	cc      *grpc.ClientConn
	pending atomic.Int64
}

// NewChannel makes a Channel of gRPC's. Close closes both.
func NewChannel(cc *grpc.ClientConn) *Channel { return &Channel{cc: cc} }

// Close ends every call and the connection.
func (ch *Channel) Close() error { return ch.cc.Close() }

// Connection is gRPC's channel, for what concerns the connection alone.
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
	// The requests for such answers are short: what is too large is the answer.
	if st := status.Convert(err); raw && st.Code() == codes.ResourceExhausted && strings.HasPrefix(st.Message(), requestTooLarge) {
		return Malformed(fmt.Sprintf("the server's answer is larger than %d MiB, which is the most that is taken to prove something", maxRaw>>20))
	}
	return newFailure(ctx, err, p.Addr != nil)
}

// none is the answer of methods that answer with google.protobuf.Empty.
type none struct{}

func (none) decode([]byte) error { return nil }

// Empty is passed for an answer that carries nothing.
var Empty Answer = none{}

// Probe makes the smallest call that there is, to which any server answers
// something, if only no. It does not count as pending.
func (ch *Channel) Probe(ctx context.Context) error {
	return ch.cc.Invoke(ctx, MethodHealth, []byte(nil), Empty)
}
