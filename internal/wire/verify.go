package wire

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/immudb-go/immudb/internal/proof"
)

// The methods whose answers carry what proofs are checked with.
const (
	MethodCurrentState  = service + "CurrentState"
	MethodVerifiableRow = service + "VerifiableSQLGet"
	MethodVerifiableTx  = service + "VerifiableTxById"
	MethodTx            = service + "TxById"
	MethodTxScan        = service + "TxScan"
)

// Raw is an answer that is not decoded. Answers that carry proofs are received as
// Raw and decoded after the call, so that a malformed proof is not mistaken for a
// failed call.
type Raw []byte

func (r *Raw) decode(msg []byte) error {
	*r = bytes.Clone(msg)
	return nil
}

// SignedState is what CurrentState answers.
type SignedState struct {
	Database  string
	State     proof.State
	Signature []byte // empty if the server does not sign
}

// VerifiableRow is what VerifiableSQLGet answers. The definition of the table in it
// is the server's claim, not proven, see [proof.Table].
type VerifiableRow struct {
	Proof     proof.RowProof
	Keys      [][]byte // of all entries of the row's transaction, as claimed
	Claim     proof.Table
	Signature []byte // of the target of the dual proof; empty if the server does not sign
}

// VerifiableTx is what VerifiableTxById answers.
type VerifiableTx struct {
	Entries   []proof.Entry
	Dual      *proof.DualProof
	Signature []byte // of the target of Dual; empty if the server does not sign
}

// Tx is a transaction as TxById and TxScan answer it, without any proof.
type Tx struct {
	Header  *proof.Header
	Entries []proof.Entry
}

// The results of the decoders below share memory with msg. The decoders treat msg
// as hostile: no length may exceed the message, digests have 32 bytes, numbers fit
// their fields, and each element of a list must have the fields that every honest
// one has, so that a short message cannot become a long list. A message that passes
// may still prove nothing; package proof checks that.

// Limits on lists whose elements may be as short as two bytes. No honest answer
// exceeds them.
const (
	maxColumns      = 1 << 14 // of a table
	maxLinearProofs = 1 << 14 // inclusion proofs of one linear advance
)

// DecodeSignedState decodes the answer to CurrentState.
func DecodeSignedState(msg []byte) (*SignedState, error) {
	s := &SignedState{}
	err := fields(msg, func(num protowire.Number, n uint64, b []byte) (err error) {
		switch num {
		case 1:
			s.Database = string(b)
		case 2:
			s.State.TxID = n
		case 3:
			s.State.Alh, err = proof.DigestFrom(b)
		case 4:
			s.Signature, err = decodeSignature(b)
		}
		return err
	})
	return s, err
}

