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
	most := replayTxs
	for limit := 64; chain.State().TxID < last; {
		next := chain.State().TxID + 1
		limit = int(min(uint64(limit), last-next+1))
		msg, err := p.server.Call(ctx, wire.MethodTxScan, wire.TxScanRequest(next, limit, d))
		if err != nil && limit > 1 && p.server.Refused(err) {
			// The server's limit may be lower, so ask for fewer. If the error has another
			// reason, it comes again for a single transaction and is returned.
			limit = max(1, limit/8)
			most = limit
			continue
		}
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
			if tx, err = p.complete(ctx, tx, d); err != nil {
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
		limit = min(most, 4*limit, max(1, int(int64(limit)*replayBytes/int64(len(msg)+1))))
	}
	return nil
}

// complete asks for what TxScan leaves out: the entries of documents, and the
// values of entries that define tables.
func (p *Prover) complete(ctx context.Context, tx *wire.Tx, d wire.EntryDetail) (*wire.Tx, error) {
	if tx.Header == nil {
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
	msg, err := p.server.Call(ctx, wire.MethodTx, wire.TxRequest(tx.Header.ID, d))
	if err != nil {
		return nil, err
	}
	if tx, err = wire.DecodeTx(msg); err != nil {
		return nil, p.NotAProof(err)
	}
	return tx, nil
}
