package wire

import (
	"database/sql/driver"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// benchColumns are of the seven types that a table can have.
var benchColumns = []struct{ name, typ string }{
	{"id", "INTEGER"}, {"name", "VARCHAR"}, {"balance", "FLOAT"}, {"active", "BOOLEAN"},
	{"created", "TIMESTAMP"}, {"token", "BLOB"}, {"ref", "UUID"},
}

// batchMessage is a full message of a result as the server sends it: 2,048 rows, each with the names of its columns,
// then the columns.
func batchMessage() []byte {
	var msg []byte
	field := func(b []byte, num protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
	}
	for i := range 2048 {
		var row []byte
		for _, c := range benchColumns {
			row = field(row, 1, []byte("(accounts."+c.name+")"))
		}
		for _, v := range []driver.Value{
			int64(i), fmt.Sprintf("Account holder %d", i), float64(i) / 128, i%3 == 0,
			time.Unix(int64(i), 0), make([]byte, 16), fmt.Sprintf("00000000-0000-4000-8000-%012x", i),
		} {
			row = field(row, 2, AppendSQLValue(nil, v))
		}
		msg = field(msg, 1, row)
	}
	for _, c := range benchColumns {
		msg = field(msg, 2, field(field(nil, 1, []byte("(accounts."+c.name+")")), 2, []byte(c.typ)))
	}
	return msg
}

// An operation is a row.
func BenchmarkRowDecode(b *testing.B) {
	msg := mem.BufferSlice{mem.SliceBuffer(batchMessage())}
	dest := make([]driver.Value, len(benchColumns))
	b.ReportAllocs()
	b.SetBytes(int64(msg.Len() / 2048))
	batch := Batch{stream: new(Stream)}
	for rows := 0; b.Loop(); rows++ {
		ok, err := batch.Next(dest)
		if err == nil && !ok {
			batch.Release()
			if err = (codec{}).Unmarshal(msg, &batch); err == nil {
				_, err = batch.Next(dest)
			}
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	batch.Release()
}

// An INTEGER above 255, a FLOAT, a TIMESTAMP, a BLOB and each of two strings are allocated as an interface value; the two
// strings share one copy of their bytes. A BOOLEAN needs no allocation.
func TestDecodingARowOfSevenTypesTakesAtMostSevenAllocations(t *testing.T) {
	batch := Batch{stream: new(Stream)}
	if err := batch.take(mem.BufferSlice{mem.SliceBuffer(batchMessage())}); err != nil {
		t.Fatal(err)
	}
	dest := make([]driver.Value, len(benchColumns))
	for range 300 { // the runtime has boxes for small integers
		if _, err := batch.Next(dest); err != nil {
			t.Fatal(err)
		}
	}
	got := testing.AllocsPerRun(1000, func() {
		if ok, err := batch.Next(dest); !ok || err != nil {
			t.Fatal(ok, err)
		}
	})
	if got > 7 {
		t.Errorf("%v allocations, want at most 7", got)
	}
}

// One buffer holds the messages of an answer one after the other, whichever processor reads them.
func TestMessagesOfAStreamShareABuffer(t *testing.T) {
	var stream Stream
	half := batchMessage()
	frames := mem.BufferSlice{mem.SliceBuffer(half[:len(half)/2]), mem.SliceBuffer(half[len(half)/2:])}
	first := Batch{stream: &stream}
	if err := first.take(frames); err != nil {
		t.Fatal(err)
	}
	buffer := &first.buf.ReadOnlyData()[0]
	first.Release()
	second, third := Batch{stream: &stream}, Batch{stream: &stream}
	if err := second.take(frames); err != nil {
		t.Fatal(err)
	}
	if &second.buf.ReadOnlyData()[0] != buffer {
		t.Error("the second message has a buffer of its own")
	}
	if err := third.take(frames); err != nil {
		t.Fatal(err)
	}
	if &third.buf.ReadOnlyData()[0] == buffer {
		t.Error("the third message overwrites the second, which is still held")
	}
	second.Release()
	third.Release()
	if stream.Free(); stream.spare.buf != nil {
		t.Error("the stream keeps a buffer after its end")
	}
}
