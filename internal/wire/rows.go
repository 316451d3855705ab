package wire

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/encoding/protowire"
)

// Stream is the answer to a SQLQuery or TxSQLQuery call: batches of rows. It ends
// with a failure or at the end of the answer. To end it earlier the caller cancels
// the context of Open, which ends the query on the server, and calls GiveUp.
type Stream struct {
	ctx     context.Context
	cs      grpc.ClientStream
	channel *Channel // nil once the stream has ended
	known   []Column
	spare   spareBuffer
}

// spareBuffer keeps the buffer of the last message for the next one. gRPC's shared
// pool would clear the buffer each time, and keep one for each processor that the
// reader runs on.
type spareBuffer struct{ buf *[]byte }

func (s *spareBuffer) Get(length int) *[]byte {
	if buf := s.buf; buf != nil && cap(*buf) >= length {
		s.buf = nil
		*buf = (*buf)[:length]
		return buf
	}
	return mem.DefaultBufferPool().Get(length)
}

func (s *spareBuffer) Put(buf *[]byte) {
	s.free()
	s.buf = buf
}

func (s *spareBuffer) free() {
	if s.buf != nil {
		mem.DefaultBufferPool().Put(s.buf)
		s.buf = nil
	}
}

// Free gives the spare buffer back to gRPC's pool. It is called after all batches
// have been released.
func (s *Stream) Free() { s.spare.free() }

var rowStream = &grpc.StreamDesc{ServerStreams: true}

// Open sends the query. known are the columns of the query's last result, or nil:
// if the result has the same columns again, Batch.Columns is that slice, which
// saves three allocations for each column.
func (s *Stream) Open(ctx context.Context, ch *Channel, method string, req *Request, known []Column) *Failure {
	cs, err := ch.cc.NewStream(ctx, rowStream, method)
	if err != nil {
		return newFailure(ctx, err, false)
	}
	if err := cs.SendMsg(req); err != nil && err != io.EOF {
		return newFailure(ctx, err, true)
	}
	// io.EOF from SendMsg means that the stream has its status already; Recv
	// reports it.
	if err := cs.CloseSend(); err != nil {
		return newFailure(ctx, err, true)
	}
	ch.pending.Add(1)
	*s = Stream{ctx: ctx, cs: cs, channel: ch, known: known}
	return nil
}

// Fetch is Open and Recv for a query whose answer is one message. It makes a unary
// call, which needs no goroutine and no contexts of a stream. whole is false if the
// answer turned out to have more messages: the caller then runs the query again by
// Open, if it may run twice.
func (s *Stream) Fetch(ctx context.Context, ch *Channel, method string, req *Request, known []Column, b *Batch) (whole bool, f *Failure) {
	*s = Stream{known: known}
	b.stream = s
	ch.pending.Add(1)
	defer ch.pending.Add(-1)
	var p peer.Peer
	err := ch.cc.Invoke(ctx, method, req, b, grpc.Peer(&p))
	switch {
	case err == nil:
		return true, nil
	case b.buf != nil:
		b.Release()
		return false, nil
	}
	return true, newFailure(ctx, err, p.Addr != nil)
}

// Recv receives the next message into b, releasing what b held. ok is false at
// the end of the answer, and only when the server said that the end was reached.
func (s *Stream) Recv(b *Batch) (ok bool, f *Failure) {
	b.Release()
	b.stream = s
	err := s.cs.RecvMsg(b)
	if err == nil {
		return true, nil
	}
	s.GiveUp()
	if err == io.EOF {
		return false, nil
	}
	return false, newFailure(s.ctx, err, true)
}

// GiveUp ends the stream: the caller will not call Recv again.
func (s *Stream) GiveUp() {
	if s.channel != nil {
		s.channel.pending.Add(-1)
		s.channel = nil
	}
}

// errNotWhole ends a unary call whose answer has more than one message.
var errNotWhole = errors.New("the answer has more than one message")

