package proof

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
)

// history is a model of a server: transactions whose linking tree may lag, and honest proofs.
type history struct {
	headers []*Header // of transaction i+1
	alhs    []Digest
	leaves  []Digest
	entries [][]Entry
}

// newHistory writes n transactions. lag is asked for the number of predecessors transaction id leaves
// out of its tree; trees never shrink.
func newHistory(t testing.TB, n int, lag func(id int) int) *history {
	h := &history{}
	for id := 1; id <= n; id++ {
		key := fmt.Appendf(nil, "key %d", id)
		value := fmt.Appendf(nil, "value %d", id)
		h.add(t, max(0, id-1-lag(id)), []Entry{
			{Key: key, Value: value, ValueHash: sha256.Sum256(value)},
			{Key: []byte("always"), ValueHash: sha256.Sum256(nil), Metadata: EntryMetadata{Deleted: id%2 == 0}},
		})
	}
	return h
}

func (h *history) add(t testing.TB, bl int, entries []Entry) *Header {
	t.Helper()
	hd := &Header{ID: uint64(len(h.headers)) + 1, PrevAlh: sha256.Sum256(nil), Time: 1_700_000_000, Version: 1, NEntries: int32(len(entries))}
	if last := len(h.headers) - 1; last >= 0 {
		bl = max(bl, int(h.headers[last].BlTxID))
		hd.PrevAlh = h.alhs[last]
	}
	hd.BlTxID = uint64(bl)
	if bl > 0 {
		hd.BlRoot = refRoot(h.leaves[:bl])
	}
	var err error
	if hd.EH, err = EntriesRoot(hd.Version, entries); err != nil {
		t.Fatal(err)
	}
	alh, err := hd.Alh()
	if err != nil {
		t.Fatal(err)
	}
	h.headers = append(h.headers, hd)
	h.alhs = append(h.alhs, alh)
	h.leaves = append(h.leaves, LeafHash(alh))
	h.entries = append(h.entries, entries)
	return hd
}

func (h *history) state(id int) State { return State{uint64(id), h.alhs[id-1]} }

func (h *history) inner(t testing.TB, id int) Digest {
	d, err := h.headers[id-1].InnerHash()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (h *history) linear(t testing.TB, s, e int) *LinearProof {
	p := &LinearProof{SourceTxID: uint64(s), TargetTxID: uint64(e), Terms: []Digest{h.alhs[s-1]}}
	for id := s + 1; id <= e; id++ {
		p.Terms = append(p.Terms, h.inner(t, id))
	}
	return p
}

func (h *history) dual(t testing.TB, s, e int) *DualProof {
	p := &DualProof{Source: h.headers[s-1], Target: h.headers[e-1]}
	bs, bt := int(p.Source.BlTxID), int(p.Target.BlTxID)
	tree := h.leaves[:bt]
	if s < bt {
		p.Inclusion = refPath(s-1, tree)
	}
	if bs > 0 {
		p.Consistency = refConsistency(bs, tree)
	}
	if bt > 0 {
		p.TargetBlAlh = h.alhs[bt-1]
		p.LastInclusion = refPath(bt-1, tree)
	}
	p.Linear = h.linear(t, max(s, bt), e)
	if end := min(s, bt); end > bs+1 {
		p.LinearAdvance = &LinearAdvanceProof{Terms: []Digest{h.alhs[bs]}}
		for id := bs + 1; id < end; id++ {
			p.LinearAdvance.Inclusions = append(p.LinearAdvance.Inclusions, refPath(id-1, tree))
			p.LinearAdvance.Terms = append(p.LinearAdvance.Terms, h.inner(t, id+1))
		}
	}
	return p
}

// randomLag is the same in every run.
func randomLag(seed uint64, most int) func(int) int {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(int) int { return r.IntN(most + 1) }
}

func noLag(int) int { return 0 }
