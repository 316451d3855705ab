package proof

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// The recursive definitions of RFC 9162 section 2.1, slow and obvious, as the reference.

func split(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

func refRoot(leaves []Digest) Digest {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := split(len(leaves))
	return nodeHash(refRoot(leaves[:k]), refRoot(leaves[k:]))
}

func refPath(i int, leaves []Digest) []Digest {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	if i < k {
		return append(refPath(i, leaves[:k]), refRoot(leaves[k:]))
	}
	return append(refPath(i-k, leaves[k:]), refRoot(leaves[:k]))
}

// refConsistency is PROOF(m, D[n]), with the old root in front where the RFC leaves it out.
func refConsistency(m int, leaves []Digest) []Digest {
	p := refSubproof(m, leaves, true)
	if m&(m-1) == 0 && m < len(leaves) {
		p = append([]Digest{refRoot(leaves[:m])}, p...)
	}
	return p
}

func refSubproof(m int, leaves []Digest, whole bool) []Digest {
	if m == len(leaves) {
		if whole {
			return nil
		}
		return []Digest{refRoot(leaves)}
	}
	k := split(len(leaves))
	if m <= k {
		return append(refSubproof(m, leaves[:k], whole), refRoot(leaves[k:]))
	}
	return append(refSubproof(m-k, leaves[k:], false), refRoot(leaves[:k]))
}

func testLeaves(n int) []Digest {
	leaves := make([]Digest, n)
	for i := range leaves {
		leaves[i] = LeafHash(sha256.Sum256(fmt.Append(nil, i)))
	}
	return leaves
}

const treesUpTo = 40 // covers every shape up to six levels that matters

func TestInclusionHoldsForEveryLeafOfEveryTree(t *testing.T) {
	leaves := testLeaves(treesUpTo)
	for n := 1; n <= treesUpTo; n++ {
		root := refRoot(leaves[:n])
		for i := range n {
			if !VerifyInclusion(refPath(i, leaves[:n]), uint64(i), uint64(n), leaves[i], root) {
				t.Errorf("leaf %d of %d: proof rejected", i, n)
			}
		}
	}
}

func TestInclusionFailsWhenAnythingIsOff(t *testing.T) {
	leaves := testLeaves(treesUpTo)
	for n := 2; n <= treesUpTo; n++ {
		root := refRoot(leaves[:n])
		for i := range n {
			path := refPath(i, leaves[:n])
			verify := func(path []Digest, index, size int, leaf Digest) bool {
				return VerifyInclusion(path, uint64(index), uint64(size), leaf, root)
			}
			for j := range n {
				if j != i && verify(path, j, n, leaves[i]) {
					t.Fatalf("leaf %d of %d accepted at index %d", i, n, j)
				}
			}
			if verify(path, n, n, leaves[i]) {
				t.Fatalf("index %d accepted in a tree of %d", n, n)
			}
			if verify(path[:len(path)-1], i, n, leaves[i]) || verify(append(slices.Clone(path), root), i, n, leaves[i]) {
				t.Fatalf("leaf %d of %d: path of wrong length accepted", i, n)
			}
			for k := range path {
				bad := slices.Clone(path)
				bad[k][k%32] ^= 1
				if verify(bad, i, n, leaves[i]) {
					t.Fatalf("leaf %d of %d: altered term %d accepted", i, n, k)
				}
			}
			if verify(path, i, n, leaves[(i+1)%n]) {
				t.Fatalf("leaf %d of %d: other leaf accepted", i, n)
			}
		}
	}
}

// A server may build any root it likes. Here the left child is a leaf, and so is the left child of the
// right child: with paths of free length both could stand for index 2 of 4.
func TestOneRootCarriesOneLeafPerIndex(t *testing.T) {
	l := testLeaves(3)
	inner := nodeHash(l[1], l[2])
	root := nodeHash(l[0], inner)
	short := VerifyInclusion([]Digest{inner}, 2, 4, l[0], root)
	long := VerifyInclusion([]Digest{l[2], l[0]}, 2, 4, l[1], root)
	if short || !long {
		t.Errorf("short path accepted: %v, full path accepted: %v; want only the full one", short, long)
	}
}

// The same for every shape of tree. The server can choose any root, so the test computes the root for
// which a path that is too short or too long would fit: it must not be accepted.
func TestNoRootMakesUpForAPathOfTheWrongLength(t *testing.T) {
	terms := testLeaves(9)
	for size := uint64(1); size <= 20; size++ {
		for index := range size {
			right := len(refPath(int(index), testLeaves(int(size))))
			for n := range terms {
				node, last, root := index, size-1, terms[8]
				for _, p := range terms[:n] { // the official computation, which ends with the path
					if node%2 == 0 && node != last {
						root = nodeHash(root, p)
					} else {
						root = nodeHash(p, root)
					}
					node, last = node/2, last/2
				}
				if got := VerifyInclusion(terms[:n], index, size, terms[8], root); got != (n == right) {
					t.Errorf("index %d of %d, path of %d instead of %d: accepted %v", index, size, n, right, got)
				}
			}
		}
		for old := uint64(1); old < size; old++ {
			right := len(refConsistency(int(old), testLeaves(int(size))))
			for n := 1; n < len(terms); n++ {
				node, last := old-1, size-1
				for node%2 == 1 {
					node, last = node/2, last/2
				}
				oldRoot, newRoot := terms[0], terms[0]
				for _, p := range terms[1:n] {
					if node%2 == 1 || node == last {
						oldRoot, newRoot = nodeHash(p, oldRoot), nodeHash(p, newRoot)
						for node%2 == 0 && node != 0 {
							node, last = node/2, last/2
						}
					} else {
						newRoot = nodeHash(newRoot, p)
					}
					node, last = node/2, last/2
				}
				if got := VerifyConsistency(terms[:n], old, size, oldRoot, newRoot); got != (n == right) {
					t.Errorf("%d to %d, path of %d instead of %d: accepted %v", old, size, n, right, got)
				}
			}
		}
	}
}

func TestConsistencyHoldsForEveryPairOfTrees(t *testing.T) {
	leaves := testLeaves(treesUpTo)
	for n := 1; n <= treesUpTo; n++ {
		for m := 1; m <= n; m++ {
			path := refConsistency(m, leaves[:n])
			oldRoot, newRoot := refRoot(leaves[:m]), refRoot(leaves[:n])
			verify := func(path []Digest, m, n int, oldRoot, newRoot Digest) bool {
				return VerifyConsistency(path, uint64(m), uint64(n), oldRoot, newRoot)
			}
			if !verify(path, m, n, oldRoot, newRoot) {
				t.Fatalf("%d to %d: proof rejected", m, n)
			}
			if verify(path, m, n, newRoot, oldRoot) && m != n {
				t.Fatalf("%d to %d: exchanged roots accepted", m, n)
			}
			if verify(append(slices.Clone(path), leaves[0], leaves[1]), m, n, oldRoot, newRoot) {
				t.Fatalf("%d to %d: longer path accepted", m, n)
			}
			if len(path) > 0 && verify(path[:len(path)-1], m, n, oldRoot, newRoot) {
				t.Fatalf("%d to %d: shorter path accepted", m, n)
			}
			for k := range path {
				bad := slices.Clone(path)
				bad[k][31-k] ^= 0x80
				if verify(bad, m, n, oldRoot, newRoot) {
					t.Fatalf("%d to %d: altered term %d accepted", m, n, k)
				}
			}
			if verify(path, m, n, leaves[treesUpTo-1], newRoot) || verify(path, m, n, oldRoot, leaves[treesUpTo-1]) {
				t.Fatalf("%d to %d: other root accepted", m, n)
			}
			if verify(path, n+1, n, oldRoot, newRoot) || verify(path, 0, n, oldRoot, newRoot) {
				t.Fatalf("%d to %d: impossible old size accepted", m, n)
			}
		}
	}
}

func TestFrontierHasTheRootOfItsLeaves(t *testing.T) {
	leaves := testLeaves(treesUpTo)
	var f frontier
	if f.root() != refRoot(nil) {
		t.Error("root of the empty tree is not the hash of nothing")
	}
	for n := 1; n <= treesUpTo; n++ {
		f.append(leaves[n-1])
		if f.root() != refRoot(leaves[:n]) {
			t.Fatalf("wrong root at %d", n)
		}
		g := frontierFrom(uint64(n), leaves[n-1], refPath(n-1, leaves[:n]))
		if g.size != f.size || !slices.Equal(g.peaks, f.peaks) {
			t.Fatalf("frontier of %d leaves rebuilt from the last path differs", n)
		}
	}
}

func TestDigestsHaveExactly32Bytes(t *testing.T) {
	for _, n := range []int{0, 31, 33} {
		if _, err := DigestFrom(make([]byte, n)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if _, err := DigestsFrom([][]byte{make([]byte, 32), make([]byte, n)}); !errors.Is(err, ErrInvalid) {
			t.Errorf("list with %d bytes: %v", n, err)
		}
	}
	if ds, err := DigestsFrom([][]byte{make([]byte, 32)}); err != nil || len(ds) != 1 {
		t.Errorf("32 bytes: %v, %v", ds, err)
	}
}
