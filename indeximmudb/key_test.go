package indeximmudb

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Keys are compared in packed form as in the form of the history, and prefixes that end before a byte that is not
// zero stay prefixes.
func TestPackedKeysAreOrderedAsKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = []byte{0, 0, 0, 0, 0, 0, 1, 254, 255}[random.IntN(9)]
		}
		return b
	}
	for range 5_000 {
		n := 1 + random.IntN(12)
		if random.IntN(4) == 0 {
			n = 500 + random.IntN(600)
		}
		a := text(n)
		b := bytes.Clone(a)
		for range 1 + random.IntN(3) {
			at := random.IntN(n)
			switch random.IntN(3) {
			case 0:
				clear(b[at:])
			case 1:
				copy(b[at:], text(n-at))
			default:
				b[at] = byte(random.IntN(3))
			}
		}
		pa, pb := appendKey(nil, a), appendKey(nil, b)
		if bytes.Compare(a, b) != bytes.Compare(pa, pb) {
			t.Fatalf("%x and %x become %x and %x", a, b, pa, pb)
		}
		longer := append(append(bytes.Clone(a), 0x80), text(5)...)
		if !bytes.HasPrefix(appendKey(nil, longer), pa) {
			t.Fatalf("%x is no prefix of %x", a, longer)
		}
		if to := after(pa); to != nil && bytes.Compare(appendKey(nil, longer), to) >= 0 {
			t.Fatalf("%x is not greater than %x", to, longer)
		}
	}
}

func TestKeysAreShort(t *testing.T) {
	integer := []byte{0x80, 0x80, 0, 0, 0, 0, 0, 0, 42}
	name := append(append([]byte("\x80ann"), make([]byte, 37)...), 0, 0, 0, 3)
	if n := len(appendKey(nil, integer)); n != 5 {
		t.Errorf("an INTEGER takes %d bytes", n)
	}
	if n := len(appendKey(nil, name)); n != 7 {
		t.Errorf("a VARCHAR[40] of three letters takes %d bytes", n)
	}
}
