package evidence

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/immudb-go/immudb/internal/proof"
)

func fixture(t *testing.T, name string) (*Receipt, []byte, Policy) {
	t.Helper()
	read := func(ext string) []byte {
		b, err := os.ReadFile(filepath.Join("..", "..", "receipt", "testdata", name+ext))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	text := read(".receipt")
	r, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	policy := Policy{Database: "defaultdb"}
	if name == "signed" {
		policy.Key, err = proof.ParsePublicKey(read(".pem"))
	} else {
		policy.State, err = proof.ParseState(strings.TrimSpace(string(read(".state"))))
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, text, policy
}

// forgeries calls try after each change of v, and undoes the change.
func forgeries(v reflect.Value, path string, try func(what string)) {
	set := func(to reflect.Value, what string) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		v.Set(to)
		try(path + " " + what)
		v.Set(old)
	}
	switch v.Kind() {
	case reflect.Pointer:
		forgeries(v.Elem(), path, try)
	case reflect.Struct:
		for i := range v.NumField() {
			forgeries(v.Field(i), path+"."+v.Type().Field(i).Name, try)
		}
	case reflect.Array:
		for i := range v.Len() {
			forgeries(v.Index(i), path, try)
		}
	case reflect.Slice:
		for i := range v.Len() {
			forgeries(v.Index(i), path, try)
			set(reflect.AppendSlice(clone(v.Slice(0, i)), v.Slice(i+1, v.Len())), "one less")
			set(reflect.AppendSlice(clone(v.Slice(0, i+1)), v.Slice(i, v.Len())), "one twice")
		}
		set(reflect.Append(clone(v), reflect.New(v.Type().Elem()).Elem()), "a zero more")
	case reflect.String:
		set(reflect.ValueOf(v.String()+"x"), "longer")
		set(reflect.ValueOf(""), "empty")
	case reflect.Bool:
		set(reflect.ValueOf(!v.Bool()), "inverted")
	case reflect.Uint8, reflect.Uint64:
		for bit := range v.Type().Bits() {
			set(reflect.ValueOf(v.Uint()^1<<bit).Convert(v.Type()), "bit")
		}
		set(reflect.ValueOf(v.Uint()-1).Convert(v.Type()), "one less")
	case reflect.Int32, reflect.Int64:
		for bit := range v.Type().Bits() {
			set(reflect.ValueOf(v.Int()^1<<bit).Convert(v.Type()), "bit")
		}
	default:
		panic(v.Kind())
	}
}

func clone(v reflect.Value) reflect.Value {
	return reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()+1), v)
}

// isWritable tells whether the text of the receipt can hold it: the other forgeries
// have no receipt.
func isWritable(r *Receipt) bool {
	for _, d := range r.Definitions {
		if d.Header == nil {
			return false
		}
	}
	return true
}

func TestAForgeryOfAnyFieldIsRefused(t *testing.T) {
	for _, name := range []string{"signed", "v1.11.1-newest"} {
		r, text, policy := fixture(t, name)
		tried := 0
		forgeries(reflect.ValueOf(r), "", func(what string) {
			if !isWritable(r) {
				return
			}
			forged := r.Marshal()
			switch {
			case bytes.Equal(forged, text), what == ".Definitions one less":
				return // not a forgery; and see the test below
			case policy.Key == nil && strings.HasPrefix(what, ".Signature "):
				return // who trusts no key does not look at the signature
			}
			tried++
			got, err := Parse(forged)
			if err == nil {
				_, err = got.Verify(policy)
			}
			if err == nil {
				t.Errorf("%s:%s: accepted", name, what)
			}
		})
		if tried < 5000 {
			t.Errorf("%s: %d forgeries were tried", name, tried)
		}
	}
}

// The definitions in a receipt are proven, but not that they are all: the reader
// compares the digest of the definition where that matters.
func TestALeftOutDefinitionGivesAnotherDigest(t *testing.T) {
	r, _, policy := fixture(t, "v1.11.1-older")
	whole, err := r.Verify(policy)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Definitions {
		less := *r
		less.Definitions = append(append([]Definition(nil), r.Definitions[:i]...), r.Definitions[i+1:]...)
		row, err := less.Verify(policy)
		if err == nil && row.Table.Fingerprint() == whole.Table.Fingerprint() {
			t.Errorf("without definition %d: accepted as the same", i)
		}
	}
}
