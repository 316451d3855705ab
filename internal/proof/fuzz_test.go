package proof

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"
)

// dump writes a proof as bytes, and restore makes a proof of any bytes: integers and digests as they
// are, one byte in front of slices for the length and of pointers for nil.
func dump(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0)
		}
		return dump(append(b, 1), v.Elem())
	case reflect.Slice:
		b = append(b, byte(v.Len()))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			b = dump(b, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			b = dump(b, v.Field(i))
		}
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Uint8:
		return append(b, byte(v.Uint()))
	case reflect.Uint64:
		return binary.BigEndian.AppendUint64(b, v.Uint())
	case reflect.Int32, reflect.Int64:
		return binary.BigEndian.AppendUint64(b, uint64(v.Int()))
	default:
		panic(v.Kind())
	}
	return b
}

func restore(b []byte, v reflect.Value) []byte {
	number := func() (n uint64) {
		var word [8]byte
		b = b[copy(word[:], b):]
		return binary.BigEndian.Uint64(word[:])
	}
	one := func() (c byte) {
		if len(b) > 0 {
			c, b = b[0], b[1:]
		}
		return c
	}
	switch v.Kind() {
	case reflect.Pointer:
		if one()&1 == 1 {
			v.Set(reflect.New(v.Type().Elem()))
			return restore(b, v.Elem())
		}
	case reflect.Slice:
		n := min(int(one()), len(b))
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			b = restore(b, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			b = restore(b, v.Field(i))
		}
	case reflect.Bool:
		v.SetBool(one()&1 == 1)
	case reflect.Uint8:
		v.SetUint(uint64(one()))
	case reflect.Uint64:
		v.SetUint(number())
	case reflect.Int32:
		v.SetInt(int64(int32(number())))
	case reflect.Int64:
		v.SetInt(int64(number()))
	}
	return b
}

// Whatever a server sends, it can not move the client to another state than the real ones.
func FuzzDualProof(f *testing.F) {
	h := newHistory(f, 20, func(id int) int { return id % 4 })
	trusted := h.state(9)
	for _, tx := range []int{1, 8, 9, 10, 20} {
		f.Add(uint64(tx), dump(nil, reflect.ValueOf(h.dual(f, min(tx, 9), max(tx, 9)))))
	}
	f.Fuzz(func(t *testing.T, tx uint64, b []byte) {
		var p *DualProof
		restore(b, reflect.ValueOf(&p).Elem())
		hd, next, err := p.Prove(trusted, tx)
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnlinked) {
				t.Errorf("%v is not a verdict", err)
			}
			return
		}
		if tx == 0 || tx > 20 || hd.ID != tx || next != h.state(max(9, int(tx))) {
			t.Errorf("forged: tx %d, state %v", tx, next)
		}
	})
}

func FuzzRowProof(f *testing.F) {
	h := rowHistory(f)
	for _, tx := range []int{2, 3} {
		f.Add(dump(nil, reflect.ValueOf(h.row(f, 9, tx, 0))))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p *RowProof
		restore(b, reflect.ValueOf(&p).Elem())
		row, next, err := p.Verify(h.state(9), all, "ab", int64(1))
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnlinked) && !errors.Is(err, ErrSchema) {
				t.Errorf("%v is not a verdict", err)
			}
			return
		}
		if next != h.state(9) || row.Values[1] != "ab" || row.Deleted != (row.TxID == 3) {
			t.Errorf("forged: %+v, %v", row, next)
		}
	})
}

