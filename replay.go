package immudb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

const (
	replayBytes = 4 << 20 // how much is asked for at once
	replayTxs   = 1000    // at most; servers allow 2,500
)

// replay reads the transactions after those of the chain up to the last one,
// appends them and hands each to visit. The chain vouches for them only when it
// has met a trusted state.
func (p *prover) replay(ctx context.Context, chain *proof.Chain, last uint64, d wire.EntryDetail, visit func(*proof.Tx) error) error {
	most := replayTxs
	for limit := 64; chain.State().TxID < last; {
		next := chain.State().TxID + 1
		limit = int(min(uint64(limit), last-next+1))
		msg, err := p.call(ctx, wire.MethodTxScan, wire.TxScanRequest(next, limit, d))
		if e := (*Error)(nil); errors.As(err, &e) && e.kind == nil && limit > 1 {
			// The server may allow fewer; if that is not it, the error comes again and
			// is that of one transaction.
			limit = max(1, limit/8)
			most = limit
			continue
		}
		if err != nil {
			return err
		}
		txs, err := wire.DecodeTxs(msg)
		if err != nil {
			return p.notAProof(err)
		}
		if len(txs) == 0 {
			return p.tampering(&proof.Error{Check: "all transactions of the history are there", TxID: next})
		}
		for _, tx := range txs[:min(len(txs), limit)] {
			if tx, err = p.complete(ctx, tx, d); err != nil {
				return err
			}
			verified, err := chain.Append(tx.Header, tx.Entries)
			if err != nil {
				return p.tampering(err)
			}
			if err := visit(verified); err != nil {
				return err
			}
		}
		limit = min(most, 4*limit, max(1, int(int64(limit)*replayBytes/int64(len(msg)+1))))
	}
	return nil
}

// complete asks for what a scan leaves out: the entries of documents, and the
// values of entries that define tables.
func (p *prover) complete(ctx context.Context, tx *wire.Tx, d wire.EntryDetail) (*wire.Tx, error) {
	if tx.Header == nil {
		return tx, nil // for the chain to refuse
	}
	switch {
	case len(tx.Entries) < int(tx.Header.NEntries):
		d = wire.AnyKeys
	case d == wire.KeysOnly && slices.ContainsFunc(tx.Entries, func(e proof.Entry) bool { return proof.IsCatalogKey(e.Key) }):
		d = wire.WithValues
	default:
		return tx, nil
	}
	msg, err := p.call(ctx, wire.MethodTx, wire.TxRequest(tx.Header.ID, d))
	if err != nil {
		return nil, err
	}
	if tx, err = wire.DecodeTx(msg); err != nil {
		return nil, p.notAProof(err)
	}
	return tx, nil
}

// schema is what the history says of tables, read from its first transaction
// on.
type schema struct {
	turn    chan struct{} // holds a token while somebody reads
	chain   *proof.Chain
	catalog *proof.Catalog
}

// define puts the definition of a table to use, given what the server claims that
// to be: the claim if that is pinned, or nothing is and first use is trusted,
// else what the history says. believed is the claim where a row has to be proven
// by it first, for [prover.keep].
func (p *prover) define(ctx context.Context, claim *proof.Table) (believed *proof.Table, err error) {
	if err := claim.Check(); err != nil {
		return nil, p.tampering(&proof.Error{Check: "the server describes a table that makes sense: " + err.Error()})
	}
	s, _ := p.snapshot()
	pinned, isPinned := s.Tables[claim.Name]
	if isPinned && pinned == Hash(claim.Fingerprint()) || !isPinned && p.trust.firstUse {
		return claim, nil
	}
	return nil, p.proveDefinition(ctx, claim.Name)
}

// keep relies from now on on a definition that a row was proven by. kept is false
// if another one is relied on meanwhile.
func (p *prover) keep(ctx context.Context, t *proof.Table) (kept bool, err error) {
	leave, err := p.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	return p.believe(ctx, t)
}

// proveDefinition reads the history up to now for what it says of a table, and
// pins that.
func (p *prover) proveDefinition(ctx context.Context, name string) error {
	s := &p.schema
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	// First to now, then the history up to there.
	trusted, err := p.catchUp(ctx)
	if err != nil {
		return err
	}
	if s.chain == nil {
		s.chain, s.catalog = proof.NewChain(), proof.NewCatalog()
	}
	chain, catalog := s.chain, s.catalog
	s.chain, s.catalog = nil, nil // of no use after an error
	err = p.replay(ctx, chain, trusted.TxID, wire.KeysOnly, func(tx *proof.Tx) error {
		if err := catalog.Apply(tx); err != nil {
			return p.tampering(err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if at := chain.State(); at != trusted.proof() {
		return p.tampering(&proof.Error{Check: "the history leads to the trusted state", TxID: trusted.TxID,
			Expected: trusted.Hash.String(), Found: at.Alh.String()})
	}
	s.chain, s.catalog = chain, catalog
	t, err := catalog.Table(name)
	if err != nil {
		return p.noDefinition(catalog, name, err)
	}
	leave, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return p.pinTables(ctx, t)
}

// noDefinition says why the history defines no table of a name.
func (p *prover) noDefinition(catalog *proof.Catalog, name string, err error) error {
	if !slices.Contains(catalog.TableNames(), name) {
		return newError(ErrNoSuchTable, "42P01", fmt.Sprintf("the history of database %s has no table %s", p.id.database, name))
	}
	return p.tampering(err)
}
