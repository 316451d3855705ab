package proof

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// Entry is one key of a transaction, as a transaction lists it.
type Entry struct {
	Key       []byte
	Metadata  EntryMetadata
	ValueHash Digest // sha256 of the value
	Value     []byte // nil where the answer leaves values out; proven only by CheckValue
}

// EntryMetadata is part of the entry's digest.
type EntryMetadata struct {
	Deleted      bool
	NonIndexable bool
	Expires      bool
	ExpiresAt    int64 // Unix seconds; only with Expires
}

// append writes the attributes in the order of their codes: 0 deleted, 1 expiresAt:8, 2 non-indexable.
func (m EntryMetadata) append(b []byte) []byte {
	if m.Deleted {
		b = append(b, 0)
	}
	if m.Expires {
		b = append(b, 1)
		b = binary.BigEndian.AppendUint64(b, uint64(m.ExpiresAt))
	}
	if m.NonIndexable {
		b = append(b, 2)
	}
	return b
}

// Digest is what the entry tree holds for the entry; version is that of the transaction's header:
//
//	sha256(key valueHash:32)                                version 0, no metadata
//	sha256(mdLen:2 md:mdLen keyLen:2 key:keyLen valueHash:32)   version 1
func (e *Entry) Digest(version int32) (Digest, error) {
	if len(e.Key) == 0 || len(e.Key) > math.MaxUint16 {
		return Digest{}, failed(0, "an entry key of %d bytes has 1 to %d", len(e.Key), math.MaxUint16)
	}
	if e.Metadata.ExpiresAt != 0 && !e.Metadata.Expires {
		return Digest{}, failed(0, "only an entry that expires has a time of expiry")
	}
	b := make([]byte, 0, 256) // on the stack for ordinary keys
	switch version {
	case 0:
		if e.Metadata != (EntryMetadata{}) {
			return Digest{}, failed(0, "an entry of a version 0 transaction has no metadata")
		}
		b = append(b, e.Key...)
	case 1:
		b = append(b, 0, 0)
		b = e.Metadata.append(b)
		binary.BigEndian.PutUint16(b, uint16(len(b)-2))
		b = binary.BigEndian.AppendUint16(b, uint16(len(e.Key)))
		b = append(b, e.Key...)
	default:
		return Digest{}, failed(0, "header version %d is 0 or 1", version)
	}
	b = append(b, e.ValueHash[:]...)
	return sha256.Sum256(b), nil
}

// CheckValue checks that Value is the value the entry commits to.
func (e *Entry) CheckValue() error {
	if h := Digest(sha256.Sum256(e.Value)); h != e.ValueHash {
		return differs(0, "the value has the hash its entry commits to", e.ValueHash, h)
	}
	return nil
}

// EntriesRoot is the root of the entry tree, EH in the header, over all entries in their order.
func EntriesRoot(version int32, entries []Entry) (Digest, error) {
	var tree frontier
	for i := range entries {
		d, err := entries[i].Digest(version)
		if err != nil {
			return Digest{}, err
		}
		tree.append(LeafHash(d))
	}
	return tree.root(), nil
}

// VerifyEntries checks that entries are all the entries of the transaction, in order. Values are
// not looked at, see [Entry.CheckValue]. The header itself must be trusted.
func (h *Header) VerifyEntries(entries []Entry) error {
	if h == nil {
		return failed(0, "the transaction has a header")
	}
	if int64(len(entries)) != int64(h.NEntries) {
		return differs(h.ID, "all entries of the transaction are there", int(h.NEntries), len(entries))
	}
	root, err := EntriesRoot(h.Version, entries)
	if err != nil {
		return err
	}
	if root != h.EH {
		return differs(h.ID, "the entries have the root their header commits to", h.EH, root)
	}
	return nil
}

// EntryProof is an inclusion proof in the entry tree of one transaction.
type EntryProof struct {
	Leaf  int32 // position of the entry, from 0
	Width int32 // number of entries
	Terms []Digest
}

// Verify checks that the transaction of the trusted header h holds e. The width must be the
// number of entries the header commits to; the server's word for it is not enough to know the
// shape of the tree.
func (p *EntryProof) Verify(h *Header, e *Entry) error {
	if p == nil || h == nil {
		return failed(0, "the answer carries an entry inclusion proof and a header")
	}
	if p.Width != h.NEntries || p.Leaf < 0 {
		return failed(h.ID, "the entry proof (position %d of %d) fits the %d entries of the header", p.Leaf, p.Width, h.NEntries)
	}
	d, err := e.Digest(h.Version)
	if err != nil {
		return err
	}
	if !VerifyInclusion(p.Terms, uint64(p.Leaf), uint64(p.Width), LeafHash(d), h.EH) {
		return failed(h.ID, "the entry is included in its transaction")
	}
	return nil
}
