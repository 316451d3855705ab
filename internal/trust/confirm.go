package trust

import (
	"context"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// Confirm proves what the trusted history holds as the transaction of s, and returns
// that with the server's signature of it, if it signs. The caller compares the two.
// A transaction that the server does not have yet is an error of kind [ServerOlder].
func (p *Prover) Confirm(ctx context.Context, s State) (own State, err error) {
	if len(s.Signature) > 0 {
		if err := p.checkSignature(proven{state: s.proof(), signature: s.Signature}); err != nil {
			return State{}, err
		}
	}
	trusted, err := p.Establish(ctx)
	if err == nil && trusted.TxID < s.TxID {
		trusted, err = p.CatchUp(ctx)
	}
	if err != nil {
		return State{}, err
	}
	if trusted.TxID < s.TxID {
		return State{}, p.older(trusted.proof(), s)
	}
	if own, err = p.Tx(ctx, s.TxID); err != nil {
		return State{}, err
	}
	// With itself as the source, the server signs the transaction and no newer one.
	v, err := p.fetchTx(ctx, own, own.TxID, wire.NoEntries)
	if err != nil {
		return State{}, p.Explain(ctx, trusted, err)
	}
	own.Signature = v.Signature
	return own, p.checkSignature(proven{state: own.proof(), signature: own.Signature})
}

// Checkpoint moves the trusted state to the newest transaction, and returns it with
// the root of the tree of all transactions up to it.
func (p *Prover) Checkpoint(ctx context.Context) (s State, root proof.Digest, err error) {
	if s, err = p.CatchUp(ctx); err != nil {
		return State{}, proof.Digest{}, err
	}
	if s.TxID == 0 {
		return State{}, proof.Digest{}, &Error{SQLState: "55000", Message: "an empty database has no checkpoint"}
	}
	v, err := p.fetchTx(ctx, s, s.TxID, wire.NoEntries)
	if err != nil {
		return State{}, proof.Digest{}, p.Explain(ctx, s, err)
	}
	_, root, err = proof.PathFromNewest(s.proof(), v.Dual)
	return s, root, p.unlinked(err)
}

// Consistency proves that the tree which ends with transaction newest begins with the
// tree of the first old transactions: 0 < old < newest.TxID. It returns the proof and
// the roots of both trees.
func (p *Prover) Consistency(ctx context.Context, newest State, old uint64) (path []proof.Digest, oldRoot, root proof.Digest, err error) {
	own, err := p.Confirm(ctx, State{TxID: newest.TxID})
	if err != nil {
		return nil, oldRoot, root, err
	}
	if own.Hash != newest.Hash {
		return nil, oldRoot, root, &Error{Kind: InvalidValue, SQLState: "22023", Message: "consistency: the checkpoint is not one of the trusted history"}
	}
	v, err := p.fetchTx(ctx, own, old+1, wire.NoEntries)
	if err != nil {
		return nil, oldRoot, root, p.Explain(ctx, own, err)
	}
	path, oldRoot, root, err = proof.Consistency(own.proof(), v.Dual, old)
	return path, oldRoot, root, p.unlinked(err)
}
