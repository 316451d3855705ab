package oracle

import (
	"time"

	"github.com/codenotary/immudb/embedded/htree"
	"github.com/codenotary/immudb/embedded/store"

	"github.com/immudb-go/immudb/internal/proof"
)

func digests(list [][32]byte) []proof.Digest {
	ds := make([]proof.Digest, len(list))
	for i, d := range list {
		ds[i] = d
	}
	return ds
}

func raw(list []proof.Digest) [][32]byte {
	ds := make([][32]byte, len(list))
	for i, d := range list {
		ds[i] = d
	}
	return ds
}

func header(h *store.TxHeader) *proof.Header {
	if h == nil {
		return nil
	}
	p := &proof.Header{
		ID: h.ID, PrevAlh: h.PrevAlh, Time: h.Ts, Version: int32(h.Version), NEntries: int32(h.NEntries),
		EH: h.Eh, BlTxID: h.BlTxID, BlRoot: h.BlRoot,
	}
	if h.Metadata != nil {
		if h.Metadata.HasTruncatedTxID() {
			p.Metadata.TruncatedTxID, _ = h.Metadata.GetTruncatedTxID()
		}
		p.Metadata.Extra = h.Metadata.Extra()
	}
	return p
}

func storeHeader(h *proof.Header) *store.TxHeader {
	s := &store.TxHeader{
		ID: h.ID, PrevAlh: h.PrevAlh, Ts: h.Time, Version: int(h.Version), NEntries: int(h.NEntries),
		Eh: h.EH, BlTxID: h.BlTxID, BlRoot: h.BlRoot, Metadata: store.NewTxMetadata(),
	}
	if h.Metadata.TruncatedTxID != 0 {
		s.Metadata.WithTruncatedTxID(h.Metadata.TruncatedTxID)
	}
	if err := s.Metadata.WithExtra(h.Metadata.Extra); err != nil {
		return nil
	}
	return s
}

func entryMetadata(md *store.KVMetadata) proof.EntryMetadata {
	var m proof.EntryMetadata
	if md == nil {
		return m
	}
	m.Deleted, m.NonIndexable = md.Deleted(), md.NonIndexable()
	if md.IsExpirable() {
		t, _ := md.ExpirationTime()
		m.Expires, m.ExpiresAt = true, t.Unix()
	}
	return m
}

func storeMetadata(m proof.EntryMetadata) *store.KVMetadata {
	md := store.NewKVMetadata()
	_ = md.AsDeleted(m.Deleted)
	_ = md.AsNonIndexable(m.NonIndexable)
	if m.Expires {
		_ = md.ExpiresAt(time.Unix(m.ExpiresAt, 0))
	}
	return md
}

func entries(tx *store.Tx) []proof.Entry {
	var es []proof.Entry
	for _, e := range tx.Entries() {
		es = append(es, proof.Entry{Key: e.Key(), Metadata: entryMetadata(e.Metadata()), ValueHash: e.HVal()})
	}
	return es
}

func entryProof(p *htree.InclusionProof) *proof.EntryProof {
	return &proof.EntryProof{Leaf: int32(p.Leaf), Width: int32(p.Width), Terms: digests(p.Terms)}
}

func storeEntryProof(p *proof.EntryProof) *htree.InclusionProof {
	return &htree.InclusionProof{Leaf: int(p.Leaf), Width: int(p.Width), Terms: raw(p.Terms)}
}

func dualProof(p *store.DualProof) *proof.DualProof {
	d := &proof.DualProof{
		Source: header(p.SourceTxHeader), Target: header(p.TargetTxHeader),
		Inclusion: digests(p.InclusionProof), Consistency: digests(p.ConsistencyProof),
		TargetBlAlh: p.TargetBlTxAlh, LastInclusion: digests(p.LastInclusionProof),
		Linear: &proof.LinearProof{SourceTxID: p.LinearProof.SourceTxID, TargetTxID: p.LinearProof.TargetTxID, Terms: digests(p.LinearProof.Terms)},
	}
	if a := p.LinearAdvanceProof; a != nil {
		d.LinearAdvance = &proof.LinearAdvanceProof{Terms: digests(a.LinearProofTerms)}
		for _, i := range a.InclusionProofs {
			d.LinearAdvance.Inclusions = append(d.LinearAdvance.Inclusions, digests(i))
		}
	}
	return d
}

func storeDualProof(p *proof.DualProof) *store.DualProof {
	d := &store.DualProof{
		SourceTxHeader: storeHeader(p.Source), TargetTxHeader: storeHeader(p.Target),
		InclusionProof: raw(p.Inclusion), ConsistencyProof: raw(p.Consistency),
		TargetBlTxAlh: p.TargetBlAlh, LastInclusionProof: raw(p.LastInclusion),
		LinearProof: &store.LinearProof{SourceTxID: p.Linear.SourceTxID, TargetTxID: p.Linear.TargetTxID, Terms: raw(p.Linear.Terms)},
	}
	if a := p.LinearAdvance; a != nil {
		d.LinearAdvanceProof = &store.LinearAdvanceProof{LinearProofTerms: raw(a.Terms)}
		for _, i := range a.Inclusions {
			d.LinearAdvanceProof.InclusionProofs = append(d.LinearAdvanceProof.InclusionProofs, raw(i))
		}
	}
	return d
}