// Batch is one message of a result: its rows, not decoded yet, and in the first
// message also the columns of the result. The zero value is empty.
type Batch struct {
	Columns []Column // nil in all but the first message

	stream *Stream
	buf    mem.Buffer // owned until Release
	rest   []byte     // fields of the message not looked at yet
}

// take takes ownership of a message and decodes its columns. They have a higher
// field number than the rows and so come after them; take skips the rows.
func (b *Batch) take(msg mem.BufferSlice) error {
	if b.buf != nil {
		// Fetch's second message. If we took it, gRPC would return an error and leave
		// the call open.
		return errNotWhole
	}
	b.buf = msg.MaterializeToBuffer(&b.stream.spare)
	b.rest = b.buf.ReadOnlyData()
	for rest := b.rest; len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			b.Release()
			return errMalformed
		}
		size := protowire.ConsumeFieldValue(num, typ, rest[n:])
		if size < 0 {
			b.Release()
			return errMalformed
		}
		if num == 2 && typ == protowire.BytesType {
			msg, _ := protowire.ConsumeBytes(rest[n:])
			if err := b.takeColumn(msg); err != nil {
				b.Release()
				return err
			}
		}
		rest = rest[n+size:]
	}
	return nil
}

// takeColumn appends a column. While all columns are the known ones, Columns is a
// prefix of known.
func (b *Batch) takeColumn(msg []byte) error {
	known := b.stream.known
	i := len(b.Columns)
	shared := len(known) > 0 && (i == 0 || &b.Columns[0] == &known[0])
	if shared && i < len(known) && known[i].msg == string(msg) {
		b.Columns = known[:i+1]
		return nil
	}
	var c Column
	if err := c.decode(msg); err != nil {
		return err
	}
	if shared {
		b.Columns = slices.Clip(b.Columns) // known is shared: append must copy
	}
	b.Columns = append(b.Columns, c)
	return nil
}

// Release gives the message's memory back. Values of type []byte that Next
// handed out are invalid from then on.
func (b *Batch) Release() {
	if b.buf != nil {
		b.buf.Free()
	}
	*b = Batch{stream: b.stream}
}

// Size is how many bytes of the message have not been read.
func (b *Batch) Size() int { return len(b.rest) }

// Bytes returns the part of the message that has not been read: after Recv, all of
// it. It is valid until Release and must not be changed.
func (b *Batch) Bytes() []byte { return b.rest }

// HasRow reports whether there is a row that has not been read.
func (b *Batch) HasRow() bool {
	return len(b.rest) > 0 && b.rest[0] == tagRow // rows come before columns
}

// Next decodes the next row into dest, one value per column, and reports
// whether there was one. A []byte in dest is the message's memory: it is valid
// until Release and must not be written to. Strings are the caller's.
func (b *Batch) Next(dest []driver.Value) (bool, error) {
	for len(b.rest) > 0 {
		num, typ, n := protowire.ConsumeTag(b.rest)
		if n < 0 {
			return false, errMalformed
		}
		if num == 1 && typ == protowire.BytesType {
			row, size := protowire.ConsumeBytes(b.rest[n:])
			if size < 0 {
				return false, errMalformed
			}
			b.rest = b.rest[n+size:]
			return true, decodeRow(row, dest)
		}
		size := protowire.ConsumeFieldValue(num, typ, b.rest[n:])
		if size < 0 {
			return false, errMalformed
		}
		b.rest = b.rest[n+size:]
	}
	return false, nil
}

// Returned is the answer to a statement with a RETURNING clause of one column, sent
// by a unary call. The statement must return no more rows than fit into a message.
type Returned struct {
	Rows int64
	Last driver.Value // of the last row; not valid if it is a []byte

	whole bool // the message has been decoded
}

func (r *Returned) decode(msg []byte) error {
	if r.whole {
		return errNotWhole // as in Batch.take
	}
	r.whole = true
	b := Batch{rest: msg}
	var row [1]driver.Value
	for {
		ok, err := b.Next(row[:])
		if err != nil || !ok {
			return err
		}
		r.Rows++
		r.Last = row[0]
	}
}

