package proof

import "slices"

// Consistency returns the RFC 9162 consistency proof (section 2.1.4.1) that the tree which ends
// with the trusted transaction begins with the tree of the first old transactions, and the roots of
// both. p is a dual proof between transaction old+1 and the trusted one. It holds the consistency
// proof between the linking trees of the two, which end one leaf earlier each: for the old tree that
// is the one asked for, and the new one lacks the trusted transaction, so the nodes on its right edge
// are computed again.
func Consistency(trusted State, p *DualProof, old uint64) (path []Digest, oldRoot, root Digest, err error) {
	source, _, err := p.Prove(trusted, old+1)
	if err != nil {
		return nil, oldRoot, root, err
	}
	c, err := ChainFrom(trusted, p)
	if err != nil {
		return nil, oldRoot, root, err
	}
	if old == 0 || source.BlTxID != old {
		return nil, oldRoot, root, ErrUnlinked
	}
	known := make(nodes)
	if size := c.tree.size; old < size {
		ranges := consistencyRanges(old, span{0, size}, true)
		if old&(old-1) == 0 {
			ranges = slices.Insert(ranges, 0, span{0, old})
		}
		for i, r := range ranges { // a path of another length has not passed Prove
			known[r] = p.Consistency[i]
		}
	}
	lo := uint64(0)
	for _, peak := range c.tree.peaks {
		width := largestPower(c.tree.size - lo + 1)
		known[span{lo, lo + width}] = peak
		lo += width
	}
	known[span{lo, lo + 1}] = LeafHash(trusted.Alh)
	for _, r := range consistencyRanges(old, span{0, trusted.TxID}, true) {
		path = append(path, known.hash(r))
	}
	return path, source.BlRoot, known.hash(span{0, trusted.TxID}), nil
}

// span is a range of leaves, from lo to below hi.
type span struct{ lo, hi uint64 }

// nodes are the hashes of subtrees by their leaves.
type nodes map[span]Digest

// hash computes the hash of a subtree out of the known ones below it.
func (n nodes) hash(r span) Digest {
	if d, ok := n[r]; ok {
		return d
	}
	mid := r.lo + largestPower(r.hi-r.lo)
	return nodeHash(n.hash(span{r.lo, mid}), n.hash(span{mid, r.hi}))
}

// consistencyRanges are the leaves of the subtrees whose hashes SUBPROOF of RFC 9162 consists of:
// between the first m leaves of r and all of them.
func consistencyRanges(m uint64, r span, whole bool) []span {
	if m == r.hi-r.lo {
		if whole {
			return nil
		}
		return []span{r}
	}
	half := largestPower(r.hi - r.lo)
	mid := r.lo + half
	if m <= half {
		return append(consistencyRanges(m, span{r.lo, mid}, whole), span{mid, r.hi})
	}
	return append(consistencyRanges(m-half, span{mid, r.hi}, false), span{r.lo, mid})
}

// largestPower is the largest power of two below n, which is 2 or more.
func largestPower(n uint64) uint64 {
	p := uint64(1)
	for p<<1 < n {
		p <<= 1
	}
	return p
}
