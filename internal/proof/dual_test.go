package proof

import (
	"crypto/sha256"
	"errors"
	"reflect"
	"testing"
)

func TestDualProofsOfAnHonestHistoryHold(t *testing.T) {
	for most := range 6 {
		h := newHistory(t, 24, randomLag(uint64(most), most))
		for s := 1; s <= 24; s++ {
			for e := s; e <= 24; e++ {
				p := h.dual(t, s, e)
				err := p.Verify(h.state(s), h.state(e))
				if errors.Is(err, ErrUnlinked) && p.Target.BlTxID < uint64(s) && s < e {
					p.BlLinear = h.linear(t, int(p.Target.BlTxID), s)
					err = p.Verify(h.state(s), h.state(e))
				}
				if err != nil {
					t.Errorf("lag up to %d, %d to %d: %v", most, s, e, err)
				}
			}
		}
	}
}

// Every single digest of every proof is needed: one bit of it, and the proof fails.
func TestEveryDigestOfADualProofCounts(t *testing.T) {
	h := newHistory(t, 14, randomLag(3, 4))
	for s := 1; s <= 14; s++ {
		for e := s; e <= 14; e++ {
			p := h.dual(t, s, e)
			if bl := int(p.Target.BlTxID); 0 < bl && bl < s && s < e {
				p.BlLinear = h.linear(t, bl, s)
			}
			eachDigest(reflect.ValueOf(p), "", func(path string, d *Digest) {
				if path == ".Source.BlRoot" && p.Source.BlTxID == 0 {
					return // committed to, like all of a header, but tested there
				}
				d[s] ^= 1 << (e % 8)
				if err := p.Verify(h.state(s), h.state(e)); !errors.Is(err, ErrInvalid) {
					t.Errorf("%d to %d, %s: %v", s, e, path, err)
				}
				d[s] ^= 1 << (e % 8)
			})
			if err := p.Verify(h.state(s), h.state(e)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func eachDigest(v reflect.Value, path string, visit func(string, *Digest)) {
	if d, ok := reflect.TypeAssert[*Digest](v); ok {
		visit(path, d)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			eachDigest(v.Elem(), path, visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			eachDigest(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachDigest(v.Index(i), path+"[]", visit)
		}
	case reflect.Array:
		eachDigest(v.Addr(), path, visit)
	}
}

// A transaction proven against itself is what an audit starts from, so its tree counts as well.
func TestATransactionWhoseTreeIsOffItsOwnChainIsRejected(t *testing.T) {
	h := newHistory(t, 6, noLag)
	forged := Digest(sha256.Sum256([]byte("forged")))
	h.leaves[5] = LeafHash(forged)
	h.add(t, 6, h.entries[0])
	p := h.dual(t, 7, 7)
	p.TargetBlAlh = forged
	if err := p.Verify(h.state(7), h.state(7)); !errors.Is(err, ErrInvalid) {
		t.Errorf("against itself: %v", err)
	}
	if _, err := ChainFrom(h.state(7), p); !errors.Is(err, ErrInvalid) {
		t.Errorf("as the start of a chain: %v", err)
	}
}

func TestAHistoryWithoutLagNeedsNoFurtherPart(t *testing.T) {
	h := newHistory(t, 20, noLag)
	for s := 1; s <= 20; s++ {
		for e := s; e <= 20; e++ {
			if err := h.dual(t, s, e).Verify(h.state(s), h.state(e)); err != nil {
				t.Errorf("%d to %d: %v", s, e, err)
			}
		}
	}
}

func TestADualProofWithAMissingPartIsRejected(t *testing.T) {
	h := newHistory(t, 24, func(id int) int {
		if id >= 5 && id <= 10 {
			return id - 1 - 4 // the tree stands still at 4, so that 10 to 20 needs every part
		}
		return 0
	})
	if err := h.dual(t, 10, 20).Verify(h.state(10), h.state(20)); err != nil {
		t.Fatal(err)
	}
	for part, remove := range map[string]func(*DualProof){
		"source header":        func(p *DualProof) { p.Source = nil },
		"target header":        func(p *DualProof) { p.Target = nil },
		"inclusion":            func(p *DualProof) { p.Inclusion = nil },
		"consistency":          func(p *DualProof) { p.Consistency = nil },
		"last inclusion":       func(p *DualProof) { p.LastInclusion = nil },
		"last leaf":            func(p *DualProof) { p.TargetBlAlh = Digest{} },
		"linear":               func(p *DualProof) { p.Linear = nil },
		"linear terms":         func(p *DualProof) { p.Linear = &LinearProof{SourceTxID: 19, TargetTxID: 20} },
		"linear advance":       func(p *DualProof) { p.LinearAdvance = nil },
		"linear advance terms": func(p *DualProof) { p.LinearAdvance.Terms = p.LinearAdvance.Terms[:4] },
		"advance inclusions":   func(p *DualProof) { p.LinearAdvance.Inclusions = p.LinearAdvance.Inclusions[:3] },
	} {
		p := h.dual(t, 10, 20)
		remove(p)
		if err := p.Verify(h.state(10), h.state(20)); !errors.Is(err, ErrInvalid) {
			t.Errorf("without %s: %v", part, err)
		}
	}
	var none *DualProof
	if err := none.Verify(h.state(10), h.state(20)); !errors.Is(err, ErrInvalid) {
		t.Errorf("without proof: %v", err)
	}
}

// The server waits until the client trusts transaction 5, then writes 6 with a tree that holds a
// forged 5. Chain and tree are consistent with everything the client ever saw; only that the last leaf
// of the tree is not the source gives it away. Were 6 accepted, the forged 5 would verify from 7 on.
func TestATreeThatReplacesTheSourceIsRejected(t *testing.T) {
	h := newHistory(t, 5, noLag)
	forged := *h.headers[4]
	forged.EH[0] ^= 1
	forgedAlh, err := forged.Alh()
	if err != nil {
		t.Fatal(err)
	}
	trusted := h.state(5)

	h.leaves[4] = LeafHash(forgedAlh) // from here on all trees are built on the forged leaf
	h.add(t, 5, h.entries[0])
	p := h.dual(t, 5, 6)
	p.TargetBlAlh = forgedAlh
	if err := p.Verify(trusted, h.state(6)); !errors.Is(err, ErrInvalid) {
		t.Errorf("tx 6 with a forged tx 5 in its tree: %v", err)
	}

	// The second half of the attack, to show that the first one is where it must be stopped.
	h.add(t, 6, h.entries[1])
	h.headers[4], h.alhs[4] = &forged, forgedAlh
	if err := h.dual(t, 5, 7).Verify(h.state(5), h.state(7)); err != nil {
		t.Errorf("the model of the attack is wrong: %v", err)
	}
}

// The same with a tree that lags behind the source: leaf 3 of 6's tree is forged, the source is 5.
func TestALaggingTreeOffTheChainIsRejected(t *testing.T) {
	h := &history{}
	honest := newHistory(t, 6, noLag)
	for id, bl := range []int{0, 1, 2, 2, 2} {
		h.add(t, bl, honest.entries[id])
	}
	trusted := h.state(5)
	forgedAlh := Digest(sha256.Sum256([]byte("forged")))
	link := h.linear(t, 3, 5)
	h.leaves[2] = LeafHash(forgedAlh)
	h.add(t, 3, honest.entries[5])
	p := h.dual(t, 5, 6)
	p.TargetBlAlh = forgedAlh

	if err := p.Verify(trusted, h.state(6)); !errors.Is(err, ErrUnlinked) {
		t.Errorf("without link: %v", err)
	}
	p.BlLinear = link
	if err := p.Verify(trusted, h.state(6)); !errors.Is(err, ErrInvalid) {
		t.Errorf("with the link of the real tx 3: %v", err)
	}
}

func TestProveTakesTheTransactionFromTheSideThatIsNotTrusted(t *testing.T) {
	h := newHistory(t, 12, noLag)
	for _, c := range []struct{ trusted, tx, newest int }{
		{4, 9, 9}, // the history went on
		{9, 4, 9}, // an old transaction; trust stays
		{7, 7, 7}, // the trusted one itself
	} {
		p := h.dual(t, min(c.trusted, c.tx), max(c.trusted, c.tx))
		hd, next, err := p.Prove(h.state(c.trusted), uint64(c.tx))
		if err != nil || hd.ID != uint64(c.tx) || next != h.state(c.newest) {
			t.Errorf("tx %d from %d: header %v, state %v, %v", c.tx, c.trusted, hd, next, err)
		}
	}
}

func TestProveRejectsAProofOfSomethingElse(t *testing.T) {
	h := newHistory(t, 12, noLag)
	other := newHistory(t, 12, func(id int) int { return id % 2 })
	for _, c := range []struct {
		reason  string
		trusted State
		tx      uint64
		p       *DualProof
	}{
		{"another transaction", h.state(4), 8, h.dual(t, 4, 9)},
		{"another trusted transaction", h.state(4), 9, h.dual(t, 5, 9)},
		{"another database", h.state(4), 9, other.dual(t, 4, 9)},
		{"its direction reversed", h.state(9), 4, h.dual(t, 4, 9).reversed()},
		{"no proof", h.state(4), 9, nil},
	} {
		if _, _, err := c.p.Prove(c.trusted, c.tx); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", c.reason, err)
		}
	}
	if _, _, err := h.dual(t, 1, 9).Prove(State{}, 9); !errors.Is(err, ErrNoState) {
		t.Errorf("nothing trusted: %v", err)
	}
}

func (p *DualProof) reversed() *DualProof {
	q := *p
	q.Source, q.Target = p.Target, p.Source
	return &q
}
