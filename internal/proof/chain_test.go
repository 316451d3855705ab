package proof

import (
	"errors"
	"slices"
	"testing"
)

func TestAChainReplaysAHistoryFromTheFirstTransaction(t *testing.T) {
	for most := range 5 {
		h := newHistory(t, 40, randomLag(7, most))
		c := NewChain()
		for i, hd := range h.headers {
			tx, err := c.Append(hd, h.entries[i])
			if err != nil {
				t.Fatalf("lag up to %d: %v", most, err)
			}
			if tx.Header() != hd || c.State() != h.state(i+1) {
				t.Fatalf("lag up to %d, tx %d: state %v", most, i+1, c.State())
			}
		}
	}
}

func TestAChainGoesOnFromATrustedTransaction(t *testing.T) {
	h := newHistory(t, 40, noLag)
	for start := 1; start <= 40; start++ {
		c, err := ChainFrom(h.state(start), h.dual(t, start, start))
		if err != nil {
			t.Fatalf("from %d: %v", start, err)
		}
		for _, hd := range h.headers[start:] {
			if err := c.AppendHeader(hd); err != nil {
				t.Fatalf("from %d: %v", start, err)
			}
		}
		if c.State() != h.state(40) {
			t.Errorf("from %d: ends at %v", start, c.State())
		}
	}
}

func TestAChainDoesNotStartWhereTheTreeIsUnknown(t *testing.T) {
	h := newHistory(t, 9, func(id int) int { return 1 })
	if _, err := ChainFrom(h.state(9), h.dual(t, 9, 9)); !errors.Is(err, ErrUnlinked) {
		t.Errorf("lagging tree: %v", err)
	}
	g := newHistory(t, 9, noLag)
	if _, err := ChainFrom(g.state(9), h.dual(t, 9, 9)); !errors.Is(err, ErrInvalid) {
		t.Errorf("proof of another database: %v", err)
	}
	p := g.dual(t, 9, 9)
	p.LastInclusion = p.LastInclusion[1:]
	if _, err := ChainFrom(g.state(9), p); !errors.Is(err, ErrInvalid) {
		t.Errorf("path too short: %v", err)
	}
	if _, err := ChainFrom(State{}, p); !errors.Is(err, ErrNoState) {
		t.Errorf("nothing trusted: %v", err)
	}
	if _, err := ChainFrom(g.state(9), nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("no proof: %v", err)
	}
}

func TestAChainRejectsWhatDoesNotFollow(t *testing.T) {
	h := newHistory(t, 10, noLag)
	upTo8 := func() *Chain {
		c := NewChain()
		for _, hd := range h.headers[:8] {
			if err := c.AppendHeader(hd); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	altered := func(f func(*Header)) *Header {
		hd := *h.headers[8]
		f(&hd)
		return &hd
	}
	for reason, hd := range map[string]*Header{
		"a transaction left out":      h.headers[9],
		"a transaction twice":         h.headers[7],
		"another predecessor":         altered(func(hd *Header) { hd.PrevAlh[0] ^= 1 }),
		"a forged tree":               altered(func(hd *Header) { hd.BlRoot[0] ^= 1 }),
		"a shrinking tree":            altered(func(hd *Header) { hd.BlTxID = 3 }),
		"a tree that is ahead":        altered(func(hd *Header) { hd.BlTxID = 9 }),
		"an unknown version":          altered(func(hd *Header) { hd.Version = 2 }),
		"a version that is cut short": altered(func(hd *Header) { hd.Version = 1 << 16 }),
		"no header":                   nil,
	} {
		if err := upTo8().AppendHeader(hd); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", reason, err)
		}
	}
	for reason, entries := range map[string][]Entry{
		"an entry left out":     h.entries[8][:1],
		"entries in disorder":   {h.entries[8][1], h.entries[8][0]},
		"entries of another tx": h.entries[7],
		"one entry too many":    append(slices.Clone(h.entries[8]), h.entries[8][0]),
	} {
		if _, err := upTo8().Append(h.headers[8], entries); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

// A header commits to what lies before it twice: by the hash chain, and by the tree. The
// server writes 10 with a tree that holds a forged 7 beside the chain of the real one.
// Whoever jumps over 7 believes both; who reads every transaction does not.
func TestATreeThatDisagreesWithTheChainIsFoundByReadingEveryTransaction(t *testing.T) {
	h := newHistory(t, 9, noLag)
	forged := *h.headers[6]
	forged.EH[0] ^= 1
	forgedAlh, err := forged.Alh()
	if err != nil {
		t.Fatal(err)
	}
	h.leaves[6] = LeafHash(forgedAlh)
	h.add(t, 9, h.entries[0])

	if err := h.dual(t, 5, 10).Verify(h.state(5), h.state(10)); err != nil {
		t.Errorf("the model of the attack is wrong: a jump from 5 to 10 is refused: %v", err)
	}
	c := NewChain()
	for _, hd := range h.headers[:9] {
		if err := c.AppendHeader(hd); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.AppendHeader(h.headers[9]); !errors.Is(err, ErrInvalid) {
		t.Errorf("reading tx 10 after all before it: %v", err)
	}
}
