package trust

import (
	"context"
	"slices"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

const (
	replayBytes = 4 << 20 // the size in bytes that one answer should have
	replayTxs   = 1000    // the most transactions to ask for at once; servers allow 2,500
)

// replay reads the transactions that follow those of the chain, up to last, appends
// them to the chain and calls visit for each. They are proven only once the chain
// has reached a trusted state, which the caller checks.
func (p *Prover) replay(ctx context.Context, chain *proof.Chain, last uint64, d wire.EntryDetail, visit func(*proof.Tx) error) error {
	for pages := newPages(); chain.State().TxID < last; {
		if err := pages.next(ctx, p, chain, last, d, visit); err != nil {
			return err
		}
	}
	return nil
}

// pages finds out how many transactions to ask for at once.
type pages struct{ limit, most int }

func newPages() *pages { return &pages{limit: 64, most: replayTxs} }

// next reads the transactions of one answer, see [Prover.replay]. The chain must end
// before last.
func (g *pages) next(ctx context.Context, p *Prover, chain *proof.Chain, last uint64, d wire.EntryDetail, visit func(*proof.Tx) error) error {
	next := chain.State().TxID + 1
	limit, msg, err := g.ask(ctx, p, next, last, d)
	if err != nil {
		return err
	}
	txs, err := wire.DecodeTxs(msg)
	if err != nil {
		return p.NotAProof(err)
	}
	if len(txs) == 0 {
		return p.Tampering(&proof.Error{Check: "all transactions of the history are there", TxID: next})
	}
	for _, tx := range txs[:min(len(txs), limit)] {
		if tx, err = p.complete(ctx, tx, chain.State().TxID+1, d); err != nil {
			return err
		}
		verified, err := chain.Append(tx.Header, tx.Entries)
		if err != nil {
			return p.Tampering(err)
		}
		if err := visit(verified); err != nil {
			return err
		}
	}
	g.limit = min(g.most, 4*limit, max(1, int(int64(limit)*replayBytes/int64(len(msg)+1))))
	return nil
}

// ask asks for the transactions from next on, for fewer if the server refuses.
func (g *pages) ask(ctx context.Context, p *Prover, next, last uint64, d wire.EntryDetail) (limit int, msg wire.Raw, err error) {
	for {
		limit = int(min(uint64(g.limit), last-next+1))
		msg, err = p.server.Call(ctx, wire.MethodTxScan, wire.TxScanRequest(next, limit, d))
		if err == nil || limit == 1 || !p.server.Refused(err) {
			return limit, msg, err
		}
		// The server's limit may be lower, so ask for fewer. If the error has another
		// reason, it comes again for a single transaction and is returned.
		g.limit = max(1, limit/8)
		g.most = g.limit
	}
}

// complete asks for what TxScan leaves out of transaction id: the entries of documents,
// and the values of entries that define tables. It asks for nothing that only the answer
// names, because the server may truly not have that.
func (p *Prover) complete(ctx context.Context, tx *wire.Tx, id uint64, d wire.EntryDetail) (*wire.Tx, error) {
	if tx.Header == nil || tx.Header.ID != id {
		return tx, nil // the chain refuses it
	}
	switch {
	case len(tx.Entries) < int(tx.Header.NEntries):
		d = wire.AnyKeys
	case d == wire.KeysOnly && slices.ContainsFunc(tx.Entries, func(e proof.Entry) bool { return proof.IsCatalogKey(e.Key) }):
		d = wire.WithValues
	default:
		return tx, nil
	}
	msg, err := p.server.Call(ctx, wire.MethodTx, wire.TxRequest(id, d))
	if err != nil {
		return nil, err
	}
	if tx, err = wire.DecodeTx(msg); err != nil {
		return nil, p.NotAProof(err)
	}
	return tx, nil
}
