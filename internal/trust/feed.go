package trust

import (
	"context"
	"errors"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// Feed reads the history page by page, each of which is proven before the next is
// read. It belongs to no server: each call names the prover to ask. After an error
// it is where it was, and the call may be made again. Only one goroutine may use it.
type Feed struct {
	after   proof.State
	chain   *proof.Chain // nil until the feed is open
	catalog *proof.Catalog
	pages   *pages
}

// NewFeed returns a feed of the transactions after the given state. catalog has the
// tables as of that state; if it is nil, Open reads them from the history.
func NewFeed(after proof.State, catalog *proof.Catalog) *Feed {
	if after.TxID == 0 {
		return &Feed{chain: proof.NewChain(), catalog: proof.NewCatalog(), pages: newPages()}
	}
	return &Feed{after: after, catalog: catalog, pages: newPages()}
}

// Open proves that the state at which the feed begins belongs to the trusted
// history, and returns the tables as of that state.
func (f *Feed) Open(ctx context.Context, p *Prover) (*proof.Catalog, error) {
	if f.chain != nil {
		return f.catalog, nil
	}
	trusted, err := p.Anchor(ctx, f.after)
	if err != nil {
		return nil, err
	}
	if f.catalog == nil {
		return f.readTo(ctx, p, proof.NewCatalog())
	}
	v, err := p.fetchTx(ctx, State{TxID: f.after.TxID}, f.after.TxID, wire.NoEntries)
	if err != nil {
		return nil, p.Explain(ctx, trusted, err)
	}
	chain, err := proof.ChainFrom(f.after, v.Dual)
	switch {
	case errors.Is(err, proof.ErrUnlinked):
		return f.readTo(ctx, p, nil) // an old server wrote the transaction
	case err != nil:
		return nil, p.Tampering(err)
	}
	f.chain = chain
	return f.catalog, nil
}

// Anchor proves that a state that was kept from before, such as that of a cursor, belongs to
// the trusted history, which it moves to the newest transaction first.
func (p *Prover) Anchor(ctx context.Context, s proof.State) (State, error) {
	trusted, err := p.CatchUp(ctx)
	switch {
	case err != nil:
		return State{}, err
	case trusted.TxID < s.TxID:
		return State{}, p.older(trusted.proof(), p.moved(State{}, s, nil))
	}
	return trusted, p.includes(ctx, s, "the cursor is of the history that is trusted")
}

// readTo reads the history from its first transaction to the state at which the feed
// begins, into catalog if it is not nil.
func (f *Feed) readTo(ctx context.Context, p *Prover, catalog *proof.Catalog) (*proof.Catalog, error) {
	chain := proof.NewChain()
	err := p.replay(ctx, chain, f.after.TxID, wire.KeysOnly, func(tx *proof.Tx) error {
		if catalog == nil {
			return nil
		}
		return p.Tampering(catalog.Apply(tx))
	})
	if err != nil {
		return nil, err
	}
	if at := chain.State(); at != f.after {
		return nil, p.Tampering(&proof.Error{Check: "the history leads to the cursor", TxID: at.TxID, Expected: f.after.Alh.String(), Found: at.Alh.String()})
	}
	f.chain = chain
	if catalog != nil {
		f.catalog = catalog
	}
	return f.catalog, nil
}

// At returns the last transaction that was read.
func (f *Feed) At() uint64 {
	if f.chain == nil {
		return f.after.TxID
	}
	return f.chain.State().TxID
}

// Next returns the next transactions, as many as one answer of the server has and at
// most up to last, which must be trusted or older than that. It proves that the last
// of them belongs to the trusted history; those before it are then proven too.
func (f *Feed) Next(ctx context.Context, p *Prover, last uint64, d wire.EntryDetail) (txs []*proof.Tx, err error) {
	chain := f.chain.Clone()
	err = f.pages.next(ctx, p, chain, last, d, func(tx *proof.Tx) error {
		txs = append(txs, tx)
		return nil
	})
	if err == nil {
		err = p.includes(ctx, chain.State(), "the transactions are those of the history that is trusted")
	}
	if err != nil {
		trusted, _ := p.snapshot()
		return nil, p.Explain(ctx, trusted, err)
	}
	f.chain = chain
	return txs, nil
}

// includes proves that a state belongs to the trusted history. what says so in words.
func (p *Prover) includes(ctx context.Context, s proof.State, what string) error {
	if now, ok := p.snapshot(); ok && now.TxID == s.TxID {
		if now.Hash != s.Alh {
			return p.Tampering(&proof.Error{Check: what, TxID: s.TxID, Expected: now.Hash.String(), Found: s.Alh.String()})
		}
		return nil
	}
	return p.verify(ctx, func(ctx context.Context, trusted State) (proven, error) {
		h, pr, err := p.proveTx(ctx, trusted, s.TxID, wire.NoEntries)
		if err != nil {
			return pr, err
		}
		return pr, p.expect(h, s, what)
	})
}
