package wire

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/immudb-go/immudb/internal/proof"
)

func message(fields ...[]byte) []byte { return bytes.Join(fields, nil) }

func number(num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
}

func nested(num protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
}

func digest(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// aHeader is a header with every field set.
func aHeader(id uint64) []byte {
	return message(number(1, id), nested(2, digest(1)), number(3, 1700000000), number(4, 2), nested(5, digest(2)), number(6, id-1),
		nested(7, digest(3)), number(8, 1), nested(9, message(number(1, 4), nested(2, []byte("extra")))))
}

func aDualProof() []byte {
	return message(nested(1, aHeader(3)), nested(2, aHeader(9)), nested(3, digest(4)), nested(3, digest(5)), nested(4, digest(6)),
		nested(5, digest(7)), nested(6, digest(8)), nested(7, message(number(1, 3), number(2, 9), nested(3, digest(9)))),
		nested(8, message(nested(1, digest(10)), nested(2, nested(3, digest(11))))))
}

func aRow() []byte {
	entry := message(nested(1, []byte("key")), nested(2, digest(12)), number(3, 5), nested(4, number(1, 1)))
	return message(
		nested(1, message(number(1, 9), nested(2, []byte("ignored")), nested(3, []byte("value")), nested(4, message(number(1, 1), nested(2, number(1, 77)), number(3, 1))))),
		nested(2, message(nested(1, message(nested(1, aHeader(9)), nested(2, entry), nested(2, entry))), nested(2, aDualProof()),
			nested(3, message(nested(1, []byte("public")), nested(2, []byte("signature")))))),
		nested(3, message(number(1, 1), number(2, 2), nested(3, digest(13)))),
		number(4, 1), number(5, 6),
		nested(8, message(number(1, 2), nested(2, []byte("name")))), nested(8, message(number(1, 1), nested(2, []byte("id")))),
		nested(10, message(number(1, 1), nested(2, []byte("INTEGER")))), nested(10, message(number(1, 2), nested(2, []byte("VARCHAR")))),
		nested(11, message(number(1, 1), number(2, 8))), nested(11, message(number(1, 2), number(2, 30))),
		number(12, 4), nested(16, []byte{1, 2}))
}

func TestDecodeVerifiableRowTakesEveryField(t *testing.T) {
	r, err := DecodeVerifiableRow(aRow(), "t")
	if err != nil {
		t.Fatal(err)
	}
	p := r.Proof
	if p.TxID != 9 || string(p.Value) != "value" || (p.Metadata != proof.EntryMetadata{Deleted: true, NonIndexable: true, Expires: true, ExpiresAt: 77}) {
		t.Errorf("entry: %+v", p)
	}
	if i := p.Inclusion; i.Leaf != 1 || i.Width != 2 || len(i.Terms) != 1 {
		t.Errorf("inclusion: %+v", i)
	}
	d := p.Dual
	if d.Source.ID != 3 || d.Target.ID != 9 || len(d.Inclusion) != 2 || len(d.Consistency) != 1 || d.TargetBlAlh[0] != 7 || len(d.LastInclusion) != 1 ||
		d.Linear.SourceTxID != 3 || d.Linear.TargetTxID != 9 || len(d.Linear.Terms) != 1 || len(d.LinearAdvance.Terms) != 1 || len(d.LinearAdvance.Inclusions[0]) != 1 {
		t.Errorf("dual proof: %+v", d)
	}
	if h := d.Target; h.PrevAlh[0] != 1 || h.Time != 1700000000 || h.NEntries != 2 || h.EH[0] != 2 || h.BlTxID != 8 || h.BlRoot[0] != 3 || h.Version != 1 ||
		h.Metadata.TruncatedTxID != 4 || string(h.Metadata.Extra) != "extra" {
		t.Errorf("header: %+v", h)
	}
	want := proof.Table{ID: 6, Name: "t", PrimaryKey: []uint32{1, 2}, MaxColID: 4, Columns: []proof.Column{
		{ID: 1, Name: "id", Type: proof.Integer, MaxLen: 8}, {ID: 2, Name: "name", Type: proof.Varchar, MaxLen: 30}}}
	if err := want.Same(&r.Claim); err != nil {
		t.Error(err)
	}
	if string(r.Signature) != "signature" || len(r.Keys) != 2 || string(r.Keys[0]) != "key" {
		t.Errorf("signature %q, keys %q", r.Signature, r.Keys)
	}
}

func TestNumbersAndDigestsThatDoNotFitAreMalformed(t *testing.T) {
	for reason, header := range map[string][]byte{
		"a digest of 31 bytes":       nested(2, digest(1)[:31]),
		"a digest of 33 bytes":       nested(5, append(digest(1), 1)),
		"a version beyond 32 bits":   number(8, 1<<32+1),
		"a negative version":         number(8, 1<<63),
		"more entries than 32 bits":  number(4, 1<<32+2),
		"bytes that are not a field": {0x0a, 5, 1},
	} {
		if h, err := DecodeHeader(header); err == nil {
			t.Errorf("%s: got %+v", reason, h)
		}
	}
	if _, err := DecodeVerifiableRow(nested(11, message(number(1, 1), number(2, 1<<63))), "t"); !errors.Is(err, errMalformed) {
		t.Errorf("a negative length: err = %v", err)
	}
}

func FuzzDecodeVerifiable(f *testing.F) {
	f.Add(aRow())
	f.Add(message(nested(1, message(nested(1, aHeader(9)), nested(2, nested(1, []byte("k"))))), nested(2, aDualProof())))
	f.Add(message(nested(1, []byte("db")), number(2, 9), nested(3, digest(1)), nested(4, nested(2, []byte("s")))))
	f.Fuzz(func(t *testing.T, msg []byte) {
		whole := bytes.Clone(msg)
		// Nothing may panic, here or where what was decoded is judged.
		if r, err := DecodeVerifiableRow(msg, "t"); err == nil {
			_ = r.Claim.Check()
			_, _, _ = r.Proof.Verify(proof.State{TxID: 3, Alh: proof.Digest{1}}, &r.Claim, int64(1))
		}
		if v, err := DecodeVerifiableTx(msg); err == nil {
			_, _, _ = proof.VerifyTx(proof.State{TxID: 3}, v.Dual, 9, v.Entries)
		}
		if txs, err := DecodeTxs(msg); err == nil {
			for _, tx := range txs {
				_, _ = proof.NewChain().Append(tx.Header, tx.Entries)
			}
		}
		_, _ = DecodeSignedState(msg)
		if !bytes.Equal(msg, whole) {
			t.Error("the message was changed")
		}
	})
}
