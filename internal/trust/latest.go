package trust

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// WrittenAfter reads the transactions after the one that wrote a row, at most the
// given number, and returns the first that wrote the row again or dropped its table, 0
// if none did, and the newest transaction, as of which that holds.
func (p *Prover) WrittenAfter(ctx context.Context, row *proof.Row, most int) (later uint64, asOf State, err error) {
	var pk []any
	for _, id := range row.Table.PrimaryKey {
		i := slices.IndexFunc(row.Table.Columns, func(c proof.Column) bool { return c.ID == id })
		pk = append(pk, row.Values[i])
	}
	key, err := row.Table.RowKey(pk...)
	if err != nil {
		return 0, State{}, p.Tampering(err)
	}
	asOf, err = p.CatchUp(ctx)
	if err != nil {
		return 0, asOf, err
	}
	if asOf.TxID < row.TxID {
		return 0, asOf, p.older(asOf.proof(), State{TxID: row.TxID})
	}
	if n := asOf.TxID - row.TxID; n > uint64(max(most, 0)) {
		return 0, asOf, &Error{Kind: InvalidValue, SQLState: "54000",
			Message: fmt.Sprintf("%d transactions follow the one that wrote the row, and at most %d may be read: allow more", n, most)}
	}
	wrote, err := p.Tx(ctx, row.TxID)
	if err != nil {
		return 0, asOf, err
	}
	// The tables before do not matter, so that the feed need not read them.
	feed := NewFeed(wrote.proof(), proof.NewCatalog())
	if _, err := feed.Open(ctx, p); err != nil {
		return 0, asOf, err
	}
	for feed.At() < asOf.TxID {
		txs, err := feed.Next(ctx, p, asOf.TxID, wire.KeysOnly)
		if err != nil {
			return 0, asOf, err
		}
		for _, tx := range txs {
			writes := func(e proof.Entry) bool { return bytes.Equal(e.Key, key) }
			if slices.ContainsFunc(tx.Entries(), writes) || slices.Contains(proof.DroppedBy(tx), row.Table.ID) {
				return tx.Header().ID, asOf, nil
			}
		}
	}
	return 0, asOf, nil
}
