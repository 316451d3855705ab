package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/immudb-go/immudb/internal/evidence"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// Receipt proves the revision of a row that transaction id wrote, and returns what
// proves it to others. The table is the one that has the name now. The anchor is the
// newest transaction.
func (p *Prover) Receipt(ctx context.Context, table string, id uint64, pk []any) (*evidence.Receipt, error) {
	r := &evidence.Receipt{Database: p.id.database}
	definitions, t, err := p.definitionsOf(ctx, table, id)
	if err != nil {
		return nil, err
	}
	key, err := t.RowKey(pk...)
	if err != nil {
		return nil, p.Tampering(err)
	}
	err = p.anchor(ctx, r, id, func(tx *proof.Tx) error {
		for i, e := range tx.Entries() {
			if !bytes.Equal(e.Key, key) {
				continue
			}
			path, err := tx.ProveEntry(i)
			if err != nil {
				return p.Tampering(err)
			}
			r.Entry, r.Leaf, r.EntryPath = e, path.Leaf, path.Terms
			return nil
		}
		return &Error{Kind: NoSuchRow, SQLState: "02000", Message: fmt.Sprintf("transaction %d wrote no such row of table %s", id, table)}
	})
	if err != nil {
		return nil, err
	}
	for _, id := range definitions {
		if err := p.addDefinition(ctx, r, id); err != nil {
			return nil, err
		}
	}
	return r, p.selfCheck(r)
}

// Extend returns the receipt with the newest transaction as its anchor, after it has
// proven that the trusted history holds the anchor and everything else in it.
func (p *Prover) Extend(ctx context.Context, old *evidence.Receipt) (*evidence.Receipt, error) {
	if old.Database != p.id.database {
		return nil, &Error{Kind: InvalidValue, SQLState: "22023",
			Message: fmt.Sprintf("the receipt is one of database %q, not of %q", old.Database, p.id.database)}
	}
	trusted, err := p.CatchUp(ctx)
	if err != nil {
		return nil, err
	}
	anchor, err := old.AnchorState()
	if err != nil {
		return nil, p.Tampering(err)
	}
	if trusted.TxID < anchor.TxID {
		return nil, p.older(trusted.proof(), State{TxID: anchor.TxID})
	}
	if err := p.holds(ctx, trusted, anchor); err != nil {
		return nil, err
	}
	r := *old
	r.Definitions = nil
	err = p.anchor(ctx, &r, old.Header.ID, func(tx *proof.Tx) error { return p.sameTx(old.Header, tx.Header()) })
	if err != nil {
		return nil, err
	}
	for i := range old.Definitions {
		if err := p.addDefinition(ctx, &r, old.Definitions[i].Header.ID); err != nil {
			return nil, err
		}
		if err := p.sameTx(old.Definitions[i].Header, r.Definitions[i].Header); err != nil {
			return nil, err
		}
	}
	return &r, p.selfCheck(&r)
}

func (p *Prover) sameTx(receipt, history *proof.Header) error {
	alh, err := receipt.Alh()
	if err != nil {
		return p.Tampering(err)
	}
	return p.expect(history, proof.State{TxID: receipt.ID, Alh: alh}, "the transaction of the receipt is one of the history")
}

// selfCheck makes sure that a receipt passes the check of its readers.
func (p *Prover) selfCheck(r *evidence.Receipt) error {
	anchor, err := r.AnchorState()
	if err == nil {
		_, err = r.Verify(evidence.Policy{Database: r.Database, Key: p.trust.Key, State: anchor})
	}
	return p.Tampering(err)
}

// definitionsOf returns the transactions that defined a table as it was once
// transaction id was committed, and that definition.
func (p *Prover) definitionsOf(ctx context.Context, table string, id uint64) (txs []uint64, t *proof.Table, err error) {
	err = p.withCatalog(ctx, func(catalog *proof.Catalog) error {
		now, err := catalog.Table(table)
		if err != nil {
			return p.noDefinition(catalog, table, err)
		}
		if t = catalog.At(now.ID, id); t == nil {
			return &Error{Kind: NoSuchTable, SQLState: "42P01", Message: fmt.Sprintf("there was no table %s yet in transaction %d", table, id)}
		}
		txs = catalog.DefinedBy(now.ID, id)
		return nil
	})
	return txs, t, err
}

// anchor proves transaction id, lets take read its entries, and fills in how the
// newest trusted transaction, the anchor of the receipt, leads to it.
func (p *Prover) anchor(ctx context.Context, r *evidence.Receipt, id uint64, take func(*proof.Tx) error) error {
	return p.verify(ctx, func(ctx context.Context, trusted State) (proven, error) {
		v, err := p.fetchTx(ctx, trusted, id, wire.WithValues)
		if err != nil {
			return proven{}, err
		}
		h, s, err := p.proveDual(ctx, trusted, v.Dual, id)
		if err != nil {
			return proven{}, err
		}
		tx, err := proof.TxOf(h, v.Entries)
		if err != nil {
			return proven{}, p.Tampering(err)
		}
		if err := take(tx); err != nil {
			return proven{}, err
		}
		a := v.Dual.Target
		r.Anchor, r.Signature, r.Header = a, v.Signature, h
		if id < a.ID {
			r.Size, r.Root = a.BlTxID, a.BlRoot
			r.Path, err = p.pathTo(v.Dual)
		} else {
			r.Size = id
			r.Path, r.Root, err = proof.PathFromNewest(s, v.Dual)
			err = p.unlinked(err)
		}
		return proven{s, v.Dual, v.Signature}, err
	})
}

// pathTo returns the inclusion path of the source in the linking tree of the target.
func (p *Prover) pathTo(d *proof.DualProof) ([]proof.Digest, error) {
	switch {
	case d.Source.ID < d.Target.BlTxID:
		return d.Inclusion, nil
	case d.Source.ID == d.Target.BlTxID:
		return d.LastInclusion, nil
	}
	return nil, p.unlinked(proof.ErrUnlinked)
}

func (p *Prover) unlinked(err error) error {
	if errors.Is(err, proof.ErrUnlinked) {
		return &Error{SQLState: "0A000", Message: "the linking tree of the newest transaction ends before its predecessor, as an old server wrote it: " +
			"a receipt can be made once another transaction was committed"}
	}
	return p.Tampering(err)
}

// addDefinition adds a transaction that defined the table.
func (p *Prover) addDefinition(ctx context.Context, r *evidence.Receipt, id uint64) error {
	anchor, err := r.AnchorState()
	if err != nil {
		return p.Tampering(err)
	}
	at := State{TxID: anchor.TxID, Hash: anchor.Alh}
	v, err := p.fetchTx(ctx, at, id, wire.WithValues)
	if err != nil {
		return err
	}
	h, _, err := p.proveDual(ctx, at, v.Dual, id)
	if err != nil {
		return err
	}
	tx, err := proof.TxOf(h, v.Entries)
	if err != nil {
		return p.Tampering(err)
	}
	d := evidence.Definition{Header: h, Entries: tx.WithoutValues()}
	if id < anchor.TxID {
		if d.Path, err = p.pathTo(v.Dual); err != nil {
			return err
		}
	}
	r.Definitions = append(r.Definitions, d)
	return nil
}
