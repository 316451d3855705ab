package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// WrittenAfter reads the transactions after tx, at most the given number, and returns
// the first that wrote the entry of a row with this key or dropped its table, 0 if none
// did, and the newest transaction, as of which that holds.
func (p *Prover) WrittenAfter(ctx context.Context, key []byte, tx uint64, most int) (later uint64, asOf State, err error) {
	table, ok := proof.TableOfRow(key)
	if !ok {
		return 0, State{}, &Error{Kind: InvalidValue, SQLState: "22023", Message: "the key is not one of a row"}
	}
	asOf, err = p.CatchUp(ctx)
	if err != nil {
		return 0, asOf, err
	}
	if asOf.TxID < tx {
		return 0, asOf, p.older(asOf.proof(), State{TxID: tx})
	}
	if n := asOf.TxID - tx; n > uint64(max(most, 0)) {
		return 0, asOf, &Error{Kind: InvalidValue, SQLState: "54000",
			Message: fmt.Sprintf("%d transactions follow the one that wrote the row, and at most %d may be read: allow more", n, most)}
	}
	found := errors.New("found")
	err = p.Range(ctx, tx, asOf.TxID, wire.KeysOnly, func(tx *proof.Tx) error {
		writes := func(e proof.Entry) bool { return bytes.Equal(e.Key, key) }
		if slices.ContainsFunc(tx.Entries(), writes) || slices.Contains(proof.DroppedBy(tx), table) {
			later = tx.Header().ID
			return found
		}
		return nil
	})
	if later != 0 {
		err = nil
	}
	return later, asOf, err
}

// Range reads the transactions after one, up to last, which must be trusted or older than
// that, and calls visit for each when it is proven. An error of visit ends it.
func (p *Prover) Range(ctx context.Context, after, last uint64, d wire.EntryDetail, visit func(*proof.Tx) error) error {
	var from State
	if after > 0 {
		var err error
		if from, err = p.Tx(ctx, after); err != nil {
			return err
		}
	}
	// The tables before do not matter, so that the feed need not read them.
	feed := NewFeed(from.proof(), proof.NewCatalog())
	if _, err := feed.Open(ctx, p); err != nil {
		return err
	}
	for feed.At() < last {
		txs, err := feed.Next(ctx, p, last, d)
		if err != nil {
			return err
		}
		for _, tx := range txs {
			if err := visit(tx); err != nil {
				return err
			}
		}
	}
	return nil
}
