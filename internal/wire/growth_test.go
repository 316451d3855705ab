package wire

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// A server can send an element of a list in two bytes. The memory for the decoded
// list must stay in proportion to the message, whichever list it is.
func TestListOfEmptyElementsTakesMemoryInProportion(t *testing.T) {
	decoders := map[string]func(msg []byte){
		"SignedState":   func(msg []byte) { _, _ = DecodeSignedState(msg) },
		"VerifiableRow": func(msg []byte) { _, _ = DecodeVerifiableRow(msg, "t") },
		"VerifiableTx":  func(msg []byte) { _, _ = DecodeVerifiableTx(msg) },
		"Txs":           func(msg []byte) { _, _ = DecodeTxs(msg) },
		"Tx":            func(msg []byte) { _, _ = DecodeTx(msg) },
		"CommittedTx":   func(msg []byte) { _ = new(CommittedTx).decode(msg) },
		"ExecResult":    func(msg []byte) { _ = new(ExecResult).decode(msg) },
		"Batch": func(msg []byte) {
			b := Batch{stream: new(Stream)}
			if b.take(mem.BufferSlice{mem.SliceBuffer(msg)}) == nil {
				b.Release()
			}
		},
	}
	numbers := []protowire.Number{1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 16}
	for name, decode := range decoders {
		t.Run(name, func(t *testing.T) {
			for _, a := range numbers {
				parts := bytes.Repeat(nested(a, nil), 16<<10)
				checkGrowth(t, parts, func() { decode(parts) })
				for _, b := range numbers {
					within := nested(b, parts)
					checkGrowth(t, within, func() { decode(within) })
					for _, c := range numbers {
						deeper := nested(c, within)
						checkGrowth(t, deeper, func() { decode(deeper) })
					}
				}
			}
		})
	}
}

// The elements are the shortest that the decoder accepts.
func TestListOfShortestElementsTakesMemoryInProportion(t *testing.T) {
	const n = 100_000
	entry := nested(2, message(nested(1, []byte("k")), nested(2, digest(1))))
	header := nested(1, message(nested(2, digest(1)), nested(5, digest(2))))
	var columns []byte
	for id := range uint64(n) {
		columns = append(columns, nested(8, number(1, id))...)
	}
	for name, decode := range map[string]func() int{
		"entries":      func() int { m := bytes.Repeat(entry, n); _, _ = DecodeTx(m); return len(m) },
		"transactions": func() int { m := bytes.Repeat(nested(1, header), n); _, _ = DecodeTxs(m); return len(m) },
		"columns":      func() int { _, _ = DecodeVerifiableRow(columns, "t"); return len(columns) },
	} {
		var size int
		if got := allocated(func() { size = decode() }); got > uint64(maxStart+16*size) {
			t.Errorf("%s: %d bytes were allocated for a message of %d", name, got, size)
		}
	}
}

func TestElementWithoutARequiredFieldIsMalformed(t *testing.T) {
	header := nested(1, aHeader(9))
	for what, decode := range map[string]func() error{
		"an entry without a key":       func() error { _, err := DecodeTx(nested(2, nested(2, digest(1)))); return err },
		"an entry without a hash":      func() error { _, err := DecodeTx(nested(2, nested(1, []byte("k")))); return err },
		"a transaction without header": func() error { _, err := DecodeTxs(nested(1, nil)); return err },
		"an entry beside a row": func() error {
			_, err := DecodeVerifiableRow(nested(2, nested(1, message(header, nested(2, nil)))), "t")
			return err
		},
		"too many inclusion proofs": func() error {
			_, err := DecodeVerifiableTx(nested(2, nested(8, bytes.Repeat(nested(2, nil), maxLinearProofs+1))))
			return err
		},
		"too many transactions": func() error { return new(ExecResult).decode(bytes.Repeat(nested(5, nil), maxCommittedTxs+1)) },
	} {
		if err := decode(); !errors.Is(err, errMalformed) {
			t.Errorf("%s: err = %v, want %v", what, err, errMalformed)
		}
	}
}
