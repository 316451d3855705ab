package proof

// LinearProof shows that one transaction follows from another along the hash chain: the first term
// is the Alh of the source, every further one the inner hash of the next transaction.
type LinearProof struct {
	SourceTxID, TargetTxID uint64
	Terms                  []Digest
}

// Verify recomputes the chain from source to target.
func (p *LinearProof) Verify(source, target State) error {
	switch {
	case p == nil:
		return failed(target.TxID, "the proof has its linear part")
	case p.SourceTxID != source.TxID || p.TargetTxID != target.TxID || source.TxID == 0 || source.TxID > target.TxID:
		return failed(target.TxID, "the linear proof (%d to %d) leads from %d to %d", p.SourceTxID, p.TargetTxID, source.TxID, target.TxID)
	case uint64(len(p.Terms)) != target.TxID-source.TxID+1 || len(p.Terms) == 0:
		return failed(target.TxID, "the linear proof of %d terms has one per transaction", len(p.Terms))
	case p.Terms[0] != source.Alh:
		return differs(source.TxID, "the linear proof starts at its source", source.Alh, p.Terms[0])
	}
	alh := p.Terms[0]
	for i, inner := range p.Terms[1:] {
		alh = nextAlh(alh, source.TxID+uint64(i)+1, inner)
	}
	if alh != target.Alh {
		return differs(target.TxID, "the linear proof ends at its target", target.Alh, alh)
	}
	return nil
}

// LinearAdvanceProof shows that the transactions added to a linking tree since an older tree are those
// of the hash chain. Without it the tree could hold transactions that the chain never had
// (CVE-2022-36111).
type LinearAdvanceProof struct {
	Terms      []Digest   // Alh of the first transaction, then the inner hash of each next one
	Inclusions [][]Digest // inclusion of each transaction but the last in the tree
}

// TreeHead is a linking tree: its number of leaves and its root.
type TreeHead struct {
	Size uint64
	Root Digest
}

// Verify checks the transactions between start, the size of the older tree, and end. It does not check
// that end itself is in the tree. If end is at most start+1 there are no transactions between, and p
// may be nil.
func (p *LinearAdvanceProof) Verify(start uint64, end State, tree TreeHead) error {
	if end.TxID < start {
		return failed(end.TxID, "a linking tree does not shrink from %d", start)
	}
	if end.TxID-start <= 1 {
		return nil
	}
	n := end.TxID - start
	if p == nil || uint64(len(p.Terms)) != n || uint64(len(p.Inclusions)) != n-1 {
		return failed(end.TxID, "the proof has its linear advance part for %d transactions", n)
	}
	alh := p.Terms[0]
	for i, path := range p.Inclusions {
		tx := start + 1 + uint64(i)
		if !VerifyInclusion(path, tx-1, tree.Size, LeafHash(alh), tree.Root) {
			return failed(tx, "the linking tree of size %d holds the transaction of the chain", tree.Size)
		}
		alh = nextAlh(alh, tx+1, p.Terms[i+1])
	}
	if alh != end.Alh {
		return differs(end.TxID, "the linear advance proof ends at its transaction", end.Alh, alh)
	}
	return nil
}
