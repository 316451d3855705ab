package trust

import (
	"context"
	"fmt"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// Begun is the moment before a commit is sent. What the server answers must be a
// transaction that it did not have then: one above everything that it had proven,
// and none that another commit has been answered with since.
type Begun struct {
	of    *history
	floor uint64
	since *answered
}

// answered is a transaction that a commit was answered with, in a list that a
// [Begun] holds the rest of: those since. What nobody holds any more is collected.
type answered struct {
	tx   uint64
	next *answered
}

// Before makes sure that there is a state to prove a commit against, and returns
// [Prover.Now].
func (p *Prover) Before(ctx context.Context) (Begun, error) {
	if _, err := p.Establish(ctx); err != nil {
		return Begun{}, err
	}
	return p.Now(), nil
}

// Now notes the moment before a commit is sent.
func (p *Prover) Now() Begun {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Begun{of: p.history, floor: max(p.state.TxID, p.seen), since: p.lastAnswer()}
}

// lastAnswer returns the end of the list of answers. p.mu is held.
func (p *Prover) lastAnswer() *answered {
	if p.answers == nil {
		p.answers = &answered{}
	}
	return p.answers
}

// claim takes a transaction for the commit that it was the answer to. The
// server's word for it is refused if the transaction was there before, or was the
// answer to another commit.
func (p *Prover) claim(begun Begun, tx uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.lastAnswer()
	if begun.of != p.history {
		// The connection has moved to another database since, as USE DATABASE does,
		// which commits nothing: what is trusted now is the floor.
		begun = Begun{floor: max(p.state.TxID, p.seen), since: last}
	}
	if tx <= begun.floor {
		return p.Tampering(&proof.Error{Check: "a commit is answered with a transaction that was not there before", TxID: tx,
			Expected: fmt.Sprintf("above %d", begun.floor), Found: fmt.Sprint(tx)})
	}
	for a := begun.since.next; a != nil; a = a.next {
		if a.tx == tx {
			return p.Tampering(&proof.Error{Check: "two commits are answered with two transactions", TxID: tx})
		}
	}
	last.next = &answered{tx: tx}
	p.answers = last.next
	return nil
}

// Commit proves that the transaction whose header a commit was answered with
// extends the trusted history, and is that commit's own. It calls the server
// without keeping others from moving the state, so that one proof that does not
// come holds up nobody else.
func (p *Prover) Commit(ctx context.Context, begun Begun, header *proof.Header) error {
	alh, err := header.Alh()
	if err != nil {
		return p.Tampering(err)
	}
	if err := p.claim(begun, header.ID); err != nil {
		return err
	}
	if ok, err := p.followChain(ctx, header); ok || err != nil {
		return err
	}
	committed := proof.State{TxID: header.ID, Alh: alh}
	check := func(ctx context.Context, trusted State) (proven, error) {
		h, pr, err := p.proveTx(ctx, trusted, header.ID, wire.NoEntries)
		if err != nil {
			return pr, err
		}
		return pr, p.expect(h, committed, "the transaction in the history is the one that the commit was answered with")
	}
	for {
		trusted, err := p.Establish(ctx)
		if err != nil {
			return err
		}
		pr, err := p.try(ctx, trusted, check)
		if err != nil {
			return err
		}
		if ok, err := p.advance(ctx, trusted, pr); ok || err != nil {
			return err
		}
		if ok, err := p.followChain(ctx, header); ok || err != nil {
			return err
		}
	}
}

// followChain checks a commit that comes right after the trusted state without
// asking the server: its header holds all there is to check. ok is false where it does
// not come right after, or is to be signed.
func (p *Prover) followChain(ctx context.Context, header *proof.Header) (ok bool, err error) {
	leave, err := p.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
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
	old := trusted
	if trusted.TxID == 0 {
		old = State{}
	}
	if ok, err := p.swap(ctx, old, p.moved(trusted, chain.State(), nil)); !ok || err != nil {
		return false, err
	}
	p.mu.Lock()
	p.chain = chain
	p.mu.Unlock()
	return true, nil
}
