package proof

import (
	"crypto/sha256"
	"slices"
)

// Chain replays transactions one after the other and checks everything that their headers commit to:
// the hash chain, the linking tree and, given the entries, the entry tree. It needs no proofs from
// the server and a few hundred bytes of memory, so an audit can read a whole history with it.
//
// When the chain reaches a trusted state, all replayed transactions are proven. When it starts at
// one, all that follow are. After an error the chain must not be used any more.
type Chain struct {
	state   State
	tree    frontier
	pending []Digest // Alhs after tree.size up to state.TxID, waiting to be linked
}

// NewChain returns a chain that starts before the first transaction of a database.
func NewChain() *Chain {
	return &Chain{state: State{Alh: sha256.Sum256(nil)}}
}

// ChainFrom returns a chain that starts after the trusted transaction. p must be a dual proof with that
// transaction as its target; a proof from the transaction to itself is enough. The linking tree of the
// transaction must end with its predecessor, as it does for current servers; otherwise the error is
// [ErrUnlinked], and an audit must start with [NewChain].
func ChainFrom(trusted State, p *DualProof) (*Chain, error) {
	if trusted.TxID == 0 {
		return nil, ErrNoState
	}
	if p == nil || p.Target == nil {
		return nil, failed(trusted.TxID, "the dual proof has both headers")
	}
	h := p.Target
	if err := h.matches(trusted); err != nil {
		return nil, err
	}
	c := &Chain{state: trusted, pending: []Digest{trusted.Alh}}
	if h.BlTxID != h.ID-1 {
		return nil, ErrUnlinked
	}
	if h.BlTxID > 0 {
		leaf := LeafHash(h.PrevAlh)
		if !VerifyInclusion(p.LastInclusion, h.BlTxID-1, h.BlTxID, leaf, h.BlRoot) {
			return nil, failed(h.ID, "the linking tree ends with tx %d", h.BlTxID)
		}
		c.tree = frontierFrom(h.BlTxID, leaf, p.LastInclusion)
	}
	return c, nil
}

// Clone returns a chain that continues by itself from the same transaction.
func (c *Chain) Clone() *Chain {
	return &Chain{state: c.state, tree: frontier{c.tree.size, slices.Clone(c.tree.peaks)}, pending: slices.Clone(c.pending)}
}

// State is the state after the last transaction that was appended.
func (c *Chain) State() State { return c.state }

// AppendHeader appends the next transaction without checking its entries.
func (c *Chain) AppendHeader(h *Header) error {
	if h == nil {
		return failed(c.state.TxID+1, "the transaction has a header")
	}
	if h.ID != c.state.TxID+1 {
		return differs(h.ID, "transactions follow one another", c.state.TxID+1, h.ID)
	}
	if h.PrevAlh != c.state.Alh {
		return differs(h.ID, "the transaction follows the one before", c.state.Alh, h.PrevAlh)
	}
	alh, err := h.Alh()
	if err != nil {
		return err
	}
	if h.BlTxID < c.tree.size {
		return failed(h.ID, "a linking tree of size %d does not shrink to %d", c.tree.size, h.BlTxID)
	}
	n := int(h.BlTxID - c.tree.size) // BlTxID < ID, so at most len(pending)
	for _, p := range c.pending[:n] {
		c.tree.append(LeafHash(p))
	}
	if root := c.tree.root(); h.BlTxID > 0 && root != h.BlRoot {
		return differs(h.ID, "the linking tree has the root of the chain", root, h.BlRoot)
	}
	c.pending = append(slices.Delete(c.pending, 0, n), alh)
	c.state = State{h.ID, alh}
	return nil
}

// Append takes the next transaction with all of its entries.
func (c *Chain) Append(h *Header, entries []Entry) (*Tx, error) {
	if err := h.VerifyEntries(entries); err != nil {
		return nil, err
	}
	if err := c.AppendHeader(h); err != nil {
		return nil, err
	}
	return &Tx{header: h, entries: entries}, nil
}

// Tx is a verified transaction: its header belongs to a trusted history and its entries, though not
// their values, are exactly those of the header. Only [Chain.Append] and [VerifyTx] make one. As long
// as it is used, the caller must not change what it was made from.
type Tx struct {
	header  *Header
	entries []Entry
}

// VerifyTx checks transaction txID with all of its entries against the trusted state, and returns
// the newer state of the two.
func VerifyTx(trusted State, p *DualProof, txID uint64, entries []Entry) (*Tx, State, error) {
	h, state, err := p.Prove(trusted, txID)
	if err != nil {
		return nil, State{}, err
	}
	if err := h.VerifyEntries(entries); err != nil {
		return nil, State{}, err
	}
	return &Tx{header: h, entries: entries}, state, nil
}

// Header returns the verified header.
func (tx *Tx) Header() *Header { return tx.header }

// Entries returns the verified entries, not to be changed.
func (tx *Tx) Entries() []Entry { return tx.entries }
