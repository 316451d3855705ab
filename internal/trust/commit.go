package trust

import (
	"context"
	"fmt"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// Begun marks the moment before a commit is sent. The server must answer the commit
// with a new transaction: one with a higher id than any it had proven by then, and
// not one that it has answered another commit with since.
type Begun struct {
	of    *history
	floor uint64    // the newest transaction proven by then
	since *answered // the last answer by then; the later ones follow it in the list
}

// answered is an element of the list of transactions that commits were answered
// with. A [Begun] refers to the part of the list that is newer than itself; older
// parts are garbage-collected.
type answered struct {
	tx   uint64
	next *answered
}

// Before makes sure that a state is trusted, against which a commit can be proven,
// and that the server stands by it, and returns [Prover.Now].
func (p *Prover) Before(ctx context.Context) (Begun, error) {
	if err := p.Stands(ctx); err != nil {
		return Begun{}, err
	}
	return p.Now(), nil
}

// Now returns the mark for a commit that is sent next.
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

// claim assigns a transaction to the commit that the server answered with it. It
// fails if the transaction existed before the commit was sent, or if another commit
// was answered with it.
func (p *Prover) claim(begun Begun, tx uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.lastAnswer()
	if begun.of != p.history {
		// USE DATABASE, which commits nothing, has moved the connection to another
		// database since. The state trusted now is the floor.
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

// Commit proves that the transaction with the given header, which the server
// answered a commit with, extends the trusted history and belongs to no other
// commit. Other goroutines can move the state while Commit waits for the server, so
// a proof that never arrives does not block them.
func (p *Prover) Commit(ctx context.Context, begun Begun, header *proof.Header) (err error) {
	defer func() { p.proved(err) }()
	committed, err := p.answered(begun, header)
	if err != nil {
		return err
	}
	if ok, err := p.followChain(ctx, header); ok || err != nil {
		return err
	}
	check := func(ctx context.Context, trusted State) (proven, error) {
		h, pr, err := p.proveTx(ctx, trusted, header.ID, wire.NoEntries)
		if err != nil {
			return pr, err
		}
		return pr, p.isAnswer(h, committed)
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

// CommitEntries is Commit that also returns the transaction with its entries. It takes
// one call, as Commit does when other clients write too.
func (p *Prover) CommitEntries(ctx context.Context, begun Begun, header *proof.Header) (tx *proof.Tx, err error) {
	defer func() { p.proved(err) }()
	committed, err := p.answered(begun, header)
	if err != nil {
		return nil, err
	}
	err = p.verify(ctx, func(ctx context.Context, trusted State) (pr proven, err error) {
		if tx, pr, err = p.proveEntries(ctx, trusted, header.ID); err != nil {
			return pr, err
		}
		return pr, p.isAnswer(tx.Header(), committed)
	})
	return tx, err
}

// answered claims the transaction that a commit was answered with.
func (p *Prover) answered(begun Begun, header *proof.Header) (proof.State, error) {
	alh, err := header.Alh()
	if err != nil {
		return proof.State{}, p.Tampering(err)
	}
	return proof.State{TxID: header.ID, Alh: alh}, p.claim(begun, header.ID)
}

func (p *Prover) isAnswer(h *proof.Header, committed proof.State) error {
	return p.expect(h, committed, "the transaction in the history is the one that the commit was answered with")
}

// followChain checks a commit that directly follows the trusted state. It needs no
// call: the header holds everything to check. ok is false if the commit does not
// directly follow, or if it needs a signature.
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
	p.chain = nil // a failed append leaves it unusable
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
