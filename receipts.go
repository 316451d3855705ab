package immudb

import (
	"context"
	"fmt"

	"github.com/immudb-go/immudb/internal/evidence"
	"github.com/immudb-go/immudb/internal/trust"
	"github.com/immudb-go/immudb/receipt"
)

// Receipt returns a file that proves the revision of a row which transaction tx
// wrote, or deleted, to anybody who trusts the server's public key or the state of
// the receipt's anchor, without a server; see package
// [github.com/immudb-go/immudb/receipt] for what it says and what it does not. tx
// comes from [CommitInfo] or from [ProvenRow.TxID]. The table is the one that has
// the name now, and the anchor is the newest transaction.
//
// The history is read from its first transaction on, once for a sql.DB, so that the
// receipt holds each transaction that defined the table. The keys of rows that such a
// transaction also wrote are part of the receipt.
//
// If the transaction did not write such a row, the error matches sql.ErrNoRows.
func (v *Verifier) Receipt(ctx context.Context, table string, tx uint64, pk ...any) (*receipt.Receipt, error) {
	table, err := tableName(table)
	if err != nil {
		return nil, err
	}
	key := make([]any, len(pk))
	for i := range pk {
		if key[i], err = convert(pk[i]); err != nil {
			return nil, newError(ErrInvalidValue, "22023", fmt.Sprintf("primary key value %d: %s", i+1, err))
		}
	}
	return v.receipt(ctx, func(p *trust.Prover) (*evidence.Receipt, error) { return p.Receipt(ctx, table, tx, key) })
}

// ExtendReceipt returns the receipt with the newest transaction as its anchor. It
// proves first that the trusted history holds the old anchor, the row and its
// definition: [ErrTampered] if not.
func (v *Verifier) ExtendReceipt(ctx context.Context, r *receipt.Receipt) (*receipt.Receipt, error) {
	old, err := evidence.Parse(r.Bytes())
	if err != nil {
		return nil, fmt.Errorf("immudb: %w", err)
	}
	return v.receipt(ctx, func(p *trust.Prover) (*evidence.Receipt, error) { return p.Extend(ctx, old) })
}

func (v *Verifier) receipt(ctx context.Context, make func(*trust.Prover) (*evidence.Receipt, error)) (*receipt.Receipt, error) {
	var made *evidence.Receipt
	err := onConn(ctx, v.db, func(c *Conn) (err error) {
		made, err = make(c.prover())
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipt.Parse(made.Marshal())
}
