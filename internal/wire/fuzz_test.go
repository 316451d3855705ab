package wire

import (
	"database/sql/driver"
	"errors"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
)

// maxGrowth is how many bytes may be allocated for each byte received, and
// maxStart how many more for a message of any length. A field of two bytes can
// become a Column, which has 32 and is copied while its slice grows.
const (
	maxGrowth = 128
	maxStart  = 64 << 10
)

// allocated runs f and returns how many bytes it allocated.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func checkGrowth(t *testing.T, msg []byte, f func()) {
	t.Helper()
	limit := uint64(maxStart + maxGrowth*len(msg))
	// What other goroutines allocate counts too: only an excess that repeats is
	// the decoder's.
	for try := 0; ; try++ {
		n := allocated(f)
		if n <= limit {
			return
		}
		if try == 2 {
			t.Errorf("%d bytes were allocated for a message of %d", n, len(msg))
			return
		}
	}
}

// seedRows is a result of two columns, one row with each type of value, and a
// row that is cut short.
func seedRows() [][]byte {
	column := func(name, typ string) []byte { return appendString(appendString(nil, 1, name), 2, typ) }
	row := func(values ...any) []byte {
		var r []byte
		for _, v := range values {
			r = appendText(appendText(r, 1, "(t.c)"), 2, string(AppendSQLValue(nil, v)))
		}
		return r
	}
	result := appendText(nil, 2, string(column("(t.a)", "INTEGER")))
	result = appendText(result, 2, string(column("(t.b)", "VARCHAR")))
	var seeds [][]byte
	for _, values := range [][]any{
		{int64(-1), "text"}, {nil, nil}, {true, []byte{0, 1}}, {1.5, time.UnixMicro(1)}, {"", ""}, {int64(1)}, {int64(1), "a", "b"},
	} {
		r := row(values...)
		seeds = append(seeds, append(appendText(nil, 1, string(r)), result...), appendText(result, 1, string(r[:len(r)-1])))
	}
	return append(seeds, nil, []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), []byte("\x0a\xff\xff\xff\xff\x07"),
		[]byte("\x0b\x0b\x0b\x0b\x0c"), []byte("\x0a\x06\x12\xff\xff\xff\xff\x0f"))
}

// FuzzRows decodes arbitrary bytes as the rows of a query. Decoding may fail with
// an error, but must never panic or allocate out of proportion to the message, and
// every decoded value must have a type that database/sql knows.
func FuzzRows(f *testing.F) {
	for _, seed := range seedRows() {
		f.Add(seed, 0)
		f.Add(seed, 2)
	}
	f.Fuzz(func(t *testing.T, msg []byte, columns int) {
		checkGrowth(t, msg, func() {
			b := Batch{stream: new(Stream)}
			err := codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(msg)}, &b)
			if err != nil {
				if !errors.Is(err, errMalformed) {
					t.Errorf("err = %v, want errMalformed", err)
				}
				if b.Columns != nil || b.buf != nil {
					t.Error("a message that was refused is still held")
				}
				return
			}
			defer b.Release()
			n := len(b.Columns)
			if n == 0 { // a message after the first: the number of columns is the first one's
				n = min(max(columns, 0), 64)
			}
			dest := make([]driver.Value, n)
			for rows := 0; ; rows++ {
				if rows > len(msg) {
					t.Fatal("more rows than bytes")
				}
				ok, err := b.Next(dest)
				if err != nil {
					if !errors.Is(err, errMalformed) {
						t.Errorf("err = %v, want errMalformed", err)
					}
					return
				}
				if !ok {
					return
				}
				for i, v := range dest {
					switch v := v.(type) {
					case nil, int64, float64, bool, time.Time:
					case string:
						if len(v) > len(msg) {
							t.Errorf("column %d: a string longer than the message", i)
						}
					case []byte:
						if len(v) > len(msg) {
							t.Errorf("column %d: bytes longer than the message", i)
						}
					default:
						t.Errorf("column %d is a %T", i, v)
					}
				}
			}
		})
	})
}

// FuzzAnswer decodes arbitrary bytes as each of the other answers.
func FuzzAnswer(f *testing.F) {
	seeds := seedRows()
	header := appendWrapped(nil, 1, 7)
	key := appendText(appendText(nil, 1, "t"), 2, string(AppendSQLValue(nil, int64(9))))
	tx := appendText(appendText(appendText(header, 3, string(key)), 4, string(key)), 2, "")
	seeds = append(seeds, header, tx, appendText(nil, 5, string(tx)), appendString(appendString(nil, 1, "session"), 2, "uuid"))
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, answer := range []func() Answer{
			func() Answer { return new(Session) },
			func() Answer { return new(ServerInfo) },
			func() Answer { return new(DatabaseSettings) },
			func() Answer { return new(NewTx) },
			func() Answer { return new(CommittedTx) },
			func() Answer { return new(ExecResult) },
			func() Answer { return new(Returned) },
			func() Answer { return Empty },
		} {
			checkGrowth(t, msg, func() {
				a := answer()
				if err := (codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(msg)}, a); err != nil && !errors.Is(err, errMalformed) {
					t.Errorf("%T: %v, want errMalformed", a, err)
				}
			})
		}
		checkGrowth(t, msg, func() {
			if d, ok := DecodeErrorDetail(errorInfoURL, msg); len(d.SQLState)+len(d.Cause) > len(msg) {
				t.Errorf("%+v, %v is longer than the message", d, ok)
			}
		})
	})
}
