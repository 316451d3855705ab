package oracle

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/codenotary/immudb/embedded/ahtree"
	"github.com/codenotary/immudb/embedded/store"

	"github.com/immudb-go/immudb/internal/proof"
)

// Today's store links every transaction to its predecessor. Histories from times when the tree was
// built in the background have trees that lag; they are rebuilt here out of official headers and trees.
type laggingStore struct {
	t       *testing.T
	tree    *ahtree.AHtree
	headers []*store.TxHeader
}

func newLaggingStore(t *testing.T) *laggingStore {
	tree, err := ahtree.Open(t.TempDir(), ahtree.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return &laggingStore{t: t, tree: tree}
}

// add writes a transaction whose tree has bl leaves. leaf is what later trees hold in its place,
// which is its Alh unless the server forges.
func (s *laggingStore) add(bl uint64, forge func(*store.TxHeader) *store.TxHeader) *store.TxHeader {
	h := &store.TxHeader{ID: uint64(len(s.headers)) + 1, Ts: 1_700_000_000, Version: 1, NEntries: 1, BlTxID: bl, PrevAlh: sha256.Sum256(nil)}
	h.Eh = sha256.Sum256(fmt.Append(nil, h.ID))
	if n := len(s.headers); n > 0 {
		h.PrevAlh = s.headers[n-1].Alh()
	}
	if bl > 0 {
		root, err := s.tree.RootAt(bl)
		if err != nil {
			s.t.Fatal(err)
		}
		h.BlRoot = root
	}
	leaf := h.Alh()
	if forge != nil {
		leaf = forge(h).Alh()
	}
	if _, _, err := s.tree.Append(leaf[:]); err != nil {
		s.t.Fatal(err)
	}
	s.headers = append(s.headers, h)
	return h
}

func (s *laggingStore) inclusion(i, size uint64) []proof.Digest {
	p, err := s.tree.InclusionProof(i, size)
	if err != nil {
		s.t.Fatal(err)
	}
	return digests(p)
}

func (s *laggingStore) linear(from, to uint64) *proof.LinearProof {
	p := &proof.LinearProof{SourceTxID: from, TargetTxID: to, Terms: []proof.Digest{s.headers[from-1].Alh()}}
	for _, h := range s.headers[from:to] {
		inner, err := header(h).InnerHash()
		if err != nil {
			s.t.Fatal(err)
		}
		p.Terms = append(p.Terms, inner)
	}
	return p
}

func (s *laggingStore) dual(source, target *store.TxHeader) *proof.DualProof {
	p := &proof.DualProof{Source: header(source), Target: header(target)}
	bs, bt := source.BlTxID, target.BlTxID
	if source.ID < bt {
		p.Inclusion = s.inclusion(source.ID, bt)
	}
	if bs > 0 {
		c, err := s.tree.ConsistencyProof(bs, bt)
		if err != nil {
			s.t.Fatal(err)
		}
		p.Consistency = digests(c)
	}
	if bt > 0 {
		leaf, err := s.tree.DataAt(bt)
		if err != nil {
			s.t.Fatal(err)
		}
		p.TargetBlAlh = proof.Digest(leaf)
		p.LastInclusion = s.inclusion(bt, bt)
	}
	p.Linear = s.linear(max(source.ID, bt), target.ID)
	if end := min(source.ID, bt); end > bs+1 {
		p.LinearAdvance = &proof.LinearAdvanceProof{Terms: s.linear(bs+1, end).Terms}
		for id := bs + 1; id < end; id++ {
			p.LinearAdvance.Inclusions = append(p.LinearAdvance.Inclusions, s.inclusion(id, bt))
		}
	}
	return p
}

func stateOf(h *store.TxHeader) proof.State { return proof.State{TxID: h.ID, Alh: h.Alh()} }

func TestLaggingHistoriesGetTheOfficialVerdict(t *testing.T) {
	proofs, all := 0, verdicts{}
	for most := range uint64(8) {
		r := rand.New(rand.NewPCG(most, 11))
		s := newLaggingStore(t)
		bl := uint64(0)
		for id := uint64(1); id <= 30; id++ {
			if lag := r.Uint64N(most + 1); id > lag+1 {
				bl = max(bl, id-1-lag)
			}
			s.add(bl, nil)
		}
		for _, source := range s.headers {
			for _, target := range s.headers[source.ID-1:] {
				proofs++
				p := s.dual(source, target)
				trusted, next := stateOf(source), stateOf(target)
				if !theirs(p, trusted, next.TxID) {
					t.Fatalf("lag up to %d, %d to %d: the official verifier refuses the model", most, source.ID, target.ID)
				}
				err := p.Verify(trusted, next)
				if errors.Is(err, proof.ErrUnlinked) {
					if target.BlTxID >= source.ID || source.ID == target.ID {
						t.Fatalf("lag up to %d, %d to %d: %v", most, source.ID, target.ID, err)
					}
					p.BlLinear = s.linear(target.BlTxID, source.ID)
					err = p.Verify(trusted, next)
				}
				if err != nil {
					t.Fatalf("lag up to %d, %d to %d: %v", most, source.ID, target.ID, err)
				}
				if r.IntN(40) != 0 {
					continue
				}
				all.add(agree(t, fmt.Sprintf("lag up to %d, %d to %d", most, source.ID, target.ID), p, trusted, next.TxID, func(field string) bool {
					// What the official verifier never sees or looks at.
					return strings.HasPrefix(field, ".BlLinear.") || target.BlTxID == 0 && strings.HasPrefix(field, ".TargetBlAlh[")
				}))
			}
		}
	}
	t.Logf("%d proofs accepted by both; %v", proofs, all)
}

// The server writes 1 to 6, and a tree for 6 and later that holds a forged 5. A client that goes
// 5, 6, 7 could afterwards be shown the forged 5. The official verifier lets it happen.
func TestAForgedLeafBehindTheTrustedTransactionIsRefused(t *testing.T) {
	s := newLaggingStore(t)
	var forged *store.TxHeader
	for id := uint64(1); id <= 7; id++ {
		forge := func(h *store.TxHeader) *store.TxHeader {
			f := *h
			f.Eh = sha256.Sum256([]byte("other rows"))
			forged = &f
			return forged
		}
		if id != 5 {
			forge = nil
		}
		s.add(id-1, forge)
	}
	h5, h6, h7 := s.headers[4], s.headers[5], s.headers[6]

	five, six, seven := stateOf(h5), stateOf(h6), stateOf(h7)
	if !theirs(s.dual(h5, h6), five, 6) || !theirs(s.dual(h6, h7), six, 7) || !theirs(s.dual(forged, h7), seven, 5) {
		t.Error("the official verifier has changed: it used to accept every step of this")
	}
	if _, _, err := s.dual(h5, h6).Prove(five, 6); !errors.Is(err, proof.ErrInvalid) {
		t.Errorf("5 to 6: %v", err)
	}
}

// One root, two leaves under the same index, one of them at the wrong depth: the official verifier
// does not know how long a path has to be.
func TestPathsOfTheWrongLengthAreRefused(t *testing.T) {
	leaf := func(s string) proof.Digest { return proof.LeafHash(sha256.Sum256([]byte(s))) }
	node := func(l, r proof.Digest) proof.Digest {
		return sha256.Sum256(append(append([]byte{ahtree.NodePrefix}, l[:]...), r[:]...))
	}
	a, b, c := leaf("a"), leaf("b"), leaf("c")
	inner := node(b, c)
	root := node(a, inner)
	for _, x := range []struct {
		path []proof.Digest
		leaf proof.Digest
		want bool
	}{
		{[]proof.Digest{c, a}, b, true},
		{[]proof.Digest{inner}, a, false},
	} {
		if !ahtree.VerifyInclusion(raw(x.path), 3, 4, x.leaf, root) {
			t.Error("the official verifier has changed: it used to accept both paths")
		}
		if got := proof.VerifyInclusion(x.path, 2, 4, x.leaf, root); got != x.want {
			t.Errorf("path of %d: %v", len(x.path), got)
		}
	}
}