// DecodeVerifiableRow decodes the answer for a row of the named table. The answer
// itself does not hold the name.
func DecodeVerifiableRow(msg []byte, table string) (*VerifiableRow, error) {
	r := &VerifiableRow{Claim: proof.Table{Name: table}}
	columns := make(map[uint32]*proof.Column)
	column := func(entry []byte, set func(c *proof.Column, n uint64, b []byte)) error {
		id, n, b, err := mapEntry(entry)
		if err != nil {
			return err
		}
		if columns[id] == nil {
			if len(columns) == maxColumns {
				return fmt.Errorf("%w: more than %d columns", errMalformed, maxColumns)
			}
			columns[id] = &proof.Column{ID: id}
		}
		set(columns[id], n, b)
		return nil
	}
	err := fields(msg, func(num protowire.Number, n uint64, b []byte) (err error) {
		switch num {
		case 1:
			return r.decodeEntry(b)
		case 2:
			return r.decodeTx(b)
		case 3:
			r.Proof.Inclusion, err = decodeEntryProof(b)
		case 5:
			r.Claim.ID, err = toUint32(n)
		case 8:
			return column(b, func(c *proof.Column, _ uint64, b []byte) { c.Name = string(b) })
		case 10:
			return column(b, func(c *proof.Column, _ uint64, b []byte) { c.Type = proof.Type(b) })
		case 11:
			return column(b, func(c *proof.Column, n uint64, _ []byte) { c.MaxLen = uint32(n) })
		case 12:
			r.Claim.MaxColID, err = toUint32(n)
		case 16:
			return appendUint32s(&r.Claim.PrimaryKey, n, b)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, c := range columns {
		r.Claim.Columns = append(r.Claim.Columns, *c)
	}
	slices.SortFunc(r.Claim.Columns, func(a, b proof.Column) int { return cmp.Compare(a.ID, b.ID) })
	return r, nil
}

// decodeEntry decodes a SQLEntry without its key: the key of a row is computed from
// its table and primary key.
func (r *VerifiableRow) decodeEntry(msg []byte) error {
	return fields(msg, func(num protowire.Number, n uint64, b []byte) (err error) {
		switch num {
		case 1:
			r.Proof.TxID = n
		case 3:
			r.Proof.Value = b
		case 4:
			r.Proof.Metadata, err = decodeEntryMetadata(b)
		}
		return err
	})
}

// decodeTx decodes the VerifiableTx around a row. Of the transaction's other entries
// it keeps only the keys; the proof of the row does not need their digests.
func (r *VerifiableRow) decodeTx(msg []byte) error {
	return fields(msg, func(num protowire.Number, _ uint64, b []byte) (err error) {
		switch num {
		case 1:
			return fields(b, func(num protowire.Number, _ uint64, entry []byte) error {
				if num != 2 {
					return nil
				}
				e, err := decodeTxEntry(entry)
				r.Keys = append(r.Keys, e.Key)
				return err
			})
		case 2:
			r.Proof.Dual, err = decodeDualProof(b)
		case 3:
			r.Signature, err = decodeSignature(b)
		}
		return err
	})
}

// DecodeVerifiableTx decodes the answer to VerifiableTxById.
func DecodeVerifiableTx(msg []byte) (*VerifiableTx, error) {
	v := &VerifiableTx{}
	err := fields(msg, func(num protowire.Number, _ uint64, b []byte) (err error) {
		switch num {
		case 1:
			var tx *Tx
			if tx, err = DecodeTx(b); err == nil {
				v.Entries = tx.Entries
			}
		case 2:
			v.Dual, err = decodeDualProof(b)
		case 3:
			v.Signature, err = decodeSignature(b)
		}
		return err
	})
	return v, err
}

// DecodeTxs decodes the answer to TxScan.
func DecodeTxs(msg []byte) ([]*Tx, error) {
	var txs []*Tx
	err := fields(msg, func(num protowire.Number, _ uint64, b []byte) error {
		if num != 1 {
			return nil
		}
		tx, err := DecodeTx(b)
		if err == nil && tx.Header == nil {
			err = fmt.Errorf("%w: a transaction without its header", errMalformed)
		}
		txs = append(txs, tx)
		return err
	})
	return txs, err
}

// DecodeTx decodes the answer to TxById.
func DecodeTx(msg []byte) (*Tx, error) {
	tx := &Tx{}
	err := fields(msg, func(num protowire.Number, _ uint64, b []byte) (err error) {
		switch num {
		case 1:
			tx.Header, err = DecodeHeader(b)
		case 2:
			var e proof.Entry
			e, err = decodeTxEntry(b)
			tx.Entries = append(tx.Entries, e)
		}
		return err
	})
	return tx, err
}

// DecodeHeader decodes a TxHeader.
func DecodeHeader(msg []byte) (*proof.Header, error) {
	h := &proof.Header{}
	err := fields(msg, func(num protowire.Number, n uint64, b []byte) (err error) {
		switch num {
		case 1:
			h.ID = n
		case 2:
			h.PrevAlh, err = proof.DigestFrom(b)
		case 3:
			h.Time = int64(n)
		case 4:
			h.NEntries, err = toInt32(n)
		case 5:
			h.EH, err = proof.DigestFrom(b)
		case 6:
			h.BlTxID = n
		case 7:
			h.BlRoot, err = proof.DigestFrom(b)
		case 8:
			h.Version, err = toInt32(n)
		case 9:
			err = fields(b, func(num protowire.Number, n uint64, b []byte) error {
				switch num {
				case 1:
					h.Metadata.TruncatedTxID = n
				case 2:
					h.Metadata.Extra = b
				}
				return nil
			})
		}
		return err
	})
	return h, err
}

func decodeTxEntry(msg []byte) (e proof.Entry, err error) {
	hashed := false
	err = fields(msg, func(num protowire.Number, _ uint64, b []byte) (err error) {
		switch num {
		case 1:
			e.Key = b
		case 2:
			hashed = true
			e.ValueHash, err = proof.DigestFrom(b)
		case 4:
			e.Metadata, err = decodeEntryMetadata(b)
		case 5:
			e.Value = b
		}
		return err
	})
	if err == nil && (len(e.Key) == 0 || !hashed) {
		err = fmt.Errorf("%w: an entry without its key or the hash of its value", errMalformed)
	}
	return e, err
}

func decodeEntryMetadata(msg []byte) (m proof.EntryMetadata, err error) {
	err = fields(msg, func(num protowire.Number, n uint64, b []byte) error {
		switch num {
		case 1:
			m.Deleted = n != 0
		case 2:
			m.Expires = true
			return fields(b, func(num protowire.Number, n uint64, _ []byte) error {
				if num == 1 {
					m.ExpiresAt = int64(n)
				}
				return nil
			})
		case 3:
			m.NonIndexable = n != 0
		}
		return nil
	})
	return m, err
}

func decodeDualProof(msg []byte) (*proof.DualProof, error) {
	p := &proof.DualProof{}
	err := fields(msg, func(num protowire.Number, _ uint64, b []byte) (err error) {
		switch num {
		case 1:
			p.Source, err = DecodeHeader(b)
		case 2:
			p.Target, err = DecodeHeader(b)
		case 3:
			err = appendDigest(&p.Inclusion, b)
		case 4:
			err = appendDigest(&p.Consistency, b)
		case 5:
			p.TargetBlAlh, err = proof.DigestFrom(b)
		case 6:
			err = appendDigest(&p.LastInclusion, b)
		case 7:
			p.Linear, err = decodeLinearProof(b)
		case 8:
			p.LinearAdvance, err = decodeLinearAdvanceProof(b)
		}
		return err
	})
	return p, err
}

func decodeLinearProof(msg []byte) (*proof.LinearProof, error) {
	p := &proof.LinearProof{}
	err := fields(msg, func(num protowire.Number, n uint64, b []byte) error {
		switch num {
		case 1:
			p.SourceTxID = n
		case 2:
			p.TargetTxID = n
		case 3:
			return appendDigest(&p.Terms, b)
		}
		return nil
	})
	return p, err
}

func decodeLinearAdvanceProof(msg []byte) (*proof.LinearAdvanceProof, error) {
	p := &proof.LinearAdvanceProof{}
	err := fields(msg, func(num protowire.Number, _ uint64, b []byte) error {
		switch num {
		case 1:
			return appendDigest(&p.Terms, b)
		case 2:
			if len(p.Inclusions) == maxLinearProofs {
				return fmt.Errorf("%w: more than %d inclusion proofs", errMalformed, maxLinearProofs)
			}
			inclusion, err := decodeEntryProof(b) // only its terms are set
			if err == nil {
				p.Inclusions = append(p.Inclusions, inclusion.Terms)
			}
			return err
		}
		return nil
	})
	return p, err
}

func decodeEntryProof(msg []byte) (*proof.EntryProof, error) {
	p := &proof.EntryProof{}
	err := fields(msg, func(num protowire.Number, n uint64, b []byte) (err error) {
		switch num {
		case 1:
			p.Leaf, err = toInt32(n)
		case 2:
			p.Width, err = toInt32(n)
		case 3:
			err = appendDigest(&p.Terms, b)
		}
		return err
	})
	return p, err
}

// decodeSignature returns the signature. It ignores the public key that the server
// sends with it: only the key that the user configured counts.
func decodeSignature(msg []byte) (signature []byte, err error) {
	err = fields(msg, func(num protowire.Number, _ uint64, b []byte) error {
		if num == 2 {
			signature = b
		}
		return nil
	})
	return signature, err
}

// mapEntry decodes an entry of a map with uint32 keys; its value is n or b.
func mapEntry(msg []byte) (key uint32, n uint64, b []byte, err error) {
	err = fields(msg, func(num protowire.Number, number uint64, bytes []byte) (err error) {
		switch num {
		case 1:
			key, err = toUint32(number)
		case 2:
			if number > math.MaxInt32 {
				err = fmt.Errorf("%w: a length is negative", errMalformed)
			}
			n, b = number, bytes
		}
		return err
	})
	return key, n, b, err
}

// appendUint32s appends a repeated uint32 field, packed or not.
func appendUint32s(list *[]uint32, n uint64, packed []byte) error {
	if packed == nil {
		v, err := toUint32(n)
		*list = append(*list, v)
		return err
	}
	for len(packed) > 0 {
		n, size := protowire.ConsumeVarint(packed)
		if size < 0 {
			return errMalformed
		}
		v, err := toUint32(n)
		if err != nil {
			return err
		}
		*list = append(*list, v)
		packed = packed[size:]
	}
	return nil
}

func appendDigest(list *[]proof.Digest, b []byte) error {
	d, err := proof.DigestFrom(b)
	*list = append(*list, d)
	return err
}

// toInt32 refuses numbers that protobuf would silently cut to 32 bits: the number
// that is checked must be the number that is used.
func toInt32(n uint64) (int32, error) {
	if int64(n) != int64(int32(n)) {
		return 0, fmt.Errorf("%w: %d is not a 32-bit number", errMalformed, int64(n))
	}
	return int32(n), nil
}

func toUint32(n uint64) (uint32, error) {
	if n > math.MaxUint32 {
		return 0, fmt.Errorf("%w: %d is not a 32-bit number", errMalformed, n)
	}
	return uint32(n), nil
}
