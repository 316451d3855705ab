package proof

// DualProof shows that two transactions belong to one history, which then contains everything
// the older one commits to: linking tree and hash chain, hence "dual".
//
// Which parts are needed depends on the positions, with S and T the ids of source and target and
// bS, bT the sizes of their trees. Parts that are not needed are ignored.
type DualProof struct {
	Source, Target *Header
	Inclusion      []Digest            // of S in the tree of T; if S < bT
	Consistency    []Digest            // of the two trees; if bS > 0
	TargetBlAlh    Digest              // Alh(bT)
	LastInclusion  []Digest            // of bT in the tree of T; if bT > 0
	Linear         *LinearProof        // max(S, bT) to T
	LinearAdvance  *LinearAdvanceProof // bS to min(S, bT); if there is anything between

	// BlLinear leads from bT to S. It is needed if bT < S < T and never part of the server's dual
	// proof: ask for the dual proof of bT and S and take the linear one out of it.
	BlLinear *LinearProof
}

// Verify checks the proof between source and target, both with their hashes. A caller trusts one
// of the two and takes the other from the proof: use [DualProof.Prove].
//
// Everything a tree or chain holds is tied to both ends:
//   - the tree of the source is the beginning of the tree of the target (consistency);
//   - leaves of the target's tree up to S are the transactions the source commits to (advance, inclusion);
//   - the last leaf of the target's tree lies on the chain of the target. With bT > S the linear
//     part shows it. With bT = S the leaf must be the source itself: a target whose tree holds something
//     else in its place could later serve a forged transaction S, though chain and tree look right today.
func (p *DualProof) Verify(source, target State) error {
	if p == nil || p.Source == nil || p.Target == nil {
		return failed(target.TxID, "the dual proof has both headers")
	}
	if err := p.Source.matches(source); err != nil {
		return err
	}
	if err := p.Target.matches(target); err != nil {
		return err
	}
	if source.TxID > target.TxID {
		return failed(target.TxID, "the target is not older than its source %d", source.TxID)
	}

	oldTree := TreeHead{p.Source.BlTxID, p.Source.BlRoot}
	tree := TreeHead{p.Target.BlTxID, p.Target.BlRoot}
	last := State{tree.Size, p.TargetBlAlh}

	if oldTree.Size > 0 && !VerifyConsistency(p.Consistency, oldTree.Size, tree.Size, oldTree.Root, tree.Root) {
		return failed(target.TxID, "the linking tree (size %d) extends that of tx %d (size %d)", tree.Size, source.TxID, oldTree.Size)
	}
	if tree.Size == 0 && last.Alh != (Digest{}) {
		return failed(target.TxID, "without a linking tree there is no last leaf")
	}
	if tree.Size > 0 && !VerifyInclusion(p.LastInclusion, tree.Size-1, tree.Size, LeafHash(last.Alh), tree.Root) {
		return failed(target.TxID, "the linking tree ends with tx %d", tree.Size)
	}

	if source.TxID < tree.Size {
		if !VerifyInclusion(p.Inclusion, source.TxID-1, tree.Size, LeafHash(source.Alh), tree.Root) {
			return failed(target.TxID, "the linking tree (size %d) holds tx %d", tree.Size, source.TxID)
		}
		if err := p.Linear.Verify(last, target); err != nil {
			return err
		}
		return p.LinearAdvance.Verify(oldTree.Size, source, tree)
	}

	if err := p.Linear.Verify(source, target); err != nil {
		return err
	}
	if err := p.LinearAdvance.Verify(oldTree.Size, last, tree); err != nil {
		return err
	}
	return p.lastLeafOnChain(source, target, last)
}

// lastLeafOnChain is the check for trees that end at or before the source.
func (p *DualProof) lastLeafOnChain(source, target, last State) error {
	switch {
	case last.TxID == 0:
		return nil // no tree yet
	case last.TxID == source.TxID:
		if last.Alh != source.Alh {
			return differs(source.TxID, "the last leaf of the target's tree is the source", source.Alh, last.Alh)
		}
		return nil
	case last.TxID == target.TxID-1: // hence source and target are one transaction
		if last.Alh != p.Target.PrevAlh {
			return differs(last.TxID, "the last leaf of the tree is the previous transaction", p.Target.PrevAlh, last.Alh)
		}
		return nil
	case source == target:
		return nil // nothing new would be trusted
	case p.BlLinear == nil:
		return ErrUnlinked
	}
	return p.BlLinear.Verify(last, source)
}

// Prove checks, with either header as the older one, that transaction txID and the trusted state
// belong to one history. It returns the transaction's header, now trusted, and the newer of the two
// states, which is what the caller should trust from now on.
func (p *DualProof) Prove(trusted State, txID uint64) (*Header, State, error) {
	if trusted.TxID == 0 {
		return nil, State{}, ErrNoState
	}
	if p == nil || p.Source == nil || p.Target == nil {
		return nil, State{}, failed(txID, "the dual proof has both headers")
	}
	h := p.Target
	if txID < trusted.TxID {
		h = p.Source
	}
	alh, err := h.Alh()
	if err != nil {
		return nil, State{}, err
	}
	source, target := trusted, State{txID, alh}
	if txID < trusted.TxID {
		source, target = target, source
	}
	if err := p.Verify(source, target); err != nil {
		return nil, State{}, err
	}
	return h, target, nil
}

// matches checks that s is the state right after transaction h.
func (h *Header) matches(s State) error {
	if h.ID != s.TxID {
		return differs(s.TxID, "the header is that of the transaction", s.TxID, h.ID)
	}
	alh, err := h.Alh()
	if err != nil {
		return err
	}
	if alh != s.Alh {
		return differs(s.TxID, "the header has the expected hash", s.Alh, alh)
	}
	return nil
}