// Paths are accepted exactly if the recursive reference says so.
func FuzzInclusion(f *testing.F) {
	leaves := testLeaves(treesUpTo)
	f.Add(uint64(3), uint64(7), []byte{0, 1, 2})
	f.Add(uint64(math.MaxUint64-1), uint64(math.MaxUint64), []byte{})
	f.Fuzz(func(t *testing.T, index, size uint64, spoil []byte) {
		if size == 0 || size > treesUpTo || index >= size {
			if VerifyInclusion(leaves[:min(len(leaves), len(spoil))], index, size, leaves[0], leaves[0]) {
				t.Errorf("accepted at %d of %d", index, size)
			}
			VerifyConsistency(leaves[:min(len(leaves), len(spoil))], index, size, leaves[0], leaves[1])
			return
		}
		tree := leaves[:size]
		want := refPath(int(index), tree)
		path := append([]Digest(nil), want...)
		for i, c := range spoil {
			switch {
			case c == 0 && len(path) > 0:
				path = path[:len(path)-1]
			case c == 1:
				path = append(path, leaves[i%len(leaves)])
			case c > 200 && len(path) > 0:
				path[i%len(path)][0] ^= c
			}
		}
		if got := VerifyInclusion(path, index, size, tree[index], refRoot(tree)); got != slices.Equal(path, want) {
			t.Errorf("%d of %d with path %v: %v", index, size, path, got)
		}
	})
}

// A row that can be read is written again and read the same.
func FuzzDecodeRow(f *testing.F) {
	f.Add(stored(1, "12345678", 2, "ab", 3, "\x01", 4, "dropped", 5, "", 6, "12345678", 7, "12345678", 8, "0123456789abcdef", 9, "null"))
	f.Add(stored())
	f.Add([]byte{255, 255, 255, 255, 0, 0, 0, 1, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := all.DecodeRow(b)
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrSchema) {
				t.Errorf("%v is not a verdict", err)
			}
			return
		}
		var pairs []any
		for i, v := range row {
			if s, ok := storedText(v); ok {
				pairs = append(pairs, int(all.Columns[i].ID), s)
			}
		}
		again, err := all.DecodeRow(stored(pairs...))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range row {
			a, _ := storedText(v)
			if b, _ := storedText(again[i]); a != b || reflect.TypeOf(v) != reflect.TypeOf(again[i]) {
				t.Errorf("column %d: %v, then %v", i, v, again[i])
			}
		}
	})
}

func storedText(v any) (string, bool) {
	word := func(n uint64) (string, bool) { return string(binary.BigEndian.AppendUint64(nil, n)), true }
	switch v := v.(type) {
	case int64:
		return word(uint64(v))
	case float64:
		return word(math.Float64bits(v))
	case time.Time:
		return word(uint64(v.UnixMicro()))
	case bool:
		if v {
			return "\x01", true
		}
		return "\x00", true
	case string:
		return v, true
	case []byte:
		return string(v), true
	case RawJSON:
		return string(v), true
	case [16]byte:
		return string(v[:]), true
	}
	return "", false
}

func FuzzCatalog(f *testing.F) {
	for _, e := range created() {
		f.Add(e.Key, e.Value, false)
		f.Add(e.Key, []byte{}, true)
	}
	f.Fuzz(func(t *testing.T, key, value []byte, deleted bool) {
		c := NewCatalog()
		if err := apply(t, c, created()...); err != nil {
			t.Fatal(err)
		}
		e := entry(key, string(value))
		e.Metadata.Deleted = deleted
		if err := apply(t, c, e); err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%v is not a verdict", err)
			}
			return
		}
		for _, name := range c.TableNames() {
			table, err := c.Table(name)
			if err == nil {
				err = table.Check()
			}
			if err != nil && !errors.Is(err, ErrSchema) {
				t.Error(err)
			}
		}
	})
}

func FuzzPublicKey(f *testing.F) {
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"), []byte{0x30, 0x06, 2, 1, 1, 2, 1, 1})
	f.Fuzz(func(t *testing.T, b, sig []byte) {
		key, err := ParsePublicKey(b)
		if err != nil {
			return
		}
		if err := (State{TxID: 1}).VerifySignature(key, "db", sig); !errors.Is(err, ErrSignature) {
			t.Errorf("%v is not a verdict", err)
		}
	})
}
