package trust

import (
	"context"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// Commit proves that the transaction whose header a commit was answered
// with extends the trusted history.
func (p *Prover) Commit(ctx context.Context, header *proof.Header) error {
	leave, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	alh, err := header.Alh()
	if err != nil {
		return p.Tampering(err)
	}
	committed := proof.State{TxID: header.ID, Alh: alh}
	if ok, err := p.followChain(ctx, header); ok || err != nil {
		return err
	}
	if _, err := p.establishInTurn(ctx); err != nil {
		return err
	}
	return p.verifyInTurn(ctx, func(ctx context.Context, trusted State) (proven, error) {
		h, pr, err := p.proveTx(ctx, trusted, header.ID, wire.NoEntries)
		if err != nil {
			return pr, err
		}
		return pr, p.expect(h, committed, "the transaction in the history is the one that the commit was answered with")
	})
}

// followChain checks a commit that comes right after the trusted state without
// asking the server: its header holds all there is to check. ok is false where it does
// not come right after, or is to be signed.
func (p *Prover) followChain(ctx context.Context, header *proof.Header) (ok bool, err error) {
	p.mu.Lock()
	chain, trusted := p.chain, p.state
	if chain == nil || p.trust.Key != nil || header.ID != chain.State().TxID+1 || trusted.TxID != chain.State().TxID {
		p.mu.Unlock()
		return false, nil
	}
	p.chain = nil // of no use if it fails
	p.mu.Unlock()
	if err := chain.AppendHeader(header); err != nil {
		return false, p.Tampering(err)
	}
	newer := p.moved(trusted, chain.State(), nil)
	old := trusted
	if trusted.TxID == 0 {
		old = State{}
	}
	if ok, err := p.swap(ctx, old, newer); !ok || err != nil {
		return false, err
	}
	p.mu.Lock()
	p.chain = chain
	p.mu.Unlock()
	return true, nil
}
