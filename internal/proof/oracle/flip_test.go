package oracle

import (
	"fmt"
	"reflect"
)

// eachBit calls visit with every single bit of every field below *root flipped, one at a time, and flips
// it back afterwards. It finds fields by reflection, so a new field is covered the day it is added.
func eachBit(root any, visit func(path string)) {
	walk(reflect.ValueOf(root), "", visit)
}

func walk(v reflect.Value, path string, visit func(string)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), path, visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case reflect.Bool:
		v.SetBool(!v.Bool())
		visit(path)
		v.SetBool(!v.Bool())
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		for bit := range v.Type().Bits() {
			v.SetUint(v.Uint() ^ 1<<bit)
			visit(path)
			v.SetUint(v.Uint() ^ 1<<bit)
		}
	case reflect.Int32, reflect.Int64:
		old := v.Int()
		for bit := range v.Type().Bits() {
			flipped := old ^ 1<<bit
			if v.Type().Bits() == 32 {
				flipped = int64(int32(flipped))
			}
			v.SetInt(flipped)
			visit(path)
		}
		v.SetInt(old)
	default:
		panic("eachBit does not know " + v.Type().String() + " at " + path)
	}
}
