package oracle

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/immudb-go/immudb/internal/testserver/rounds"
)

// eachBit calls visit with one bit below *root flipped at a time, and flips it back afterwards: with at least one bit of every
// byte, and with IMMUDB_TEST_LONG=7 with every bit. It finds fields by reflection, so a new field is covered the day it is added.
func eachBit(t *testing.T, root any, visit func(path string)) {
	t.Helper()
	f := flipper{visit: visit, stride: max(1, 7/rounds.Of(t, 1, 1))}
	f.walk(reflect.ValueOf(root), "")
}

type flipper struct {
	visit  func(path string)
	stride int // 7 meets each byte at least once, and all positions within a byte
	seen   int // bits
}

// some calls flip with the bits of a number of this size that are to be flipped.
func (f *flipper) some(bits int, flip func(bit int)) {
	for bit := range bits {
		if f.seen++; f.seen%f.stride == 0 {
			flip(bit)
		}
	}
}

func (f *flipper) walk(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			f.walk(v.Elem(), path)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f.walk(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			f.walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Bool:
		v.SetBool(!v.Bool())
		f.visit(path)
		v.SetBool(!v.Bool())
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		f.some(v.Type().Bits(), func(bit int) {
			v.SetUint(v.Uint() ^ 1<<bit)
			f.visit(path)
			v.SetUint(v.Uint() ^ 1<<bit)
		})
	case reflect.Int32, reflect.Int64:
		old := v.Int()
		f.some(v.Type().Bits(), func(bit int) {
			flipped := old ^ 1<<bit
			if v.Type().Bits() == 32 {
				flipped = int64(int32(flipped))
			}
			v.SetInt(flipped)
			f.visit(path)
		})
		v.SetInt(old)
	default:
		panic("eachBit does not know " + v.Type().String() + " at " + path)
	}
}