const (
	tagRow = 1<<3 | byte(protowire.BytesType)

	tagRowColumn = 1<<3 | byte(protowire.BytesType)
	tagRowValue  = 2<<3 | byte(protowire.BytesType)

	tagNull      = valueNull<<3 | byte(protowire.VarintType)
	tagInteger   = valueInteger<<3 | byte(protowire.VarintType)
	tagString    = valueString<<3 | byte(protowire.BytesType)
	tagBool      = valueBool<<3 | byte(protowire.VarintType)
	tagBytes     = valueBytes<<3 | byte(protowire.BytesType)
	tagTimestamp = valueTimestamp<<3 | byte(protowire.VarintType)
	tagFloat     = valueFloat<<3 | byte(protowire.Fixed64Type)
)

// sharedText bounds, in bytes, the one copy that the strings of a row share, so that
// a short string that the program keeps never holds more memory than this.
const sharedText = 512

// decodeRow decodes a Row message: the column names (field 1), which every row
// repeats and decodeRow skips, then the values (field 2).
//
// The strings of a short row share one allocation: a copy of the row from its first
// string on.
func decodeRow(row []byte, dest []driver.Value) error {
	i := 0
	var text string // copy of row[textAt:], once there is one
	textAt := 0
	for pos := 0; pos < len(row); {
		tag := row[pos]
		pos++
		size, n := uvarint(row[pos:])
		if n <= 0 || size > uint64(len(row)-pos-n) {
			return errMalformed
		}
		pos += n
		end := pos + int(size)
		if tag == tagRowColumn {
			pos = end
			continue
		}
		if tag != tagRowValue {
			return fmt.Errorf("%w: unknown field in a row", errMalformed)
		}
		if i == len(dest) {
			return fmt.Errorf("%w: a row has more values than columns", errMalformed)
		}
		v := row[pos:end]
		if len(v) > 0 && v[0] == tagString {
			length, n := uvarint(v[1:])
			if n <= 0 || length != uint64(len(v)-1-n) {
				return errMalformed
			}
			from := pos + 1 + n
			switch {
			case text != "":
				dest[i] = text[from-textAt : end-textAt]
			case len(row)-from <= sharedText:
				text, textAt = string(row[from:]), from
				dest[i] = text[:length]
			default:
				dest[i] = string(row[from:end])
			}
		} else {
			d, err := decodeValue(v)
			if err != nil {
				return err
			}
			dest[i] = d
		}
		i++
		pos = end
	}
	if i != len(dest) {
		return fmt.Errorf("%w: a row has %d values for %d columns", errMalformed, i, len(dest))
	}
	return nil
}

// decodeValue decodes a SQLValue that is not a string.
func decodeValue(v []byte) (driver.Value, error) {
	if len(v) == 0 {
		return nil, nil
	}
	body := v[1:]
	switch v[0] {
	case tagFloat:
		if len(body) != 8 {
			return nil, errMalformed
		}
		return math.Float64frombits(binary.LittleEndian.Uint64(body)), nil
	case tagBytes:
		length, n := uvarint(body)
		if n <= 0 || length != uint64(len(body)-n) {
			return nil, errMalformed
		}
		return body[n:len(body):len(body)], nil
	}
	u, n := uvarint(body)
	if n <= 0 || n != len(body) {
		return nil, errMalformed
	}
	switch v[0] {
	case tagInteger:
		return int64(u), nil
	case tagTimestamp:
		return time.UnixMicro(int64(u)).UTC(), nil
	case tagBool:
		return u != 0, nil
	case tagNull:
		return nil, nil
	}
	return nil, fmt.Errorf("%w: value of an unknown type (field %d)", errMalformed, v[0]>>3)
}

// uvarint is binary.Uvarint with the case of one byte inlined into its callers:
// nearly every length and tag of a row is one byte.
func uvarint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return binary.Uvarint(b)
}
