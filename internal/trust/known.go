package trust

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

const (
	// knownBytes bounds the memory of the known rows, in each of two generations.
	knownBytes = 8 << 20
	// maxWritten bounds how many keys are kept of what was written lately.
	maxWritten = 1 << 14
	// txsPerRow is how many transactions are read at most for each known row. For more it
	// is cheaper to prove the rows again.
	txsPerRow = 4
)

// knownRows are rows that were proven and need no proof again as long as no transaction has
// written them. Every transaction from the proof of a row up to at has been read, is
// proven to be of the trusted history, and has not written that row. So the row is as
// good as one that the server has just proven: no transaction up to at hides a later
// revision.
type knownRows struct {
	turn chan struct{} // holds a token while a goroutine reads transactions

	mu    sync.Mutex
	at    proof.State
	chain *proof.Chain // ends with at, or nil
	// written are the keys that the transactions after since have written, each with the
	// last of these.
	written map[string]uint64
	since   uint64
	// young are the rows that were proven or used lately, old those before. When young is
	// full it becomes old.
	young, old map[string]*proof.Row
	size       int // of young, in bytes
}

// FollowKnown forgets the known rows that transactions up to the trusted state s have
// written. Known then returns only rows that are not written up to there.
func (p *Prover) FollowKnown(ctx context.Context, s State) error {
	k := &p.rows
	if k.reaches(s) {
		return nil
	}
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if k.reaches(s) {
		return nil
	}
	k.mu.Lock()
	from, chain, rows := k.at, k.chain, len(k.young)+len(k.old)
	k.mu.Unlock()
	if s.TxID-from.TxID > uint64(txsPerRow*rows) {
		k.forget(s)
		return nil
	}
	chain, written, err := p.writtenUpTo(ctx, from, chain, s)
	switch {
	case err == nil && written != nil:
		k.drop(chain, written)
	case isVerdict(err), ctx.Err() != nil:
		return err
	default:
		k.forget(s) // the rows are then proven as if none were known
	}
	return nil
}

// writtenUpTo reads the transactions from one state, with which the chain ends if it is
// not nil, to the trusted one, and returns the keys that they write, each with the last
// transaction that does. written is nil if one of them changes a table.
func (p *Prover) writtenUpTo(ctx context.Context, from proof.State, chain *proof.Chain, s State) (_ *proof.Chain, written map[string]uint64, err error) {
	if chain == nil {
		v, err := p.fetchTx(ctx, State{TxID: from.TxID}, from.TxID, wire.NoEntries)
		if err != nil {
			return nil, nil, err
		}
		chain, err = proof.ChainFrom(from, v.Dual)
		switch {
		case errors.Is(err, proof.ErrUnlinked):
			return nil, nil, err // an old server wrote the transaction
		case err != nil:
			return nil, nil, p.Tampering(err)
		}
	}
	chain, written, catalog := chain.Clone(), make(map[string]uint64), false
	err = p.replay(ctx, chain, s.TxID, wire.KeysOnly, func(tx *proof.Tx) error {
		for _, e := range tx.Entries() {
			catalog = catalog || proof.IsCatalogKey(e.Key)
			written[string(e.Key)] = tx.Header().ID
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if at := chain.State(); at != s.proof() {
		return nil, nil, p.Tampering(&proof.Error{Check: "the transactions lead to the trusted state", TxID: s.TxID,
			Expected: s.Hash.String(), Found: at.Alh.String()})
	}
	if catalog {
		written = nil
	}
	return chain, written, nil
}

func (k *knownRows) reaches(s State) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at.TxID >= s.TxID
}

// forget forgets all rows. Those that are added later are known as of s.
func (k *knownRows) forget(s State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at, k.chain, k.written, k.since = s.proof(), nil, nil, s.TxID
	k.young, k.old, k.size = nil, nil, 0
}

// drop forgets the rows that were written, up to the end of the chain.
func (k *knownRows) drop(chain *proof.Chain, written map[string]uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.written)+len(written) > maxWritten {
		k.written, k.since = nil, k.at.TxID
	}
	if k.written == nil {
		k.written = make(map[string]uint64)
	}
	for key, tx := range written {
		k.written[key] = tx
		delete(k.young, key)
		delete(k.old, key)
	}
	k.at, k.chain = chain.State(), chain
}

// Known returns a proven row by the key of its entry, or nil.
func (p *Prover) Known(key []byte) *proof.Row {
	k := &p.rows
	k.mu.Lock()
	defer k.mu.Unlock()
	if row := k.young[string(key)]; row != nil {
		return row
	}
	row := k.old[string(key)]
	if row != nil {
		delete(k.old, string(key))
		k.add(row)
	}
	return row
}

// Remember makes a row known that was proven when s was trusted. It keeps a copy.
func (p *Prover) Remember(row *proof.Row, s State) {
	if row.Deleted {
		return
	}
	k := &p.rows
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.TxID < k.since || k.written[string(row.Key)] > s.TxID {
		return // a transaction after s may have written it
	}
	own := *row
	own.Key, own.Values = bytes.Clone(row.Key), slices.Clone(row.Values) // they share memory with a message
	for i, v := range own.Values {
		switch v := v.(type) {
		case []byte:
			own.Values[i] = bytes.Clone(v)
		case proof.RawJSON:
			own.Values[i] = slices.Clone(v)
		}
	}
	delete(k.old, string(own.Key))
	k.add(&own)
}

func (k *knownRows) add(row *proof.Row) {
	size := sizeOf(row)
	if size > knownBytes/8 {
		return
	}
	if k.size+size > knownBytes {
		k.old, k.young, k.size = k.young, nil, 0
	}
	if k.young == nil {
		k.young = make(map[string]*proof.Row)
	}
	if k.young[string(row.Key)] == nil {
		k.size += size
	}
	k.young[string(row.Key)] = row
}

// sizeOf is about the memory that a row takes, in bytes.
func sizeOf(row *proof.Row) int {
	n := 256 + 2*len(row.Key)
	for _, v := range row.Values {
		n += 24
		switch v := v.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		case proof.RawJSON:
			n += len(v)
		}
	}
	return n
}
